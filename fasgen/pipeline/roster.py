"""Drawing a stage's roster from the committed manifests of the stage it draws from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.manifests.parquet import read_table
from fasgen.manifests.roster_file import entries_besides, firsts, read_rows, roster_path, write_roster
from fasgen.pipeline.graph import resolve
from fasgen.records import Scalar
from fasgen.stages.stage import Roster, StageConfig

Draw = Callable[[Mapping[str, Any], StageConfig, int], Sequence[Mapping[str, Scalar]]]


def draw_roster(
    roster: Roster, config: StageConfig, seed: int, source: Path, units: Sequence[int], folder: Path, basis: str = ""
) -> None:
    """Draw and write the roster of the generation ``folder``; entries of units that are not drawn from now stay in it.

    Args:
        roster: the stage's declaration.
        config: the stage's configuration.
        seed: the run's seed.
        source: the generation whose rows are drawn from.
        units: its units.
        folder: the stage's own generation.
        basis: digest over those units.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    draw: Draw = resolve(roster.draw)
    entries = [*draw(read_rows(source, units), config, seed), *entries_besides(folder, units)]
    write_roster(folder, sorted(entries, key=lambda entry: (entry["unit"], entry["place"])), roster.columns, basis=basis)


def extend_roster(
    roster: Roster,
    config: StageConfig,
    seed: int,
    source: Path,
    units: Sequence[int],
    added: Sequence[int],
    folder: Path,
    basis: str = "",
) -> None:
    """Draw and write the roster of units that are added to the generation ``folder``; the other rosters stay as they are.

    The added rows meet guides from everywhere, as if they had been right at once. A photograph of which an earlier roster has
    entries gets no others: it would be delivered twice.

    Args:
        roster: the stage's declaration.
        config: the configuration of the added units.
        seed: the run's seed.
        source: the generation whose rows are drawn from.
        units: its units that were not added.
        added: the added units.
        folder: the stage's own generation.
        basis: digest over those units and the earlier rosters.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    import numpy as np

    draw: Draw = resolve(roster.draw)
    drawn = {
        parents[0]
        for first in firsts(folder)
        if first < added[0]
        for parents in read_table(roster_path(folder, first), ["parent_ids"])["parent_ids"].to_pylist()
    }
    rows = read_rows(source, [*units, *added])
    again = np.isin(rows["unit"], list(added))
    late = set(rows["sample_id"][again]) - drawn
    # Of every photograph one row is drawn from: the later one, if it has none of its spoofs yet.
    kept = np.array([(sample in late) == late_row for sample, late_row in zip(rows["sample_id"], again, strict=True)], bool)
    entries = draw({name: values[kept] for name, values in rows.items()}, config, seed)
    own = [entry for entry in entries if entry["unit"] in set(added)]
    write_roster(folder, own, roster.columns, added[0], basis)
