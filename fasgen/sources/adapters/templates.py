"""Texts with values of a path in them: ``{name}``, ``{name:03}`` and ``{name+20}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_HOLE = re.compile(r"\{(?P<name>[a-z_][a-z0-9_.]*|\d+)(?:\+(?P<plus>\d+))?(?::0(?P<width>\d))?\}")


def names_in(text: str) -> list[str]:
    """The names that a template wants a value of.

    Raises:
        ValueError: a brace is not part of ``{name}``, ``{name:0N}`` or ``{name+N}``.
    """
    if "{" in (rest := _HOLE.sub("", text)) or "}" in rest:
        raise ValueError(f"{text!r}: write values as {{name}}, {{name:03}} (digits) or {{name+20}} (a sum)")
    return [hole["name"] for hole in _HOLE.finditer(text)]


@cache
def _parts(text: str) -> tuple[tuple[str, str, int, int], ...]:
    """Alternating: literal text, name, summand, width."""
    at, parts = 0, []
    for hole in _HOLE.finditer(text):
        parts.append((text[at : hole.start()], hole["name"], int(hole["plus"] or 0), int(hole["width"] or 0)))
        at = hole.end()
    return (*parts, (text[at:], "", 0, 0))


def fill(text: str, values: Mapping[str, str]) -> str | None:
    """The template with its values, or None where one of them is missing.

    Sums and widths apply to values that are decimal numbers; a width counts digits anew, so ``007`` with ``:02`` is ``07``.
    """
    out = []
    for literal, name, plus, width in _parts(text):
        out.append(literal)
        if name:
            value = values.get(name)
            if value is None:
                return None
            if (plus or width) and value.isdecimal():
                value = f"{int(value) + plus:0{width or 1}d}"
            out.append(value)
    return "".join(out)
