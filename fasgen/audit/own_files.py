"""What audit writes into a store's own folder, told from files of others that are called alike (``store: .``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.parquet import read_table
from fasgen.selection.row_sets import FOLDER, REPORT, SIDES

_TEXTS = {
    "report.html": re.compile(rb"<title>fasgen report</title>"),
    "REPORT.md": re.compile(rb"^\d+ samples: \d+ ok, \d+ filtered, \d+ failed\. ", re.M),
}
_KEYS = {
    "duplicates.json": {"has_embeddings", "leaks", "pairs"},
    "quality.json": {"network", "comparisons", "neighbours"},
    REPORT: {"protocol", "family", "sides"},
}
_ROWS = ("sample_id", "variant", "subject")
_IDENTITIES = re.compile(r".+-[0-9a-f]{8}\.(?:parquet|json)")
"""Called by a generation, as nobody else's are."""


def is_own(path: Path) -> bool:
    """Whether fasgen has written a report, a row set or what was found of duplicates and quality, by what it holds."""
    try:
        if path.suffix == ".parquet":
            return set(read_table(path, _ROWS).column_names) == set(_ROWS)
        if mark := _TEXTS.get(path.name):
            return mark.search(path.read_bytes()) is not None
        found = parse_json(path.read_bytes())
    except (OSError, ValueError, StoreError):
        return False
    return isinstance(found, dict) and path.name in _KEYS and found.keys() >= _KEYS[path.name]


def claim(path: Path, change: str) -> Path:
    """A path that may be written: nothing is there, or what fasgen wrote.

    Args:
        path: the file.
        change: what to do where it is somebody else's.

    Raises:
        StoreError: it is.
    """
    if path.exists() and not is_own(path):
        raise StoreError(f"{path}: is there, and fasgen has not written it: {change}")
    return path


def own_files(store: Path) -> Iterator[Path]:
    """All such files of a store, with the row sets of protocols and what ``fasgen cluster`` wrote of identities."""
    yield from (path for name in (*_TEXTS, *_KEYS) if is_own(path := store / name))
    names = (REPORT, *(f"{side}.parquet" for side in SIDES))
    yield from (path for name in names for path in (store / FOLDER).glob(f"*/{name}") if is_own(path))
    yield from (path for path in (store / "identities").glob("*-*") if _IDENTITIES.fullmatch(path.name))
