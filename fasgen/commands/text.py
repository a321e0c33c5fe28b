"""Figures and tables as plain text: the same on a terminal, in a pipe and in a log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_FIGURE = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?( [A-Za-z]{1,4})?|[-?]|")
"""A number with or without a unit, or what stands for one that is not known."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; those that hold only figures to the right."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in (list(header), *cells)) for i in range(len(header))]
    right = [bool(rows) and all(_is_figure(row[i]) for row in rows) for i in range(len(header))]

    def line(parts: Sequence[str]) -> str:
        return "  ".join(p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)).rstrip()

    return "\n".join([line(header), *map(line, cells)])


def plain(value: object) -> str:
    """A value for a cell; what would move the cursor or break the line is escaped."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def duration(seconds: float | None) -> str:
    """About how long, in the units one would say it in; ``?`` where it is not known."""
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else "1 s"
    if seconds < 600:
        return f"{seconds / 60:.1f} min"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def size(count: float | None) -> str:
    """Bytes in decimal units; ``?`` where it is not known."""
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def tally(counts: Mapping[str, int]) -> str:
    """``3 no_face, 1 corrupt``: the most frequent first; empty without any."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _is_figure(value: object) -> bool:
    return _FIGURE.fullmatch(plain(value)) is not None
