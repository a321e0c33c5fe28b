"""Rosters: which variants a stage will make of which rows, beside which guides.

One file a generation, drawn anew when what it is drawn from has changed, and one more for each addition to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests import atomic
from fasgen.manifests.parquet import concatenated, encode_table, read_table
from fasgen.manifests.schema import checked, field, unneeded
from fasgen.manifests.spare import write_twice
from fasgen.manifests.unit import manifest_path
from fasgen.records import LATER, PROVENANCE, Column, Scalar

IDENTITY: tuple[Column, ...] = (
    Column("unit", "int32", "unit of the planned row"),
    Column("row", "int32", "row of the face that the variant is made from"),
    Column("variant", "int32", "number of the variant, from 1 on"),
    Column("place", "int32", "rank among the unit's planned rows; decides batch and slot"),
    Column("parent_ids", "list<string>", "samples it is made from, the live face first"),
    Column("reason", "string", "why the row is rejected unseen; null where it is not"),
    Column("detail", "string", "what exactly was missing"),
)
"""Columns of every roster, before provenance and a stage's own columns."""

ROSTERS = "rosters"
"""Folder of a generation in which the rosters of added units lie."""

_GROUP = 8192
_BASIS = b"fasgen.basis"
_NOTES = b"fasgen.notes"

SOURCE = ("sample_id", "unit", "row", "status", *(column.name for column in PROVENANCE))
"""What a roster is drawn from."""


def roster_path(folder: Path, first: int = 0) -> Path:
    """Where a generation's roster lies; that of units that were added, by the number of the first of them."""
    # Those of additions in a folder of their own: to find them, nobody shall list the names of all units.
    return folder / ROSTERS / f"{first:05d}.parquet" if first else folder / "roster.parquet"


def rosters(folder: Path) -> list[Path]:
    """The rosters of a generation, those of added units last."""
    return [path for path in (roster_path(folder), *sorted((folder / ROSTERS).glob("*.parquet"))) if path.exists()]


def read_rows(folder: Path, units: Sequence[int]) -> dict[str, Any]:
    """Identity, status and provenance of all rows of the units of a generation: an array of objects or numbers by name.

    Raises:
        StoreError: a unit is not committed or damaged.
    """
    import numpy as np

    if not units:
        return {name: np.empty(0, object) for name in SOURCE}
    whole = concatenated(read_table(manifest_path(folder, unit), SOURCE) for unit in units)
    # Numbers that can be null stay objects: NumPy would make NaN of a null.
    numbers = {"unit", "row"}
    return {name: whole[name].to_numpy() if name in numbers else np.array(whole[name].to_pylist(), object) for name in SOURCE}


def write_roster(
    folder: Path,
    entries: Sequence[Mapping[str, Scalar]],
    own: Sequence[Column],
    first: int = 0,
    basis: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write the roster of a generation, or of units that are added to it, complete or not at all.

    Args:
        folder: the generation's folder.
        entries: values by the names of ``IDENTITY``, ``PROVENANCE`` and ``own``; what is missing is null.
        own: the stage's columns.
        first: number of the first added unit.
        basis: digest over all that it was drawn from (`fasgen.manifests.inputs.drawn_from`).
        notes: what is to be known of it first.

    Raises:
        StoreError: a value does not fit its column, or the file cannot be written.
    """
    import pyarrow as pa

    columns = (*IDENTITY, *PROVENANCE, *own)
    known = {column.name for column in columns}
    for index, entry in enumerate(entries):
        if set(entry) - known:
            raise StoreError(f"roster, entry {index}: unknown columns {', '.join(sorted(set(entry) - known))}")
    left_out = unneeded(entries)
    columns = tuple(column for column in columns if column.name not in left_out)
    arrays = [
        pa.array(
            [checked(column, entry.get(column.name), f"roster, entry {i}") for i, entry in enumerate(entries)],
            type=field(column).type,
        )
        for column in columns
    ]
    metadata = {_BASIS: basis.encode()} | ({_NOTES: json.dumps(list(notes)).encode()} if notes else {})
    schema = pa.schema([field(column) for column in columns], metadata)
    table = pa.Table.from_arrays(arrays, schema=schema)
    path = roster_path(folder, first)
    try:
        _write(path, encode_table(table, _GROUP))
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or choose another store") from error


def firsts(folder: Path) -> list[int]:
    """What the rosters of a generation are known by, ascending: 0, and the first unit of every addition that has one."""
    return [int(path.stem) if path.parent != folder else 0 for path in rosters(folder)]


def basis_of(folder: Path, first: int = 0) -> str:
    """Digest over what a roster of a generation was drawn from; empty where there is no sound one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = roster_path(folder, first)
    if not _is_whole(path):
        return ""
    try:
        basis: bytes = (pq.read_schema(path).metadata or {}).get(_BASIS, b"")
        return basis.decode()
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return ""


def notes_of(folder: Path) -> list[str]:
    """What is to be known first of the roster of a generation; nothing where there is no sound roster."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [str(note) for note in parse_json((pq.read_schema(roster_path(folder)).metadata or {}).get(_NOTES, b"[]"))]
    except (OSError, pa.ArrowException, ValueError):
        return []


def rebase(folder: Path, basis: str, first: int = 0) -> None:
    """Write a roster of a generation anew with the same entries, as drawn from ``basis``.

    Raises:
        StoreError: it is damaged, or cannot be written.
    """
    path = roster_path(folder, first)
    table = read_table(path)
    metadata = dict(table.schema.metadata or {}) | {_BASIS: basis.encode()}
    _write(path, encode_table(table.replace_schema_metadata(metadata), _GROUP))


def entries_besides(folder: Path, units: Sequence[int]) -> list[dict[str, Scalar]]:
    """The entries that a generation's roster has of other units than ``units``; none where it is damaged or not there."""
    import numpy as np

    path = roster_path(folder)
    if not _is_whole(path):
        return []
    table = read_table(path)
    found: list[dict[str, Scalar]] = table.filter(~np.isin(table["unit"].to_numpy(), list(units))).to_pylist()
    return found


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _write(path: Path, data: bytes) -> None:
    # The digest first: a roster that is there is never without one.
    if not path.parent.is_dir():
        path.parent.mkdir()
        atomic.fsync_file(path.parent.parent)
    folder = path.parent.parent if path.parent.name == ROSTERS else path.parent
    line = f"{hashlib.sha256(data).hexdigest()}  {path.name}\n"
    write_twice(folder.parent, _digest_path(path), line.encode("ascii"))
    write_twice(folder.parent, path, data)


def damaged_rosters(folder: Path) -> list[Path]:
    """The rosters of a generation that have not the very bytes that were written."""
    return [path for path in rosters(folder) if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    try:
        return _digest_path(path).read_text("ascii", "replace") == f"{atomic.file_digest(path)}  {path.name}\n"
    except OSError:
        return False


def take_out(folder: Path, touched: Callable[[Mapping[str, Any]], bool]) -> int:
    """Write a generation's rosters anew without the entries that are ``touched``; returns how many there were.

    Raises:
        StoreError: a roster is damaged, or cannot be written.
    """
    count = 0
    for path in rosters(folder):
        table = read_table(path)
        gone = [touched(entry) for entry in table.to_pylist()]
        if any(gone):
            _write(path, encode_table(table.filter([not one for one in gone]), _GROUP))
        count += sum(gone)
    return count


def read_roster(folder: Path, unit: int) -> list[dict[str, Scalar]]:
    """The entries of one unit, by place.

    What one unit takes does not depend on how many there are: a process keeps the footer of a roster and the group of rows that
    it read last, in which the next unit mostly lies too.

    Raises:
        StoreError: there is no roster or it is damaged.
    """
    rows: list[dict[str, Scalar]] = []
    # Without any, the roster of the generation is what is missing.
    for path in rosters(folder) or [roster_path(folder)]:
        rows += _entries(path, unit)
    # What a later column says of other units is nothing that this one was made from.
    rows = [{name: value for name, value in row.items() if value is not None or name not in LATER} for row in rows]
    return sorted(rows, key=lambda entry: int(str(entry["place"])))


def _entries(path: Path, unit: int) -> list[dict[str, Scalar]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: list[dict[str, Scalar]] = []
    try:
        state = path.stat()
        version = path, state.st_ino, state.st_mtime_ns, state.st_size
        _, spans = _footer(version)
        for number, (least, most) in enumerate(spans):
            if least <= unit <= most:
                rows += _group(version, number).filter(pc.field("unit") == unit).to_pylist()
    except FileNotFoundError:
        raise StoreError(f"{path}: is not there: run the stage that makes it first") from None
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error}): run `fasgen verify`") from None
    return rows


_Version = tuple[Path, int, int, int]


@lru_cache(maxsize=4)
def _footer(version: _Version) -> tuple[Any, list[tuple[int, int]]]:
    """The footer of a roster, and the least and the greatest unit of each group of rows."""
    import pyarrow.parquet as pq

    footer = pq.read_metadata(version[0])
    at = footer.schema.to_arrow_schema().get_field_index("unit")
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    found = [group.column(at).statistics for group in groups if group.num_rows]
    return footer, [(one.min, one.max) for one in found]


@lru_cache(maxsize=4)
def _group(version: _Version, number: int) -> Any:
    """A group of rows of a roster, page checksums verified."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(version[0], metadata=_footer(version)[0], page_checksum_verification=True, pre_buffer=False) as file:
        return file.read_row_group(number, use_threads=False)
