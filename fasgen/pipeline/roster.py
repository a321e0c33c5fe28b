"""Drawing a stage's roster from the committed manifests of the stage it draws from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.manifests.roster_file import read_rows, roster_path, write_roster
from fasgen.pipeline.graph import resolve
from fasgen.records import Scalar
from fasgen.stages.stage import Roster, StageConfig

__all__ = ["draw_roster", "roster_path"]


def draw_roster(roster: Roster, config: StageConfig, seed: int, source: Path, units: Sequence[int], folder: Path) -> None:
    """Draw and write the roster of the generation ``folder``.

    Args:
        roster: the stage's declaration.
        config: the stage's configuration.
        seed: the run's seed.
        source: the generation whose rows are drawn from.
        units: its units.
        folder: the stage's own generation.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    draw: Callable[[Mapping[str, Any], StageConfig, int], Sequence[Mapping[str, Scalar]]] = resolve(roster.draw)
    write_roster(folder, draw(read_rows(source, units), config, seed), roster.columns)
