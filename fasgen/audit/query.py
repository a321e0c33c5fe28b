"""Questions to the manifests of a store: a filter in SQL's expression language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.stage_rows import schema_of
from fasgen.errors import FilterError, StoreError
from fasgen.manifests.parquet import concatenated, read_table
from fasgen.manifests.plan_file import Generation, latest
from fasgen.manifests.unit import committed_units, manifest_path
from fasgen.selection.expression import translate, unknown
from fasgen.selection.filter import Filter

if TYPE_CHECKING:
    import pyarrow as pa

STAGE = "stage"
"""The column that a query adds: the stage whose manifest the row stands in."""

CHUNK = 1 << 17
"""Rows that are looked at in one go: what a query holds in memory does not grow with the store, only with its answer."""


def show(store: Path, filter_sql: str | None, columns: Sequence[str] | None = None, limit: int | None = 50) -> pa.Table:
    """Rows of all stages' latest generations that pass a filter, stages by name, rows in the order of their manifests.

    Args:
        store: the store.
        filter_sql: an SQL expression over the manifests' columns and ``stage``, such as ``brisque > 55 and status == "ok"``;
            a word in double quotes that is no column is a text. None or blank: every row.
        columns: columns to show; None: all that the rows have. A column that a stage lacks is null in its rows.
        limit: rows at most; None: all.

    Raises:
        FilterError: if the expression is not one, or names a column that no manifest has, or ``columns`` does.
        StoreError: if a manifest is damaged.
    """
    import pyarrow as pa

    found = latest(store)
    schemas = {generation.folder: schema for generation in found if (schema := schema_of(generation.folder)) is not None}
    if not schemas:
        raise StoreError(f"{store}: has no committed unit yet: `fasgen run` makes them")
    known = list(dict.fromkeys([STAGE, *(name for schema in schemas.values() for name in schema.names)]))
    shown = list(columns) if columns else known
    for name in shown:
        if name not in known:
            raise unknown(name, known)
    expression = translate(filter_sql, known) if filter_sql and filter_sql.strip() else None
    types = {field.name: field.type for schema in schemas.values() for field in schema}
    left = limit
    tables = []
    with Filter(expression, known) as keeps:
        for generation in found:
            schema = schemas.get(generation.folder)
            if schema is None:
                continue
            wanted = [name for name in shown if name in schema.names]
            tables.append(_labelled(schema.empty_table().select(wanted), generation))
            for unit, places in _hits(generation, keeps, types, schema):
                # Without any column a table forgets its length, so there is always one.
                part = read_table(manifest_path(generation.folder, unit), wanted or ["row"])
                part = part.take(places[:left])
                tables.append(_labelled(part, generation))
                if left is not None:
                    left -= part.num_rows
                    if left <= 0:
                        break
            if left is not None and left <= 0:
                break
    try:
        answer = concatenated(tables, "permissive")
    except pa.ArrowException as error:
        raise FilterError(f"stages give one of the columns different types ({error}): name the columns you want") from None
    return answer.select([name for name in shown if name in answer.schema.names])


def _labelled(table: pa.Table, generation: Generation) -> pa.Table:
    import pyarrow as pa

    return table.add_column(0, STAGE, pa.repeat(pa.scalar(generation.stage, pa.string()), table.num_rows))


def _hits(
    generation: Generation, keeps: Filter, types: dict[str, Any], schema: pa.Schema
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each unit that has rows which pass, with their places in its manifest."""
    import pyarrow as pa

    wanted = [name for name in schema.names if name in keeps.names] or ["row"]
    missing = [name for name in keeps.names if name not in schema.names and name != STAGE]
    parts: list[pa.Table] = []
    units: list[int] = []
    all_units = committed_units(generation.folder)
    for unit in all_units:
        parts.append(read_table(manifest_path(generation.folder, unit), wanted).replace_schema_metadata(None))
        units.append(unit)
        if sum(part.num_rows for part in parts) < CHUNK and unit != all_units[-1]:
            continue
        table = _labelled(pa.concat_tables(parts), generation)
        for name in missing:
            table = table.append_column(name, pa.nulls(table.num_rows, types[name]))
        ends = np.cumsum([part.num_rows for part in parts])
        found = keeps(table)
        # The places ascend, so each unit's are a slice of them.
        cuts = np.searchsorted(found, ends)
        for number, end, part, first, last in zip(units, ends, parts, [0, *cuts[:-1]], cuts, strict=True):
            if last > first:
                yield number, found[first:last] - (end - part.num_rows)
        parts, units = [], []
