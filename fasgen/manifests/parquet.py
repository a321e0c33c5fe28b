"""Rows to parquet bytes and back, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import StoreError
from fasgen.manifests.unit import KEY, UnitFacts

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

    return encode_table(pa.Table.from_pylist(list(rows), schema=schema.with_metadata({KEY: facts.encode()})))


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


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A parquet file's table, page checksums verified.

    Args:
        path: the file.
        columns: those wanted; all if ``None``.

    Raises:
        StoreError: if it is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # A manifest is small: handing its columns to a pool of threads costs more than reading them.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
        return file.read(columns=list(columns) if columns else None, use_threads=False)
    except FileNotFoundError:
        raise StoreError(f"{path}: is not there: run the stage that makes it first") from None
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error}): run `fasgen verify`") from None
