"""Which rows a stage takes that takes some only: by a protocol that was laid over the store, and by a filter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fasgen.errors import FilterError, StoreError
from fasgen.manifests.parquet import concatenated, read_schema, read_table
from fasgen.manifests.schema import arrow_schema
from fasgen.manifests.unit import manifest_path
from fasgen.records import Column
from fasgen.selection.row_sets import SIDES, TRAIN, RowSet, row_set
from fasgen.selection.selection import Mask, Selection, Selector, passing
from fasgen.stages.settings import Selected

if TYPE_CHECKING:
    import pyarrow as pa

    from fasgen.pipeline.listing import Listing


def asks(config: object) -> bool:
    """Whether a configuration takes some rows only."""
    return isinstance(config, Selected) and bool(config.where or config.protocol)


def with_rows(config: Any, store: Path) -> Any:
    """The configuration with the digest of its protocol's rows, which its plan hash then covers.

    Raises:
        StoreError: the store has no row sets of that protocol, or of several folds.
    """
    if not isinstance(config, Selected) or not config.protocol:
        return config
    return config.model_copy(update={"rows": _digest(row_set(store, config.protocol))})


def _digest(rows: RowSet) -> str:
    sides = {side: sorted(keys) for side, keys in rows.sides.items()}
    return hashlib.sha256(json.dumps(sides, sort_keys=True).encode()).hexdigest()


def check_filter(stage: str, config: object, asked: Mapping[str, Sequence[Column]]) -> None:
    """Refuse a filter before anything is made.

    Args:
        stage: whose it is.
        config: its configuration.
        asked: columns of the stages whose rows it is asked of, by their names.

    Raises:
        FilterError: it is none, or names a column that they do not have.
    """
    if not isinstance(config, Selected) or not config.where:
        return
    own = {column.name: column for columns in reversed(list(asked.values())) for column in columns}
    try:
        passing(arrow_schema(list(own.values())).empty_table(), config.where)
    except FilterError as error:
        raise FilterError(f"{stage}.where is asked of the rows of {' and '.join(asked)}: {error}") from None


def drawn(config: object, store: Path, source: Path, units: Sequence[int]) -> Mask | None:
    """(N,) which rows of a generation's units may be drawn, in their order: on the train side, and passing; None: all.

    Raises:
        StoreError: a manifest is damaged, or the protocol's rows are others by now.
    """

    if not isinstance(config, Selected) or not asks(config) or not units:
        return None
    _rows(config, store)
    known = read_schema(manifest_path(source, units[0])).names

    def read(columns: Sequence[str]) -> pa.Table:
        return concatenated(read_table(manifest_path(source, unit), list(columns)) for unit in units)

    return Selector(Selection(config.where, config.protocol)).keeps(store, known, read)


def on_sides(config: object, store: Path, listing: Listing, sides: Sequence[str] = SIDES) -> Mask | None:
    """(N,) which rows of the sources a stage's protocol has on some of its sides; None where it asks for none.

    Raises:
        StoreError: the protocol's rows are others by now.
    """
    rows = _rows(config, store) if isinstance(config, Selected) else None
    if rows is None:
        return None
    known = np.array([int(sample, 16) for side in sides for sample, _ in rows.sides[side]], np.uint64)
    return np.isin(listing.ids, known)


def refused(config: object, store: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> dict[tuple[str, int], str]:
    """Sample and variant of the rows of a unit that are not taken, and why.

    Taken are photographs on any side of the protocol, and what was made of those on its train side alone.

    Args:
        config: of the stage.
        store: where row sets lie.
        rows: by column, all that is known of each row.
        schema: of the columns.

    Raises:
        FilterError: the filter is none over these columns.
        StoreError: the protocol's rows are others by now.
    """
    import pyarrow as pa

    if not isinstance(config, Selected) or not asks(config) or not rows:
        return {}
    out: dict[tuple[str, int], str] = {}
    sides = _rows(config, store)
    for row in rows if sides else ():
        if sides and not _on(sides, row):
            out[row["sample_id"], row["variant"]] = f"is not among the rows of {config.protocol}"
    if config.where:
        passes = passing(pa.Table.from_pylist(list(rows), schema=schema), config.where)
        for row, keep in zip(rows, passes.tolist(), strict=True):
            if not keep:
                out.setdefault((row["sample_id"], row["variant"]), "does not pass where")
    return out


def _on(rows: RowSet, row: Mapping[str, Any]) -> bool:
    if row["variant"]:
        return all((parent, 0) in rows.sides[TRAIN] for parent in row["parent_ids"])
    return any((row["sample_id"], 0) in keys for keys in rows.sides.values())


def _rows(config: Selected, store: Path) -> RowSet | None:
    if not config.protocol:
        return None
    rows = row_set(store, config.protocol)
    if _digest(rows) != config.rows:
        raise StoreError(
            f"{store}: the rows of {config.protocol} are others than when this was planned: give the command again"
        )
    return rows
