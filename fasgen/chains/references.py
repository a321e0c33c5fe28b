"""References in trees of settings: ``$NAME`` and ``$NAME/rest`` stand for folders that are known when a step begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

SIGN = "/$"
"""How a reference begins within a tree whose paths are absolute: it looks like one of them, so that it passes for a path."""


def protected(tree: Any) -> Any:
    """``tree`` with references as absolute paths, which no folder is put before."""
    return _mapped(tree, lambda text: f"/{text}" if text.startswith(SIGN[1:]) else text)


def references(tree: Any) -> list[str]:
    """Names that a tree refers to, each once."""
    return list(dict.fromkeys(text[len(SIGN) :].partition("/")[0] for text in _texts(tree) if text.startswith(SIGN)))


def resolved(tree: Any, places: Mapping[str, str]) -> Any:
    """``tree`` with references replaced; what stands behind a name stays behind its place.

    Raises:
        KeyError: a name has no place.
    """

    def put(text: str) -> str:
        if not text.startswith(SIGN):
            return text
        name, slash, rest = text[len(SIGN) :].partition("/")
        return places[name] + slash + rest

    return _mapped(tree, put)


def _mapped(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_mapped(value, change) for value in tree]
    return change(tree) if isinstance(tree, str) else tree


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _texts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _texts(value)
    elif isinstance(tree, str):
        yield tree
