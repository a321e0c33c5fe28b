"""What was read of a store's sources, as the last run or listing found it; the sources themselves are not looked at."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.manifests.sources_file import folder_of, read_reading, source_names
from fasgen.sources.reading import Reading, count

_KNOWN = ("kind", "label", "attack_type", "attack_family", "split", "device", "subject", "subject_is_pseudo", "video")


def readings(store: Path) -> list[Reading]:
    """Of every source, by name; listings from before there was such a record have none.

    Raises:
        StoreError: a record is damaged.
    """
    return [found for name in source_names(store) if (found := read(store, name)) is not None]


def read(store: Path, name: str) -> Reading | None:
    """Of one source.

    Raises:
        StoreError: the record is damaged.
    """
    document = read_reading(store, name)
    if document is None:
        return None
    try:
        return Reading.of(document)
    except (KeyError, TypeError, ValueError) as error:
        folder = folder_of(store, name)
        raise StoreError(f"{folder}: what was read is damaged ({error}): remove it, `fasgen run` writes it again") from None


def counted(name: str, table: Any) -> Reading:
    """The figures of a listing's rows, without those of people who were taken out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [table[one] if one in table.column_names else pa.nulls(table.num_rows) for one in _KNOWN]
    # A file is known by its first row.
    first = pc.equal(pc.fill_null(table["frame_k"], 0), 0)
    files = pa.table(columns, names=_KNOWN).filter(pc.and_(pc.is_valid(table["path"]), first))
    groups = files.group_by(list(_KNOWN)).aggregate([([], "count_all")]).to_pylist()
    return count(name, ((group, group["count_all"]) for group in groups))


def recounted(store: Path, name: str, table: Any, gone: Container[str]) -> dict[str, Any] | None:
    """The record of a source whose rows are ``table`` now, not naming the files ``gone``; None where there is none."""
    found = read(store, name)
    return None if found is None else found.recounted(counted(name, table), gone).document()
