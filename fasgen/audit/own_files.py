"""What fasgen writes into a store beside its generations, told from files of others in folders that are called alike
(``store: .``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.attached_files import FOLDER as ATTACHED
from fasgen.manifests.attached_files import attached_files
from fasgen.manifests.names import OURS
from fasgen.manifests.parquet import read_table
from fasgen.manifests.seen_file import FOLDER as SEEN
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
_NAMED = ("added", "identities", "retracted", SEEN)
"""Folders of files with a generation or a digest in their names, as in nobody else's: known even when they are damaged."""


def is_own(path: Path) -> bool:
    """Whether fasgen has written a report, a row set or what was found of duplicates and quality, by what it holds."""
    try:
        return holds_own(path.name, path.read_bytes())
    except OSError:
        return False


def holds_own(name: str, content: bytes) -> bool:
    """The same of bytes under the name of such a file."""
    try:
        if name.endswith(".parquet"):
            return set(read_table(BytesIO(content), _ROWS).column_names) == set(_ROWS)
        if mark := _TEXTS.get(name):
            return mark.search(content) is not None
        found = parse_json(content)
    except (ValueError, StoreError):
        return False
    return isinstance(found, dict) and name in _KEYS and found.keys() >= _KEYS[name]


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
    """All that audit made of a store's rows: reports, duplicates, quality, row sets of protocols, identities."""
    yield from (path for name in (*_TEXTS, *_KEYS) if is_own(path := store / name))
    yield from _row_sets(store)
    yield from _named(store, "identities")


def beside(store: Path) -> Iterator[Path]:
    """All single files that belong to a store: additions, cues from elsewhere, tombstones, what weights have seen, row sets of
    protocols, identities."""
    yield from _named(store, "added")
    yield from attached_files(store)
    for folder in ("retracted", SEEN):
        yield from _named(store, folder)
    yield from _row_sets(store)
    yield from _named(store, "identities")


def strange(store: Path) -> Iterator[Path]:
    """Files in folders of those names that are none of them: somebody else's, or damaged beyond recognition."""
    own = set(beside(store))
    for folder in sorted((*_NAMED, ATTACHED, FOLDER)):
        yield from (path for path in sorted((store / folder).rglob("*")) if path not in own and not path.is_dir())


def _row_sets(store: Path) -> Iterator[Path]:
    names = (REPORT, *(f"{side}.parquet" for side in SIDES))
    yield from (path for name in names for path in sorted((store / FOLDER).glob(f"*/{name}")) if is_own(path))


def _named(store: Path, folder: str) -> Iterator[Path]:
    yield from (path for path in sorted((store / folder).glob("*")) if OURS.fullmatch(f"{folder}/{path.name}"))
