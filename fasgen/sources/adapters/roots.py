"""What to say where a root does not fit: what was expected, what is there, and whether a folder nearby would fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fasgen.sources.adapters.engine import Engine
from fasgen.sources.paths import escape

_LOOKED_AT = 20_000
_DEEP = 3


def advice(engine: Engine, root: Path, paths: Mapping[str, int], why: Mapping[str, str]) -> str:
    """A message for a root in which not one file fits the table.

    Args:
        engine: the table.
        root: the folder that was given.
        paths: relative paths of its files.
        why: by relative path, why a file does not fit.
    """
    table = engine.table
    tops = Counter((path.partition("/")[0] + "/") if "/" in path else path for path in paths)
    seen = ", ".join(
        f"{escape(name)} ({count} files)" if name.endswith("/") else escape(name) for name, count in sorted(tops.items())[:8]
    )
    more = f" and {len(tops) - 8} more" if len(tops) > 8 else ""
    first = next(((path, text) for path, text in sorted(why.items())), None)
    example = f" For example {escape(first[0])!r}: {first[1]}." if first else ""
    found = f"{seen}{more}" if tops else "nothing"
    return (
        f"{root} does not look like {table.name}. Expected: {'; '.join(table.layout)}. Found: {found}.{example}"
        f"{_nearby(engine, root, paths)}"
    )


def _nearby(engine: Engine, root: Path, paths: Mapping[str, int]) -> str:
    sample = sorted(paths)[:_LOOKED_AT]
    below: Counter[str] = Counter()
    for path in sample:
        parts = path.split("/")
        for depth in range(1, min(_DEEP, len(parts) - 1) + 1):
            if engine.fits("/".join(parts[depth:])):
                below["/".join(parts[:depth])] += 1
                break
    if below:
        folder, count = below.most_common(1)[0]
        return f" {count} files of the folder {escape(folder)!r} in it would fit: give {root / folder}"
    above, prefix = root.absolute(), ""
    for _ in range(_DEEP):
        prefix = f"{above.name}/{prefix}"
        above = above.parent
        if above == above.parent:
            break
        if any(engine.fits(prefix + path) for path in sample):
            return f" Its files would fit from a folder above: give {above}"
    return " If your copy is laid out in another way, describe it in a YAML file that extends this adapter (docs/datasets.md)"
