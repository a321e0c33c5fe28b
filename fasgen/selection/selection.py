"""One choice of rows: by a protocol's side or by split, and by a filter; and what it left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fasgen.selection.expression import translate
from fasgen.selection.filter import Filter
from fasgen.selection.row_sets import TRAIN, RowSet, row_set

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for.

    Attributes:
        where: a filter in SQL's expression language over the columns that there are; None passes every row.
        protocol: a protocol whose row sets lie in the store; None asks for none.
        side: side of the protocol that is taken.
        splits: splits that are taken where no protocol is named, and rows without one; empty takes all.
    """

    where: str | None = None
    protocol: str | None = None
    side: str = TRAIN
    splits: tuple[str, ...] = ()


@dataclass(slots=True)
class Selector:
    """A selection asked of one store after another.

    Attributes:
        selection: what is asked for.
        left_out: by store, how many rows were left out, by why.
    """

    selection: Selection = Selection()
    left_out: dict[Path, dict[str, int]] = field(default_factory=dict)

    def keeps(self, store: Path, known: Sequence[str], read: Callable[[Sequence[str]], pa.Table]) -> Mask:
        """(N,) which rows are taken.

        Args:
            store: where they lie, with the row sets of protocols.
            known: columns that they have; ``sample_id``, ``variant`` and ``split`` are among them.
            read: those of the columns that it is given, N rows.

        Raises:
            FilterError: the filter is not one, or names a column that is not known.
            StoreError: the store has no row sets of the protocol.
        """
        asked = self.selection
        named = translate(asked.where, known).names if asked.where else set()
        table = read([name for name in known if name in named | {"sample_id", "variant", "split"}])
        chosen = np.ones(table.num_rows, bool)
        out: dict[str, int] = {}
        if asked.protocol:
            there = on_side(row_set(store, asked.protocol), asked.side, table)
            out[f"not on the {asked.side} side of {asked.protocol}"] = int((~there).sum())
            chosen &= there
        elif asked.splits:
            splits = table["split"].to_pylist()
            for split in sorted({one for one in splits if one is not None and one not in asked.splits}):
                other = np.array([one == split for one in splits], bool)
                out[f"of split {split}"] = int(other.sum())
                chosen &= ~other
        if asked.where:
            passes = passing(table, asked.where, known)
            out["not passing where"] = int((chosen & ~passes).sum())
            chosen &= passes
        self.left_out[store] = {why: count for why, count in out.items() if count}
        return chosen

    def counted(self) -> dict[str, int]:
        """What was left out of all stores: how many, by why."""
        total: dict[str, int] = {}
        for out in self.left_out.values():
            for why, count in out.items():
                total[f"left out {why}"] = total.get(f"left out {why}", 0) + count
        return total


def on_side(rows: RowSet, side: str, table: pa.Table) -> Mask:
    """(N,) which rows of ``table`` are on a side of a protocol."""
    wanted = rows.sides[side]
    keys = zip(table["sample_id"].to_pylist(), table["variant"].to_pylist(), strict=True)
    return np.fromiter((key in wanted for key in keys), bool, table.num_rows)


def passing(table: pa.Table, where: str, known: Sequence[str] = ()) -> Mask:
    """(N,) which rows of ``table`` pass a filter over its columns, or over ``known``, of which it has those that are named.

    Raises:
        FilterError: the filter is not one, or names a column that is not there.
    """
    columns = known or table.column_names
    passes = np.zeros(table.num_rows, bool)
    with Filter(translate(where, columns), columns) as keeps:
        passes[keeps(table)] = True
    return passes
