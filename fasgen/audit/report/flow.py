"""Conservation: how many rows each stage got, kept and turned away, and whether any went missing on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.stage_rows import StageRows
from fasgen.manifests.products import products
from fasgen.manifests.sources_file import read_sources, source_names
from fasgen.manifests.unit import unit_facts

_UNIT, _ROW, _VARIANT = 40, 16, (1 << 16) - 1


class _Given(NamedTuple):
    source: str
    given: int | None
    missing: int = 0
    makes: bool = False


def flow(store: Path, stages: Sequence[StageRows]) -> list[dict[str, Any]]:
    """One plain document a stage, in order.

    Keys: ``stage``, ``folder``, ``summary``, ``plan_hash``, ``version``, ``units`` committed, ``of`` units planned, ``rows``
    (= ok + filtered + failed), ``ok``, ``filtered``, ``failed``, ``reasons``, ``bytes``, ``weights`` by role, ``settings``,
    ``source``: the upstream whose ok rows these are, ``given``: how many rows that one passed on in the units both have (None
    where its generation is not drawn here: deleted, or no longer the current one), ``missing``: how many of those have no row
    here, ``makes``: whether its rows are new samples, of which one row above gives several or none, ``behind``: folders of the
    generations that it read where these are not the ones that are drawn, ``sound``: whether footers and rows give the same
    counts and these add up.
    """
    named = {stage.stage: stage for stage in stages}
    listed = sum(read_sources(store, name).num_rows for name in source_names(store))
    return [_stage(stage, named, listed) for stage in stages]


def _stage(stage: StageRows, named: Mapping[str, StageRows], listed: int) -> dict[str, Any]:
    summaries = [unit_facts(stage.folder, unit).summary for unit in stage.units]
    counted: dict[str, int] = {}
    for name in stage.table["status"].to_pylist():
        counted[name] = counted.get(name, 0) + 1
    reasons: dict[str, int] = {}
    for summary in summaries:
        for reason, count in summary.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    told = {name: sum(getattr(each, name) for each in summaries) for name in ("ok", "filtered", "failed")}
    got = _given(stage, named, listed)
    return {
        "stage": stage.stage,
        "folder": stage.folder.name,
        "summary": str(stage.plan.get("summary") or ""),
        "plan_hash": str(stage.plan.get("plan_hash") or ""),
        "version": stage.plan.get("version"),
        "units": len(stage.units),
        "of": stage.plan.get("units"),
        "rows": stage.table.num_rows,
        **{name: counted.get(name, 0) for name in ("ok", "filtered", "failed")},
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "bytes": sum(each.bytes for each in summaries),
        "weights": {str(role): str(digest) for role, digest in dict(stage.plan.get("weights") or {}).items()},
        "settings": stage.plan.get("config") or {},
        "source": got.source,
        "given": got.given,
        "missing": got.missing,
        "makes": got.makes,
        "behind": _behind(stage, named),
        "sound": told == {name: counted.get(name, 0) for name in told} and sum(told.values()) == stage.table.num_rows,
    }


def _given(stage: StageRows, named: Mapping[str, StageRows], listed: int) -> _Given:
    """What this stage got, and what of it is missing here."""
    made = products(stage.plan)
    if not stage.upstream:
        planned = stage.plan.get("rows")
        whole = stage.plan.get("units") == len(stage.units)
        given = listed if whole and listed == planned else stage.table.num_rows
        return _Given("sources", given, max(0, given - stage.table.num_rows))
    source = ", ".join(made.primaries)
    old = {folder.rpartition("-")[0] for folder in _behind(stage, named)}
    if not made.primaries or not all(name in named and name not in old for name in made.primaries):
        return _Given(source or ", ".join(stage.upstream), None)
    mine = _places(stage, only_ok=False)
    if made.draws:
        # Which rows are made into new ones is the stage's choice, so none can be called missing.
        return _Given(source, len(np.unique(mine >> _ROW)), 0, makes=True)
    passed = np.unique(np.concatenate([_places(named[name], only_ok=True) for name in made.primaries]))
    passed = passed[np.isin(passed >> _UNIT, stage.units)]
    return _Given(source, len(passed), len(np.setdiff1d(passed, mine, assume_unique=True)))


def _behind(stage: StageRows, named: Mapping[str, StageRows]) -> list[str]:
    return [
        f"{name}-{digest[:8]}"
        for name, digest in sorted(stage.upstream.items())
        if name in named and named[name].plan.get("plan_hash") != digest
    ]


def conserved(stage: Mapping[str, Any]) -> bool:
    """Whether the counts of a stage contradict neither each other nor those of what it reads, as far as both are there."""
    return bool(stage["sound"]) and not stage["missing"]


def verdict(stages: Sequence[Mapping[str, Any]], waiting: Sequence[str] = ()) -> tuple[str, bool]:
    """What may be said of the whole in a line or two, and whether it is well.

    Args:
        stages: what ``flow`` says.
        waiting: stages that are planned and have no unit yet.
    """
    lost = [one["stage"] for one in stages if not conserved(one)]
    if lost:
        return f"Rows are missing or miscounted at {', '.join(lost)}: run fasgen verify.", False
    told = []
    if nothing := [one["stage"] for one in stages if one["rows"] and not one["ok"]]:
        told.append(f"{', '.join(nothing)} kept nothing.")
    if dry := [one["stage"] for one in stages if not one["rows"]]:
        told.append(f"Nothing came to {', '.join(dry)}.")
    if unfinished := [
        f"{one['stage']} {one['units']} of {one['of']}" for one in stages if one["of"] not in (None, one["units"])
    ]:
        told.append(f"Not all units are made yet: {', '.join(unfinished)}.")
    if waiting:
        told.append(f"Nothing is made yet at {', '.join(waiting)}.")
    if unknown := [one["stage"] for one in stages if one["given"] is None]:
        told.append(f"What was passed on to {', '.join(unknown)} is not known: what they were made of is not drawn here.")
    if told:
        return " ".join(["No row is missing, yet not all is well.", *told]), False
    return "Every row is accounted for at every stage.", True


def stale(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each stage that was made of something else than what is drawn beside it."""
    return [
        f"{one['stage']} was made of {', '.join(one['behind'])}, which is not what is drawn here: "
        f"fasgen run stage={one['stage']} makes it anew"
        for one in stages
        if one["behind"]
    ]


def _places(stage: StageRows, *, only_ok: bool) -> NDArray[np.int64]:
    """Each different (unit, row, variant) of a stage as one number."""
    unit, row, variant = (stage.table[name].to_numpy().astype(np.int64) for name in ("unit", "row", "variant"))
    places = unit << _UNIT | row << _ROW | variant & _VARIANT
    if only_ok:
        places = places[np.asarray(stage.table["status"].to_pylist()) == "ok"]
    found: NDArray[np.int64] = np.unique(places)
    return found
