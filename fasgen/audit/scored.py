"""A score that a stage gave, as a table to be evaluated: rows of photographs, with the sign that makes higher more live."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.audit.query import show
from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.plan_file import latest, read_plan
from fasgen.manifests.products import cutter, products, units_of
from fasgen.manifests.unit import unit_summary
from fasgen.records import PHOTOGRAPHED

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("sample_id", "variant", "status", "dataset", "path", "frame", "video", "subject", "label", "attack_type", "split")


@dataclass(frozen=True, slots=True)
class StageScores:
    """The rows of a store that a stage scored.

    Attributes:
        table: sample_id, dataset, path, frame, video, subject, label, attack_type, split and ``score``, in which higher is more
            live.
        sign: what was done to the column, in words.
        faces: settings of the stage that cut the faces; None where it is no longer there.
        rows: of that stage, ``planned``, ``ok`` and ``reasons``.
    """

    table: pa.Table
    sign: str
    faces: dict[str, Any] | None
    rows: dict[str, Any]


def stage_scores(store: Path, column: str) -> StageScores:
    """The values of a score in the current generation of the stage that has it, of photographs alone.

    Raises:
        ConfigError: no stage has such a score, or it tells nothing of live and spoof.
        StoreError: a manifest is damaged, or no row has a value.
    """
    import pyarrow.compute as pc

    plans = [(one, products(read_plan(one.folder))) for one in latest(store)]
    told = [(one, made) for one, made in plans if PHOTOGRAPHED in made.lanes]
    by_name = {name: (one.stage, way) for one, made in told for name, way in made.scores.items()}
    usable = sorted(name for name, (_, way) in by_name.items() if way in ("live", "spoof"))
    there = f"these can be: {', '.join(usable)}" if usable else "none of its stages gives one: `fasgen run` them first"
    if column not in by_name:
        raise ConfigError(f"--score {column}: {store} has no such score of photographs; {there}")
    stage, way = by_name[column]
    if way not in ("live", "spoof"):
        raise ConfigError(
            f"--score {column}: higher is {way} there, which tells nothing of live and spoof and cannot be evaluated; {there}"
        )
    rows = show(
        store, f"stage = '{stage}' and variant = 0 and status = 'ok' and {column} is not null", (*COLUMNS, column), None
    )
    if not rows.num_rows:
        raise StoreError(f"{store}: no row of a photograph has {column} yet: `fasgen run stage={stage}` makes them")
    values = rows[column].cast("float64")
    rows = rows.append_column("score", pc.negate(values) if way == "spoof" else values)
    sign = (
        f"score {column} of the stage {stage}: higher is more like {'a spoof, so it is negated' if way == 'spoof' else 'live'}"
    )
    cut = cutter(store)
    summaries = [unit_summary(folder, unit) for folder, unit in units_of(cut)]
    reasons: Counter[str] = Counter()
    for one in summaries:
        reasons.update(one.reasons)
    counts: dict[str, Any] = {name: sum(getattr(one, name) for one in summaries) for name in ("planned", "ok")}
    faces = dict(read_plan(cut.folder).get("config") or {}) if cut else None
    return StageScores(rows, sign, faces, counts | {"reasons": dict(reasons)})
