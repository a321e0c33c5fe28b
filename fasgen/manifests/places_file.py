"""Which row is in which unit, and at which place: ``STORE/rows/<rows of a unit>/``, a record that only grows.

One file a growth, called by the number of the first unit that it begins: the ids of its rows, in order, so many a unit, and no
unit of two sources. Rows that are there keep their places for ever, whatever comes or goes. Beside them lie the digests of what
each row was when a run last saw it (``seen.bin``: SHA-256 of what follows, then two numbers of 64 bits a row, little-endian):
by them a run tells what is new, changed or gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests.atomic import file_digest, write_atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.plan_file import read_current, read_plan
from fasgen.manifests.spare import PUT_BACK, write_twice

if TYPE_CHECKING:
    import pyarrow as pa

_SEEN = "seen.bin"
_SHA = 32
_GROUP = 65_536

GONE = np.array([0, 1], np.uint64)
"""In place of the digest of a row whose file is gone."""

UNKNOWN = np.array([0, 0], np.uint64)
"""In place of the digest of a row that no run has seen to its end."""


@dataclass(frozen=True)
class Places:
    """The record, as it was read.

    Attributes:
        firsts: number of the first unit of each growth.
        units: first row of every unit, and the one behind its last.
        ids: sample ids of all rows, in order.
        names: names of sources.
        sources: number of each row's source among them.
        seen: digest of each row, two numbers; `UNKNOWN` or `GONE`.
    """

    firsts: tuple[int, ...]
    units: Mapping[int, tuple[int, int]]
    ids: NDArray[np.uint64]
    names: tuple[str, ...]
    sources: NDArray[np.int64]
    seen: NDArray[np.uint64]


def cut(first: int, start: int, sources: NDArray[np.int64], unit_rows: int) -> dict[int, tuple[int, int]]:
    """The units of one growth: so many rows each, and none of two sources.

    Args:
        first: number of the first.
        start: number of the first row.
        sources: number of each row's source.
        unit_rows: rows of a unit.

    Returns:
        first row and the one behind the last, by number.
    """
    turns = np.flatnonzero(np.diff(sources)) + 1
    runs = pairwise([0, *turns.tolist(), len(sources)])
    begins = ((begin, min(begin + unit_rows, stop)) for one, stop in runs for begin in range(one, stop, unit_rows))
    return {first + number: (start + begin, start + stop) for number, (begin, stop) in enumerate(begins)}


def rows_digest(ids: NDArray[np.uint64], digests: NDArray[np.uint64]) -> str:
    """SHA-256, in hex, over rows and what each of them is: what a unit that is made of them is believed by."""
    return hashlib.sha256(ids.tobytes() + digests.tobytes()).hexdigest()


def folder_of(store: Path, unit_rows: int) -> Path:
    """Where the record of units of so many rows lies."""
    return store / "rows" / str(unit_rows)


def begun_with(store: Path) -> int | None:
    """Rows of a unit of the store's current generations; ``None`` for a store that has met no row."""
    folder = store / "rows"
    found = (
        {int(entry.name) for entry in folder.iterdir() if entry.name.isdigit() and _firsts(entry)} if folder.is_dir() else set()
    )
    if len(found) < 2:
        return next(iter(found), None)
    # Settings have come and gone: what became current last was made with those of the last run.
    current = [listed[0] for listed in read_current(store).values() if listed]
    for one in sorted(current, key=lambda one: one.since, reverse=True):
        with suppress(StoreError):
            rows = read_plan(store / one.folder).get("unit_rows")
            if rows in found:
                return int(rows)
    return max(found)


def read_places(store: Path, unit_rows: int) -> Places:
    """The record; empty where there is none yet.

    Raises:
        StoreError: it is damaged.
    """
    import pyarrow as pa

    folder = folder_of(store, unit_rows)
    firsts = _firsts(folder)
    if not firsts:
        return no_places()
    for first in firsts:
        if not _is_whole(_part(folder, first)):
            raise StoreError(f"{_part(folder, first)}: has other bytes than were written: {PUT_BACK}")
    tables = [read_table(_part(folder, first)) for first in firsts]
    ids = np.concatenate([_numbers(table, "sample_id") for table in tables])
    named = pa.chunked_array([chunk.cast(pa.string()) for table in tables for chunk in table["dataset"].chunks])
    coded = named.combine_chunks().dictionary_encode()
    sources = coded.indices.to_numpy().astype(np.int64)
    units: dict[int, tuple[int, int]] = {}
    start = 0
    for first, table in zip(firsts, tables, strict=True):
        # Numbers of units that are not there would be given out twice.
        if units and first <= max(units):
            raise StoreError(f"{_part(folder, first)}: speaks of units that are spoken of before it: take it from a backup")
        units |= cut(first, start, sources[start : start + table.num_rows], unit_rows)
        start += table.num_rows
    seen = np.zeros((len(ids), 2), np.uint64)
    if (folder / _SEEN).exists():
        last = _read_seen(folder / _SEEN)
        # What is damaged is as good as what nobody has seen: only the counts of a run hang on it.
        known = min(len(last), len(ids)) if last is not None else 0
        if last is not None:
            seen[:known] = last[:known]
    return Places(firsts, units, ids, tuple(coded.dictionary.to_pylist()), sources, seen)


def no_places() -> Places:
    """The record of a store that has met no row."""
    return Places((), {}, np.empty(0, np.uint64), (), np.empty(0, np.int64), np.empty((0, 2), np.uint64))


def append_rows(
    store: Path,
    unit_rows: int,
    before: Places,
    first: int,
    ids: NDArray[np.uint64],
    sources: Sequence[str],
    which: NDArray[np.int64],
) -> None:
    """Add rows behind those that are there.

    Args:
        store: the store.
        unit_rows: rows of a unit.
        before: the record that the rows were placed behind.
        first: number of their first unit.
        ids: their sample ids.
        sources: names of sources.
        which: number of each row's source among them.

    Raises:
        StoreError: the record has grown since it was read, or cannot be written.
    """
    import pyarrow as pa

    folder = folder_of(store, unit_rows)
    if _firsts(folder) != before.firsts:
        raise StoreError(f"{store}: another run has added rows since this one was planned: give the command again")
    named = pa.DictionaryArray.from_arrays(pa.array(which, pa.int32()), pa.array(sources, pa.string()))
    table = pa.table({"sample_id": pa.array(ids), "dataset": named})
    _write(_part(folder, first), table)


def write_seen(store: Path, unit_rows: int, digests: NDArray[np.uint64]) -> None:
    """Record what every row is now.

    Raises:
        StoreError: the record cannot be written.
    """
    path = folder_of(store, unit_rows) / _SEEN
    data = digests.astype("<u8").tobytes()
    try:
        write_atomic(path, hashlib.sha256(data).digest() + data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or choose another store") from error


def damaged_places(store: Path) -> list[Path]:
    """Files of the record that have not the very bytes that were written."""
    folder = store / "rows"
    found = sorted(path for path in folder.glob("*/*.parquet")) if folder.is_dir() else []
    seen = sorted(folder.glob(f"*/{_SEEN}")) if folder.is_dir() else []
    return [path for path in found if not _is_whole(path)] + [path for path in seen if _read_seen(path) is None]


def _is_whole(path: Path) -> bool:
    try:
        return path.with_suffix(".sha256").read_text("ascii", "replace") == f"{file_digest(path)}  {path.name}\n"
    except OSError:
        return False


def _read_seen(path: Path) -> NDArray[np.uint64] | None:
    """Two numbers a row; ``None`` where they are not the bytes that were written."""
    data = path.read_bytes()
    digest, numbers = data[:_SHA], data[_SHA:]
    if hashlib.sha256(numbers).digest() != digest:
        return None
    return np.frombuffer(numbers, "<u8").astype(np.uint64).reshape(-1, 2)


def _write(path: Path, table: pa.Table) -> None:
    data = encode_table(table, _GROUP)
    try:
        store, line = path.parents[2], f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
        write_twice(store, path.with_suffix(".sha256"), line.encode("ascii"))
        write_twice(store, path, data)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or choose another store") from error


def _firsts(folder: Path) -> tuple[int, ...]:
    names = (path.stem for path in folder.glob("*.parquet")) if folder.is_dir() else ()
    return tuple(sorted(int(name) for name in names if name.isdigit()))


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:05d}.parquet"


def _numbers(table: pa.Table, name: str) -> NDArray[np.uint64]:
    found: NDArray[np.uint64] = table[name].to_numpy()
    return found
