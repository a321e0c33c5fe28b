"""The rows of a store's generations as tables, stages in the order in which samples meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.manifests.parquet import concatenated, read_schema, read_table
from fasgen.manifests.plan_file import Generation, read_plan
from fasgen.manifests.unit import committed_units, manifest_path

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StageRows:
    """One generation's committed rows.

    Attributes:
        stage: stage name.
        folder: the generation's folder.
        plan: its ``plan.json``.
        units: committed units, ascending.
        table: rows in the order of units, then of the manifests.
    """

    stage: str
    folder: Path
    plan: dict[str, Any]
    units: list[int]
    table: pa.Table

    @property
    def upstream(self) -> dict[str, str]:
        """Plan hash by stage that this one read; empty for one that reads sources."""
        above = self.plan.get("upstream")
        return {str(name): str(digest) for name, digest in dict(above or {}).items() if name != "sources"}


def in_order(found: Iterable[Generation]) -> list[tuple[Generation, dict[str, Any]]]:
    """Generations with their plans: a stage after all that it reads, equals by folder name.

    Raises:
        StoreError: a plan is missing or damaged.
    """
    plans = [(generation, read_plan(generation.folder)) for generation in found]
    reads: dict[str, set[str]] = {}
    for generation, plan in plans:
        reads.setdefault(generation.stage, set()).update(dict(plan.get("upstream") or {}))

    def depth(stage: str, above: tuple[str, ...] = ()) -> int:
        # A ring can only stand in a plan that somebody edited; it must not hang a report.
        return 1 + max((depth(name, (*above, stage)) for name in reads.get(stage, ()) if name not in above), default=0)

    return sorted(plans, key=lambda one: (depth(one[0].stage), one[0].folder.name))


def schema_of(folder: Path) -> pa.Schema | None:
    """The schema of a generation's manifests; None before its first unit.

    Raises:
        StoreError: the first manifest is damaged.
    """
    units = committed_units(folder)
    return read_schema(manifest_path(folder, units[0])) if units else None


def read_stages(found: Iterable[Generation], wanted: Callable[[pa.Schema], Sequence[str]]) -> list[StageRows]:
    """The rows of generations that have committed something, stages in order.

    Args:
        found: the generations.
        wanted: from a generation's schema the columns to read.

    Raises:
        StoreError: a plan or manifest is damaged.
    """
    out = []
    for generation, plan in in_order(found):
        schema = schema_of(generation.folder)
        if schema is None:
            continue
        columns = list(wanted(schema))
        units = committed_units(generation.folder)
        table = concatenated(read_table(manifest_path(generation.folder, unit), columns) for unit in units)
        out.append(StageRows(generation.stage, generation.folder, plan, units, table))
    return out


def take(table: pa.Table, places: Iterable[int]) -> pa.Table:
    """Rows of a table by their numbers; none for no numbers, which an empty list alone would not say the type of."""
    import pyarrow as pa

    return table.take(pa.array(list(places), pa.int64()))
