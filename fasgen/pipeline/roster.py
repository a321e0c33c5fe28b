"""Drawing a stage's roster from the committed manifests of the stage it draws from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.manifests.parquet import read_table
from fasgen.manifests.roster_file import read_rows, roster_path, rosters, write_roster
from fasgen.pipeline.graph import resolve
from fasgen.records import Scalar
from fasgen.stages.stage import Roster, StageConfig

__all__ = ["draw_roster", "extend_roster", "roster_path"]

Draw = Callable[[Mapping[str, Any], StageConfig, int], Sequence[Mapping[str, Scalar]]]


def draw_roster(
    roster: Roster, config: StageConfig, seed: int, source: Path, units: Sequence[int], folder: Path, basis: str = ""
) -> None:
    """Draw and write the roster of the generation ``folder``.

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
    write_roster(folder, draw(read_rows(source, units), config, seed), roster.columns, basis=basis)


def extend_roster(
    roster: Roster, config: StageConfig, seed: int, source: Path, units: Sequence[int], added: Sequence[int], folder: Path
) -> None:
    """Draw and write the roster of units that are added to the generation ``folder``; those that are there stay as they are.

    The added rows meet guides from everywhere, as if they had been right at once. A photograph of which a roster has entries
    gets no others: it would be delivered twice.

    Args:
        roster: the stage's declaration.
        config: the configuration of the added units.
        seed: the run's seed.
        source: the generation whose rows are drawn from.
        units: its units that were not added.
        added: the added units.
        folder: the stage's own generation.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    import numpy as np

    draw: Draw = resolve(roster.draw)
    own = roster_path(folder, added[0])
    drawn = {
        parents[0]
        for path in rosters(folder)
        if path != own
        for parents in read_table(path, ["parent_ids"])["parent_ids"].to_pylist()
    }
    rows = read_rows(source, [*units, *added])
    again = np.isin(rows["unit"], list(added))
    late = set(rows["sample_id"][again]) - drawn
    # Of every photograph one row is drawn from: the later one, if it has none of its spoofs yet.
    kept = np.array([(sample in late) == late_row for sample, late_row in zip(rows["sample_id"], again, strict=True)], bool)
    entries = draw({name: values[kept] for name, values in rows.items()}, config, seed)
    write_roster(folder, [entry for entry in entries if entry["unit"] in set(added)], roster.columns, added[0])
