"""Rows to parquet bytes and back, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import StoreError
from fasgen.manifests.schema import later_fields, unneeded
from fasgen.manifests.unit import KEY, UnitFacts
from fasgen.records import LATER

if TYPE_CHECKING:
    import pyarrow as pa


def encode_table(table: pa.Table, group_rows: int = 0) -> bytes:
    """Parquet bytes of a table: zstd, page checksums, nothing that depends on time or place.

    Args:
        table: the table.
        group_rows: rows of a row group; 0 for one group.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=group_rows or max(1, table.num_rows),
        write_page_checksum=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def encode_manifest(rows: Sequence[Mapping[str, Any]], schema: pa.Schema, facts: UnitFacts) -> bytes:
    """A unit's manifest; the facts go into the key-value metadata."""
    import pyarrow as pa

    left_out = unneeded(rows)
    written = pa.schema([one for one in schema if one.name not in left_out], {KEY: facts.encode()})
    return encode_table(pa.Table.from_pylist(list(rows), schema=written))


def encode_timing(unit: int, timing: Mapping[str, float]) -> bytes:
    """The sidecar: one row a measure."""
    import pyarrow as pa

    schema = pa.schema([("unit", pa.int32()), ("name", pa.string()), ("value", pa.float64())])
    rows = [{"unit": unit, "name": name, "value": float(value)} for name, value in timing.items()]
    return encode_table(pa.Table.from_pylist(rows, schema=schema))


_TOGETHER = 256
"""Tables that are taken before their rows become one block: each costs some 40 kB of its own, however few its rows."""


def concatenated(tables: Iterable[pa.Table], promote_options: str = "none") -> pa.Table:
    """The rows of one table or more, one after the other, without what their files' schemas say of themselves.

    Args:
        tables: given one by one, many units' tables never lie in memory beside each other.
        promote_options: as `pyarrow.concat_tables` has it.

    Raises:
        pyarrow.ArrowInvalid: their columns are not alike, or there is none.
    """
    import pyarrow as pa

    plain = (table.replace_schema_metadata(None) for table in tables)
    blocks: list[pa.Table] = []
    while group := list(islice(plain, _TOGETHER)):
        blocks.append(pa.concat_tables(group, promote_options=promote_options).combine_chunks())
    return pa.concat_tables(blocks, promote_options=promote_options)


def read_table(path: Path | BytesIO, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file's table, page checksums verified.

    Args:
        path: the file, or its bytes.
        columns: those wanted; all if ``None``. One of ``records.LATER`` that the file lacks is null, behind the others.

    Raises:
        StoreError: if it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A manifest is small: handing its columns to a pool of threads costs more than reading them.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
        table = file.read(columns=list(columns) if columns else None, use_threads=False)
        if columns and not LATER.isdisjoint(columns):
            # All files of a store give the same columns in the same order, whichever of them have one that came later.
            arrays = {name: table[name] for name in table.column_names}
            added = {one.name: pa.nulls(file.metadata.num_rows, one.type) for one in later_fields() if one.name in columns}
            there = {name: arrays.pop(name) for name in added if name in arrays}
            table = pa.table(arrays | added | there)
        return table
    except FileNotFoundError:
        raise StoreError(f"{path}: is not there: run the stage that makes it first") from None
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error}): run `fasgen verify`") from None


def read_schema(path: Path) -> pa.Schema:
    """A manifest's columns, those of ``records.LATER`` last, written or not.

    Raises:
        StoreError: if it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error}): run `fasgen verify`") from None
    return pa.schema([one for one in found if one.name not in LATER] + later_fields(), found.metadata)
