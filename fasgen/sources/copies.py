"""Names that look like another file's: copies that a file manager made, and twins on disks that tell more apart than others."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fasgen.sources.odd import Oddities

_COPY = re.compile(
    r"(?i)(?P<stem>.*?[^/\s])(?:"
    r"\s?\(\d{1,3}\)|\s?-\s?(?:copy|kopie|copie|copia)(?:\s?\(\d{1,3}\))?|[\s_]copy(?:\s\d{1,3})?"
    r")(?P<extension>\.[^./]*)?"
)


def find_copies(paths: Sequence[str], odd: Oddities) -> None:
    """See files that are named like a copy of one that is there, and files that differ in case or the form of letters alone.

    Args:
        paths: escaped relative paths, in order.
        odd: takes them.
    """
    originals: dict[str, str] = {}
    digests = array("q")
    for path in paths:
        low = path.lower()
        if ("(" in low or "cop" in low or "kop" in low) and (match := _COPY.fullmatch(path)):
            originals[path] = match["stem"] + (match["extension"] or "")
        # A million paths cost their numbers alone; what has one digest is compared as text.
        digests.append(hash(low if low.isascii() else _folded(path)))
    there = set(originals.values()) & set(paths) if originals else set()
    for path, original in originals.items():
        if original in there:
            odd.see("copy", path, f"of {original}")
    seen: dict[str, str] = {}
    for place in _repeated(np.frombuffer(digests, np.int64)):
        first = seen.setdefault(_folded(paths[place]), paths[place])
        if first != paths[place]:
            odd.see("twin", paths[place], f"beside {first}")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _repeated(numbers: NDArray[np.int64]) -> list[int]:
    """Places of numbers that are there more than once, ascending."""
    order = np.argsort(numbers, kind="stable")
    same = numbers[order][1:] == numbers[order][:-1]
    places: list[int] = np.union1d(order[:-1][same], order[1:][same]).tolist()
    return places
