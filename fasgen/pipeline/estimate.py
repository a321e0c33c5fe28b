"""How long a run will take and how much it will write: from units that are committed, else from a short probe."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import exp, lgamma
from pathlib import Path
from typing import Any, Literal

from fasgen.cache_folder import cache_home
from fasgen.errors import FasgenError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import read_table
from fasgen.manifests.roster_file import notes_of
from fasgen.manifests.unit import UnitSummary, timing_path, unit_summary
from fasgen.manifests.yields import Yield, yield_of
from fasgen.pipeline.calling import one_line
from fasgen.pipeline.engine import SourceSlice, UpstreamUnit
from fasgen.pipeline.events import Key
from fasgen.pipeline.forecast import Expected, makespan
from fasgen.pipeline.graph import ascii_json
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.resources import domain
from fasgen.pipeline.roster import Foreseen, draw_roster, foresee
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.selecting import on_sides
from fasgen.pipeline.stage_plan import StagePlan
from fasgen.pipeline.worker import Worker

PROBE_ROWS = 32
"""Most rows that a probe pushes through a stage: one full batch of most."""

START = 8.0
"""Seconds until workers take their first unit: Ray and their libraries are loaded."""

KEPT_PROBES = 64
"""Probes that are kept, the last ones."""

TIMED_UNITS = 20
"""Most committed units whose timings are read, the last ones: enough for a mean, few enough for a cluster's disk."""

PHASES = ("load", "compute", "write")
"""Phases that overlap: the longest one bounds what a worker gets through."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of a few rows at one stage, run in this process and thrown away.

    Attributes:
        stage: stage name.
        summary: counts and bytes; None if the stage could not be run.
        seconds: by phase, as workers report them.
        error: why it could not be run.
        skipped: whether it was not tried, since what it reads gave nothing.
        folder: where its unit lies as long as the probe goes on; None if the stage could not be run.
    """

    stage: str
    summary: UnitSummary | None
    seconds: dict[str, float]
    error: str = ""
    skipped: bool = False
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one stage will cost.

    Attributes:
        stage: stage name.
        units: units to make.
        rows: rows in them, as far as it is known; rows that upstream will reject are taken off at its present rate.
        seconds: wall seconds on the plan's workers; None where nothing is known.
        bytes: payload bytes; None where nothing is known.
        basis: where the rates come from.
        note: why there is no figure.
        kept: what became of rows so far: of those that are committed, or as a roster or a probe lets one expect.
        expected: seconds of each unit; None where nothing is known.
    """

    stage: str
    units: int
    rows: int
    seconds: float | None
    bytes: int | None
    basis: Literal["committed units", "probe", "nothing"]
    note: str = ""
    kept: Yield | None = None
    expected: Expected | None = None

    @property
    def work(self) -> float | None:
        """Seconds of one worker for all of it; None where nothing is known."""
        return None if self.expected is None else sum(self.expected.seconds.values())


@dataclass(frozen=True, slots=True)
class _Rates:
    """What is known of a stage's pace.

    Attributes:
        seconds: of one worker, for a call.
        call: places of a call that takes as long however few of them are taken; 1 where each row takes its own time.
        bytes: payload bytes a row.
        passes: share of rows that pass.
        build: seconds until the model is ready.
        basis: where this is from.
    """

    seconds: float
    call: int
    bytes: float
    passes: float
    build: float
    basis: Literal["committed units", "probe"]

    def of(self, rows: float, places: float) -> float:
        """Seconds that a unit takes of which so many places are taken by rows."""
        return self.seconds * calls(rows, places, self.call)


def calls(rows: float, places: float, call: int) -> float:
    """Calls that a unit makes: one for so many places, as long as a row has one of them.

    A row keeps its place, whoever else was turned away (`fasgen.pipeline.loading`): with half of the rows gone, hardly a call
    is spared. Rows are taken to be spread at random.

    Args:
        rows: rows that come, at most as many as places.
        places: rows that might have come.
        call: places of a call.
    """
    if call == 1 or rows <= 0:
        return rows
    places = max(rows, places)
    whole, rest = divmod(places, call)
    return whole * (1 - _free(rows, places, call)) + (1 - _free(rows, places, rest) if rest else 0.0)


def _free(rows: float, places: float, some: float) -> float:
    """Chance that none of the rows has one of ``some`` of the places: the hypergeometric distribution at 0."""
    left = places - some - rows
    if left < 0:
        return 0.0
    return exp(lgamma(places - some + 1) + lgamma(places - rows + 1) - lgamma(left + 1) - lgamma(places + 1))


def probe(plan: Plan, folder: Path, few: SourceSlice, *, warm: bool = False, unit: int = 0) -> Iterator[Probe]:
    """Push a few rows of the listing through every stage of ``plan`` in this process, each on what the one before made.

    Args:
        plan: the run.
        folder: an empty folder for what is made; the store is not touched.
        few: the rows.
        warm: run each stage twice and time the second: on a GPU the first call compiles and tunes.
        unit: the number under which they go.
    """
    worker = Worker(accelerator=plan.resources.gpus > 0, threads=plan.resources.threads)
    there: dict[str, UpstreamUnit] = {}
    for name, stage in plan.stages.items():
        missing = [name for name in stage.wiring.stages if name not in there]
        if missing:
            yield Probe(name, None, {}, f"not tried: {missing[0]} could not be run", skipped=True)
            continue
        task = plan.task(Assign(0, Key(name, unit)), folder)
        task = replace(task, folder=folder / name, upstream=there, source=few if task.source else None, row_sets=None)
        try:
            if stage.spec.roster:
                source = there[stage.spec.roster.source].folder
                draw_roster(stage.spec.roster, stage.config, plan.seed, source, [unit], task.folder)
            if warm:
                cold = replace(task, folder=folder / f"{name}-warm")
                if stage.spec.roster:
                    shutil.copytree(task.folder, cold.folder)
                worker.run(cold)
            report = worker.run(task)
        except FasgenError as error:
            yield Probe(name, None, {}, str(error))
            continue
        except Exception as error:
            # A probe finds out whether a stage can be built and called at all: it may fail in any way.
            yield Probe(name, None, {}, one_line(error))
            continue
        there = there | {name: UpstreamUnit(task.folder, stage.spec.tar)}
        yield Probe(name, report.summary, dict(report.seconds), folder=task.folder)


def estimate(plan: Plan, *, probing: bool = True) -> list[Estimate]:
    """One estimate for each stage that ``plan`` makes, in order.

    Stages that have committed units are judged by those. If any other has work to do, a few rows of units that are not
    committed go through the stages, unless ``probing`` is false; what was probed before on this machine counts all the same.
    """
    rates: dict[str, _Rates] = {}
    for name, stage in plan.stages.items():
        found = _from_committed(plan, stage)
        if found:
            rates[name] = found
    notes: dict[str, str] = {}
    tried: dict[str, UnitSummary] = {}
    unknown = [stage.name for stage in plan.wanted if stage.todo and stage.name not in rates]
    if unknown:
        for seen in _probed(plan, unknown, probing):
            if seen.summary is None:
                notes[seen.stage] = seen.error
                continue
            tried[seen.stage] = seen.summary
            measured = _rates(plan.stages[seen.stage], [(seen.summary, seen.summary.planned, seen.seconds)], "probe")
            if measured:
                rates.setdefault(seen.stage, measured)
            else:
                notes[seen.stage] = "no row reached it"
    drawn = {
        name: foresee(stage.spec.roster, stage.config, plan.seed, plan.listing, plan.store)
        for name, stage in plan.stages.items()
        if stage.spec.roster and stage.todo
    }
    rows = {stage.name: stage_rows for stage, stage_rows in _rows(plan, rates, drawn)}
    builds = _builds(plan, rates)
    return [
        replace(
            _estimate(plan, stage, rows[stage.name], rates.get(stage.name), notes.get(stage.name, ""), builds),
            kept=_kept(plan, stage, tried.get(stage.name), drawn.get(stage.name)),
        )
        for stage in plan.wanted
    ]


def _kept(plan: Plan, stage: StagePlan, tried: UnitSummary | None, drawn: Foreseen | None) -> Yield | None:
    """What became of a stage's rows, as far as that is known or can be foreseen."""
    record = plan.record(stage)
    if stage.committed:
        source = plan.stages[stage.spec.roster.source].committed.values() if stage.spec.roster else ()
        passed = sum(summary.ok for summary in source)
        return yield_of(stage.name, stage.committed.values(), record, passed, notes_of(stage.folder))
    if drawn:
        # A probe's few rows may lack the very guides that the others have.
        planned = round(sum(drawn.entries.values()))
        lost = min(planned, round(drawn.scale * sum(drawn.rejected.values())))
        foreseen = UnitSummary(0, planned, planned - lost, lost, 0, dict(drawn.rejected), 0)
        return yield_of(stage.name, [foreseen], record, len(plan.listing.rows), drawn.notes)
    return replace(yield_of(stage.name, [tried], record), tried=True) if tried else None


def total_seconds(plan: Plan, estimates: Sequence[Estimate]) -> float | None:
    """Wall seconds of the whole run on the plan's workers; None where nothing is known."""
    known = {one.stage: one.expected for one in estimates if one.expected is not None}
    if not known:
        return None
    if not any(one.seconds for one in known.values()):
        return 0.0
    return makespan(plan.work(), plan.listing.numbers, plan.staff.kinds, known, start=START)


def _from_committed(plan: Plan, stage: StagePlan) -> _Rates | None:
    measured: list[tuple[UnitSummary, float, dict[str, float]]] = []
    # Units that will be made again tell as much of the time that it takes.
    for unit in sorted(stage.committed.keys() | stage.stale | stage.unsure)[-TIMED_UNITS:]:
        path = timing_path(stage.folder, unit)
        if path.exists():
            table = read_table(path)
            seconds = dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))
            summary = stage.committed.get(unit) or unit_summary(stage.folder, unit)
            # Of what was drawn, places and rows are nearly the same; of photographs, a place is a row of the sources.
            photographs = stage.spec.device == "accelerator" and _is_of_photographs(plan, stage)
            places = plan.listing.rows_of(unit) if photographs and unit in plan.listing.numbers else summary.planned
            measured.append((summary, places, {str(name): float(value) for name, value in seconds.items()}))
    return _rates(stage, measured, "committed units")


def _is_of_photographs(plan: Plan, stage: StagePlan) -> bool:
    while stage.wiring.primaries and not stage.spec.roster:
        stage = plan.stages[stage.wiring.primaries[0]]
    return not stage.spec.roster


def _probed(plan: Plan, unknown: Sequence[str], probing: bool) -> list[Probe]:
    """A few rows from all over the units that are to be made: the first ones may all be of one person or one video.

    What was probed before with the same plan, rows and device is not probed again.
    """
    todo = sorted({unit for name in unknown for unit in plan.stages[name].todo})
    few = plan.listing.some(todo, min(max(plan.stages[name].batch for name in unknown), PROBE_ROWS))
    path, key = cache_home() / "probes.json", _probe_key(plan, todo)
    kept = _read_probes(path)
    if key in kept:
        return [Probe(one["stage"], UnitSummary(**one["summary"]), one["seconds"]) for one in kept[key]]
    if not probing:
        return []
    with tempfile.TemporaryDirectory(prefix="fasgen-probe-") as folder:
        found = list(probe(plan, Path(folder), few, warm=plan.resources.gpus > 0, unit=todo[0]))
    if all(one.summary for one in found):
        told = [{"stage": one.stage, "summary": asdict(one.summary), "seconds": one.seconds} for one in found if one.summary]
        newest = dict([*_read_probes(path).items(), (key, told)][-KEPT_PROBES:])
        # A cache that cannot be written costs a probe, no run.
        with suppress(OSError):
            write_atomic(path, (json.dumps(newest, indent=1) + "\n").encode())
    return found


def _probe_key(plan: Plan, todo: Sequence[int]) -> str:
    """Digest over all that a probe's figures hang on: settings and weights, the rows, and the machine."""
    rows = [plan.listing.inputs(unit) for unit in todo]
    device = [domain(plan.resources, accelerator=accelerator) for accelerator in (False, True)]
    plans = {name: stage.plan_hash for name, stage in plan.stages.items()}
    return hashlib.sha256(ascii_json([plans, rows, device, bool(plan.resources.gpus), platform.node()])).hexdigest()


def _read_probes(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _rates(
    stage: StagePlan,
    measured: Sequence[tuple[UnitSummary, float, Mapping[str, float]]],
    basis: Literal["committed units", "probe"],
) -> _Rates | None:
    """The pace of units, each with the places that its rows might have taken."""
    planned = sum(summary.planned for summary, _, _ in measured)
    if not planned:
        return None
    # What gains from an accelerator computes batches of their full shape always, however few of its places are taken.
    call = stage.batch if stage.spec.device == "accelerator" else 1
    made = sum(calls(summary.planned, places, call) for summary, places, _ in measured)
    # Loading, computing and writing overlap inside a worker.
    seconds = max(sum(times.get(phase, 0.0) for _, _, times in measured) for phase in PHASES)
    return _Rates(
        seconds / made,
        call,
        sum(summary.bytes for summary, _, _ in measured) / planned,
        sum(summary.ok for summary, _, _ in measured) / planned,
        max(times.get("build", 0.0) + times.get("compile", 0.0) for _, _, times in measured),
        basis,
    )


def _rows(
    plan: Plan, rates: Mapping[str, _Rates], drawn: Mapping[str, Foreseen]
) -> Iterator[tuple[StagePlan, dict[int, tuple[float, float]]]]:
    """Rows to do of each stage and the places that they might take, by unit; expected where upstream's are not there yet."""
    passing: dict[str, dict[int, float]] = {}
    places: dict[str, dict[int, float]] = {}
    for name, stage in plan.stages.items():
        primaries = stage.wiring.primaries
        if name in drawn:
            above = passing[primaries[0]]
            enters = {u: drawn[name].entries.get(u, 0.0) * above[u] / plan.listing.rows_of(u) for u in plan.listing.numbers}
        elif primaries:
            enters = {u: sum(passing[one][u] for one in primaries) for u in plan.listing.numbers}
        else:
            enters = {u: float(plan.listing.rows_of(u)) for u in plan.listing.numbers}
        photographs = {u: float(plan.listing.rows_of(u)) for u in plan.listing.numbers}
        # Of committed units the rows that were not taken are in the rates; of a probe, which takes all, they are not.
        if name not in rates or rates[name].basis == "probe":
            enters = _taken(plan, stage, enters)
        of_primary = places[primaries[0]] if primaries else photographs
        places[name] = {u: drawn[name].entries.get(u, 0.0) for u in photographs} if name in drawn else of_primary
        passes = rates[name].passes if name in rates else 1.0
        passing[name] = {u: float(stage.committed[u].ok) if u in stage.committed else enters[u] * passes for u in enters}
        yield stage, {unit: (enters[unit], places[name][unit]) for unit in sorted(stage.todo)}


def _taken(plan: Plan, stage: StagePlan, enters: dict[int, float]) -> dict[int, float]:
    """By unit, the rows that a stage's protocol takes of those that come: of photographs, which were there when it was laid."""
    alone = len(stage.wiring.primaries) == 1 and _is_of_photographs(plan, stage)
    kept = on_sides(stage.config, plan.store, plan.listing) if alone else None
    if kept is None:
        return enters
    return {unit: min(count, float(kept[slice(*plan.listing.cut[unit])].sum())) for unit, count in enters.items()}


def _builds(plan: Plan, rates: Mapping[str, _Rates]) -> dict[str, list[float]]:
    """Seconds that each stage took until its model was ready, on all of its lanes.

    A probe is one process, which has a stage's libraries and weights at hand when it comes to the second lane; a worker may
    come to that lane first.
    """
    found: dict[str, list[float]] = {}
    for name, one in rates.items():
        found.setdefault(plan.stages[name].spec.name, []).append(one.build)
    return found


def _estimate(
    plan: Plan,
    stage: StagePlan,
    rows: Mapping[int, tuple[float, float]],
    rates: _Rates | None,
    note: str,
    builds: Mapping[str, Sequence[float]],
) -> Estimate:
    units, count = len(stage.todo), round(sum(each for each, _ in rows.values()))
    if not units:
        return Estimate(stage.name, 0, 0, 0.0, 0, rates.basis if rates else "nothing", expected=Expected(0.0, {}))
    if rates is None:
        return Estimate(stage.name, units, count, None, None, "nothing", note)
    all_builds, seconds_of = builds[stage.spec.name], {unit: rates.of(*each) for unit, each in rows.items()}
    again = min(all_builds) if len(all_builds) > 1 else None
    expected = Expected(max(all_builds), seconds_of, stage.spec.name, again)
    on_gpu = stage.spec.device == "accelerator" and plan.resources.gpus > 0
    # More workers than units leave the rest idle.
    workers = max(1, min(plan.resources.gpus if on_gpu else plan.resources.cpus, units))
    seconds = expected.build + sum(expected.seconds.values()) / workers
    return Estimate(stage.name, units, count, seconds, round(rates.bytes * count), rates.basis, expected=expected)
