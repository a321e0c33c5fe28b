"""YAML as configuration needs it: safe, without surprises, and knowing the line on which each key was written."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fasgen.errors import ConfigError

Key = tuple[str | int, ...]
"""Place of a value in the tree: names of mappings and positions in lists."""


_DEEPEST = 64
"""Lists and mappings inside of each other."""

_LONGEST_NUMBER = 100
"""Digits of a whole number."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed mapping.

    Attributes:
        name: what to call it in messages, usually the file's path.
        data: the mapping.
        lines: line number, from 1, of each key.
    """

    name: str
    data: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)

    def told(self, key: Key) -> str:
        """What to call the value at ``key``: the file, the line and the key, as far as they are known."""
        near = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in self.lines), None)
        where = f"{self.name}, line {self.lines[near]}: " if near else ""
        return where + ".".join(map(str, key))


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2: ``no`` and ``on`` are text, ``1e-3`` is a number, ``010`` is ten.

    Keys are text as they are written: ``001`` is no number there, nor ``null`` nothing.
    """

    _depth = 0
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # Aliases let a few lines stand for gigabytes, or for themselves.
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > _DEEPEST:
            problem = f"lists and mappings lie more than {_DEEPEST} deep in each other"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(node.value)
        if len(text) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, f"a number of {len(text)} digits", node.start_mark)
        return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(str(node.value).lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _problem(error: yaml.YAMLError) -> tuple[int, int, str]:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        return (mark.line + 1, mark.column + 1, problem) if mark else (1, 1, problem)
    return 1, 1, str(error).splitlines()[0]


def _walk(node: yaml.Node, at: Key, name: str, lines: dict[Key, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{name}, line {line}: a key must be a plain name, not a list or mapping")
            key = (*at, str(key_node.value))
            if key in lines:
                dotted = ".".join(map(str, key))
                raise ConfigError(
                    f"{name}, line {line}: {dotted} is written twice (first on line {lines[key]}); keep one of them"
                )
            lines[key] = line
            _walk(value_node, key, name, lines)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*at, position)] = item.start_mark.line + 1
            _walk(item, (*at, position), name, lines)


def parse_value(text: str) -> Any:
    """One YAML value, block or flow.

    Raises:
        yaml.YAMLError: if ``text`` is not YAML.
    """
    return yaml.load(text, Loader=_Loader)


def parse_document(text: str, name: str) -> Document:
    """Parse a YAML mapping; an empty document is an empty mapping.

    Raises:
        ConfigError: with file, line and column, if it is not YAML, has a key twice, or is not a mapping.
    """
    lines: dict[Key, int] = {}
    loader: _Loader | None = None
    try:
        # Even taking the text in may fail: not every character is allowed.
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(name, {})
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name}, line {node.start_mark.line + 1}: a configuration is a mapping of `key: value` lines")
        _walk(node, (), name, lines)
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        line, column, problem = _problem(error)
        raise ConfigError(f"{name}, line {line}, column {column}: not valid YAML: {problem}") from error
    finally:
        if loader is not None:
            loader.dispose()
    return Document(name, {str(key): value for key, value in data.items()}, lines)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: if the file cannot be read, is not UTF-8 text, or does not parse.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such configuration file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return parse_document(text, str(path))
