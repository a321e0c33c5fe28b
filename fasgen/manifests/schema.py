"""The columns of a manifest, as Arrow types with units and meaning attached."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fasgen.errors import StoreError
from fasgen.records import LATER, PROVENANCE, Column, Scalar

if TYPE_CHECKING:
    import pyarrow as pa

COMMON: tuple[Column, ...] = (
    Column("sample_id", "string", "stable id of the sample, 16 hex digits; variants have that of their first parent"),
    Column("parent_ids", "list<string>", "samples that a variant was made from, the live face first; empty for variant 0"),
    Column("unit", "int32", "unit the row belongs to"),
    Column("row", "int32", "place in the unit's slice of the sources listing, from 0; inherited by all downstream stages"),
    Column("variant", "int32", "0 for what was photographed, from 1 on for what was synthesised from it"),
    Column("status", "string", "ok, filtered or failed"),
    Column("reason", "string", "why there is no product; null where there is one"),
    Column("detail", "string", "what exactly was wrong; null for ok rows"),
    Column("seed", "int64", "seed of all randomness of this row", "[0, 2^63)"),
    *PROVENANCE,
    Column("member", "string", "first tar member of the row; null where it has none"),
    Column("payload_digest", "string", "SHA-256 over the row's members and arrays (raw, little-endian, C order), as stored"),
    Column("payload_bytes", "int64", "length of what payload_digest covers", "bytes"),
    Column("array_index", "int32", "index of the row along axis 0 of the unit's arrays; null for rows that are not ok"),
    Column("plan_hash", "string", "SHA-256 of the plan that made the row"),
    Column("weights", "string", "digest of the weights that made the row; empty for stages without weights"),
)
"""The columns of every manifest, in order; a stage's own columns follow."""

REQUIRED = frozenset({"sample_id", "parent_ids", "unit", "row", "variant", "status", "seed", "plan_hash", "weights"})
"""Columns that are never null."""

_DETAIL_LIMIT = 2000
_LIMITS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}


def arrow_schema(own: Sequence[Column]) -> pa.Schema:
    """Arrow schema of ``COMMON`` followed by a stage's own columns; units and docs are field metadata.

    Raises:
        StoreError: if an own column has the name of another column.
    """
    import pyarrow as pa

    seen = {column.name for column in COMMON}
    for column in own:
        if column.name in seen:
            raise StoreError(f"column {column.name!r} is declared twice: rename the stage's own column")
        seen.add(column.name)
    return pa.schema([field(column, nullable=column.name not in REQUIRED) for column in (*COMMON, *own)])


def unneeded(rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The columns of `LATER` in which no row has a value: they are not written."""
    left = set(LATER)
    for row in rows:
        left -= {name for name in left if row.get(name) is not None}
        if not left:
            break
    return frozenset(left)


def later_fields() -> list[pa.Field]:
    """Arrow fields of the columns of `LATER`."""
    return [field(column) for column in PROVENANCE if column.name in LATER]


def field(column: Column, nullable: bool = True) -> pa.Field:
    """Arrow field of one column."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "uint64": pa.uint64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "list<string>": pa.list_(pa.string()),
        "list<float32>": pa.list_(pa.float32()),
    }
    metadata = {"doc": column.doc} | ({"unit": column.unit} if column.unit else {})
    return pa.field(column.name, types[column.kind], nullable=nullable, metadata=metadata)


def text(value: str) -> str:
    """``value`` as storable text: lone surrogates, which UTF-8 has no bytes for, become ``\\udcXX`` escapes."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def detail_text(value: str) -> str:
    """A reject's detail as stored: one storable string of bounded length."""
    return text(value if len(value) <= _DETAIL_LIMIT else value[: _DETAIL_LIMIT - 1] + "…")


def checked(column: Column, value: Any, where: str) -> Scalar:
    """``value`` as the plain Python value that ``column`` stores; NumPy scalars and arrays are converted.

    Args:
        column: the column's declaration.
        value: the value as a stage gave it.
        where: what the row is, for the message.

    Raises:
        StoreError: if the value is not of the column's kind or does not fit into it.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None:
        return None
    if column.kind.startswith("list<") and isinstance(value, list | tuple):
        item = Column(column.name, "string" if column.kind == "list<string>" else "float32", column.doc)
        items: list[Any] = [checked(item, each, where) for each in value]
        if None not in items:
            return items
    elif column.kind == "string" and isinstance(value, str):
        return text(value)
    elif column.kind == "bool" and isinstance(value, bool):
        return value
    elif isinstance(value, bool):
        pass
    elif column.kind in _LIMITS and isinstance(value, int):
        low, high = _LIMITS[column.kind]
        if low <= value <= high:
            return value
    elif column.kind in ("float32", "float64") and isinstance(value, int | float):
        number = float(value)
        return number if column.kind == "float64" or not math.isfinite(number) else _float32(number)
    raise StoreError(f"{where}: column {column.name!r} is {column.kind}, but the stage gave {value!r}: make the two agree")


def _float32(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))
