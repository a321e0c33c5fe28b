"""``a.b=c`` settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from fasgen.config.document import Key, parse_value
from fasgen.errors import ConfigError


def parse_override(text: str) -> tuple[Key, Any]:
    """Split ``a.b=c`` into its key and its YAML value.

    Raises:
        ConfigError: if there is no ``=``, a part of the key is empty, or the value is not YAML.
    """
    dotted, equals, raw = text.partition("=")
    dotted = dotted.strip()
    if not equals:
        raise ConfigError(f"{text!r} is not a setting: write it as key=value, for example defake.t=600")
    if not dotted or not all(dotted.split(".")):
        raise ConfigError(f"{text!r}: the key left of '=' must be names joined by dots, for example defake.t=600")
    try:
        value = parse_value(raw)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{dotted}: {raw!r} is not a YAML value; put text with special characters in quotes: {dotted}='\"...\"'"
        ) from error
    # 001 is no position in a list but may be somebody's name in a map.
    return tuple(int(part) if part.isdecimal() and str(int(part)) == part else part for part in dotted.split(".")), value


def put(tree: dict[str, Any], key: Key, value: Any) -> None:
    """Set ``value`` at ``key`` in place, making mappings on the way; a number enters a list.

    Raises:
        ConfigError: if the way leads through a value that is neither mapping nor list, or past the end of a list.
    """
    here: Any = tree
    for depth, part in enumerate(key):
        last = depth == len(key) - 1
        if isinstance(here, list):
            _check_position(here, key, depth)
        elif isinstance(here, dict):
            part = str(part)
            if not last and not isinstance(here.get(part), dict | list):
                if here.get(part) is not None:
                    raise ConfigError(f"{dotted(key)}: {dotted(key[: depth + 1])} is {here[part]!r} and has no keys below it")
                if isinstance(key[depth + 1], int):
                    raise ConfigError(f"{dotted(key)}: {dotted(key[: depth + 1])} has no entries yet; there is none to change")
                here[part] = {}
        if last:
            here[part] = value
        else:
            here = here[part]


def _check_position(items: Sequence[Any], key: Key, depth: int) -> None:
    part = key[depth]
    if not isinstance(part, int) or part >= len(items):
        have = f"0 to {len(items) - 1}" if items else "none: it is empty"
        raise ConfigError(f"{dotted(key)}: {dotted(key[:depth])} is a list; {part!r} is not one of its positions ({have})")
    if depth < len(key) - 1 and not isinstance(items[part], dict | list):
        raise ConfigError(f"{dotted(key)}: {dotted(key[: depth + 1])} is {items[part]!r} and has no keys below it")


def dotted(key: Sequence[str | int]) -> str:
    """The key as users write it."""
    return ".".join(map(str, key))
