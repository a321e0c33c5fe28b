"""Drawing a stage's roster from the committed manifests of the stage it draws from."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.manifests.parquet import read_table
from fasgen.manifests.roster_file import SOURCE, entries_besides, firsts, read_rows, roster_path, write_roster
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.listing import Listing
from fasgen.pipeline.selecting import drawn, on_sides
from fasgen.records import Scalar
from fasgen.selection.row_sets import TRAIN
from fasgen.selection.selection import Mask
from fasgen.stages.stage import Roster, StageConfig

Draw = Callable[[Mapping[str, Any], StageConfig, int], Sequence[Mapping[str, Scalar]]]


def draw_roster(
    roster: Roster,
    config: StageConfig,
    seed: int,
    source: Path,
    units: Sequence[int],
    folder: Path,
    basis: str = "",
    store: Path | None = None,
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
        store: where the row sets of protocols lie, by which ``config`` may choose rows; None: all rows.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    draw: Draw = resolve(roster.draw)
    rows = _chosen(read_rows(source, units), drawn(config, store, source, units) if store else None)
    entries = [*draw(rows, config, seed), *entries_besides(folder, units)]
    entries.sort(key=lambda entry: (entry["unit"], entry["place"]))
    write_roster(folder, entries, roster.columns, basis=basis, notes=_notes(roster, rows, config))


def _chosen(rows: dict[str, Any], kept: Mask | None) -> dict[str, Any]:
    return rows if kept is None else {name: values[kept] for name, values in rows.items()}


def _notes(roster: Roster, rows: Mapping[str, Any], config: StageConfig) -> list[str]:
    return list(resolve(roster.notes)(rows, config)) if roster.notes else []


FORESEEN = 20_000
"""Most rows of which it is foreseen who will meet whom; of more, as many are taken from all over, and stand for all."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a roster would hold if every row passed the stages above.

    Attributes:
        entries: its entries, by unit.
        rejected: those of them that would be rejected unseen, by reason.
        notes: what is to be known of it first.
        scale: rows for which each that was looked at stands.
    """

    entries: Mapping[int, float]
    rejected: Mapping[str, int]
    notes: tuple[str, ...]
    scale: float = 1.0


def foresee(roster: Roster, config: StageConfig, seed: int, rows: Listing, store: Path | None = None) -> Foreseen:
    """What a roster would hold, from what the sources alone say of their rows.

    Of a filter nothing is known before the rows that it asks of are made: all are taken to pass it.
    """
    import numpy as np

    kept = on_sides(config, store, rows, (TRAIN,)) if store else None
    there = np.arange(len(rows.rows)) if kept is None else np.flatnonzero(kept)
    total = len(there)
    chosen = there[np.unique(np.linspace(0, total - 1, min(total, FORESEEN)).round().astype(int))].tolist() if total else []
    scale = total / len(chosen) if chosen else 1.0
    starts = {start: unit for unit, (start, _) in rows.cut.items()}
    firsts = sorted(starts)
    table: dict[str, list[Any]] = {name: [] for name in SOURCE}
    for place in chosen:
        start = firsts[bisect_right(firsts, place) - 1]
        row = rows.rows[place]
        known = row.as_dict() | {
            "unit": starts[start],
            "row": place - start,
            "status": "filtered" if place in rows.gone else "ok",
        }
        for name, values in table.items():
            values.append(known.get(name))
    arrays = {name: np.array(values, np.int64 if name in {"unit", "row"} else object) for name, values in table.items()}
    draw: Draw = resolve(roster.draw)
    entries: Counter[int] = Counter()
    rejected: Counter[str] = Counter()
    for entry in draw(arrays, config, seed):
        entries[int(str(entry["unit"]))] += 1
        if entry.get("reason"):
            rejected[str(entry["reason"])] += 1
    notes = tuple(_notes(roster, arrays, config))
    return Foreseen({unit: scale * count for unit, count in entries.items()}, rejected, notes, scale)


def extend_roster(
    roster: Roster,
    config: StageConfig,
    seed: int,
    source: Path,
    units: Sequence[int],
    added: Sequence[int],
    folder: Path,
    basis: str = "",
    store: Path | None = None,
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
        store: as of `draw_roster`.

    Raises:
        StoreError: a unit of the source is damaged, or the roster cannot be written.
    """
    import numpy as np

    draw: Draw = resolve(roster.draw)
    before = {
        parents[0]
        for first in firsts(folder)
        if first < added[0]
        for parents in read_table(roster_path(folder, first), ["parent_ids"])["parent_ids"].to_pylist()
    }
    everyone = [*units, *added]
    rows = _chosen(read_rows(source, everyone), drawn(config, store, source, everyone) if store else None)
    again = np.isin(rows["unit"], list(added))
    late = set(rows["sample_id"][again]) - before
    # Of every photograph one row is drawn from: the later one, if it has none of its spoofs yet.
    kept = np.array([(sample in late) == late_row for sample, late_row in zip(rows["sample_id"], again, strict=True)], bool)
    entries = draw({name: values[kept] for name, values in rows.items()}, config, seed)
    own = [entry for entry in entries if entry["unit"] in set(added)]
    write_roster(folder, own, roster.columns, added[0], basis)
