"""How long a run will take and how much it will write: from units that are committed, else from a short probe."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fasgen.errors import FasgenError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.unit import UnitSummary, timing_path, unit_summary
from fasgen.pipeline.engine import UpstreamUnit
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.roster import draw_roster
from fasgen.pipeline.schedule import Assign, Key
from fasgen.pipeline.stage_plan import StagePlan
from fasgen.pipeline.worker import Worker

PROBE_ROWS = 32
"""Most rows that a probe pushes through a stage: one full batch of most."""

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
    """

    stage: str
    summary: UnitSummary | None
    seconds: dict[str, float]
    error: str = ""


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
    """

    stage: str
    units: int
    rows: int
    seconds: float | None
    bytes: int | None
    basis: Literal["committed units", "probe", "nothing"]
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Rates:
    """Per planned row: seconds of one worker, payload bytes, and the share that passes; seconds until the model is ready."""

    seconds: float
    bytes: float
    passes: float
    build: float
    basis: Literal["committed units", "probe"]


def probe(plan: Plan, folder: Path, *, rows: int = PROBE_ROWS, warm: bool = False, start: int = 0) -> Iterator[Probe]:
    """Push ``rows`` rows of the listing through every stage of ``plan`` in this process, each on what the one before made.

    Args:
        plan: the run.
        folder: an empty folder for what is made; the store is not touched.
        rows: most rows to take.
        warm: run each stage twice and time the second: on a GPU the first call compiles and tunes.
        start: unit from whose rows to take.
    """
    worker = Worker(accelerator=plan.resources.gpus > 0, threads=plan.resources.threads)
    there: dict[str, UpstreamUnit] = {}
    unit = plan.listing.slice(start)
    few = replace(unit, rows=unit.rows[:rows])
    for name, stage in plan.stages.items():
        missing = [name for name in stage.wiring.stages if name not in there]
        if missing:
            yield Probe(name, None, {}, f"not tried: {missing[0]} gave nothing")
            continue
        task = plan.task(Assign(0, Key(name, start)), folder)
        task = replace(task, folder=folder / name, upstream=there, source=few if task.source else None)
        try:
            if stage.spec.roster:
                source = there[stage.spec.roster.source].folder
                draw_roster(stage.spec.roster, stage.config, plan.seed, source, [start], task.folder)
            if warm:
                cold = replace(task, folder=folder / f"{name}-warm")
                if stage.spec.roster:
                    shutil.copytree(task.folder, cold.folder)
                worker.run(cold)
            report = worker.run(task)
        except (FasgenError, OSError, RuntimeError, ValueError) as error:
            yield Probe(name, None, {}, str(error) or type(error).__name__)
            continue
        if report.summary.ok:
            there = there | {name: UpstreamUnit(task.folder, stage.spec.tar)}
        yield Probe(name, report.summary, dict(report.seconds))


def estimate(plan: Plan, *, probing: bool = True) -> list[Estimate]:
    """One estimate for each stage that ``plan`` makes, in order.

    Stages that have committed units are judged by those. If any other has work to do, a few rows of the first unit that is not
    committed go through the stages, unless ``probing`` is false.
    """
    rates: dict[str, _Rates] = {}
    for name, stage in plan.stages.items():
        found = _from_committed(stage)
        if found:
            rates[name] = found
    notes: dict[str, str] = {}
    unknown = [stage.name for stage in plan.wanted if stage.todo and stage.name not in rates]
    if unknown and probing:
        for name, seen in _probed(plan, unknown).items():
            if isinstance(seen, _Rates):
                rates.setdefault(name, seen)
            else:
                notes[name] = seen
    rows = {stage.name: stage_rows for stage, stage_rows in _rows(plan, rates)}
    return [_estimate(plan, stage, rows[stage.name], rates.get(stage.name), notes.get(stage.name, "")) for stage in plan.wanted]


def total_seconds(plan: Plan, estimates: Sequence[Estimate]) -> float | None:
    """Wall seconds of the whole run: GPU and CPU workers work side by side, stages of one kind one after the other."""
    known = [one for one in estimates if one.seconds is not None]
    if not known:
        return None
    kinds = {work.name: work.kind for work in plan.work()}
    return max(sum(one.seconds or 0.0 for one in known if kinds[one.stage] == kind) for kind in set(kinds.values()))


def _from_committed(stage: StagePlan) -> _Rates | None:
    measured: list[tuple[UnitSummary, dict[str, float]]] = []
    # Units that will be made again tell as much of the time that it takes.
    for unit in sorted(stage.committed.keys() | stage.stale | stage.unsure)[-TIMED_UNITS:]:
        path = timing_path(stage.folder, unit)
        if path.exists():
            table = read_table(path)
            seconds = dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))
            summary = stage.committed.get(unit) or unit_summary(stage.folder, unit)
            measured.append((summary, {str(name): float(value) for name, value in seconds.items()}))
    return _rates(measured, "committed units")


def _probed(plan: Plan, unknown: Sequence[str]) -> dict[str, _Rates | str]:
    first = min(unit for name in unknown for unit in plan.stages[name].todo)
    wanted = max(plan.stages[name].batch for name in unknown)
    out: dict[str, _Rates | str] = {}
    with tempfile.TemporaryDirectory(prefix="fasgen-probe-") as folder:
        on_gpu = plan.resources.gpus > 0
        for seen in probe(plan, Path(folder), rows=min(wanted, PROBE_ROWS), warm=on_gpu, start=first):
            if seen.summary is None:
                out[seen.stage] = seen.error
                continue
            rates = _rates([(seen.summary, seen.seconds)], "probe")
            out[seen.stage] = rates or "no row reached it"
    return out


def _rates(
    measured: Sequence[tuple[UnitSummary, dict[str, float]]], basis: Literal["committed units", "probe"]
) -> _Rates | None:
    planned = sum(summary.planned for summary, _ in measured)
    if not planned:
        return None
    # Loading, computing and writing overlap inside a worker.
    seconds = max(sum(times.get(phase, 0.0) for _, times in measured) for phase in PHASES)
    return _Rates(
        seconds / planned,
        sum(summary.bytes for summary, _ in measured) / planned,
        sum(summary.ok for summary, _ in measured) / planned,
        max(times.get("build", 0.0) + times.get("compile", 0.0) for _, times in measured),
        basis,
    )


def _rows(plan: Plan, rates: dict[str, _Rates]) -> Iterator[tuple[StagePlan, int]]:
    """Rows to do of each stage; expected where upstream's units are not there yet."""
    passing: dict[str, dict[int, float]] = {}
    for name, stage in plan.stages.items():
        primaries = stage.wiring.primaries
        each = stage.spec.roster.variants(stage.config) if stage.spec.roster else 1
        enters = {
            u: each * sum(passing[name][u] for name in primaries) if primaries else float(plan.listing.rows_of(u))
            for u in plan.listing.numbers
        }
        passes = rates[name].passes if name in rates else 1.0
        passing[name] = {u: float(stage.committed[u].ok) if u in stage.committed else enters[u] * passes for u in enters}
        yield stage, round(sum(enters[unit] for unit in stage.todo))


def _estimate(plan: Plan, stage: StagePlan, rows: int, rates: _Rates | None, note: str) -> Estimate:
    units = len(stage.todo)
    if not units:
        return Estimate(stage.name, 0, 0, 0.0, 0, rates.basis if rates else "nothing")
    if rates is None:
        return Estimate(stage.name, units, rows, None, None, "nothing", note)
    on_gpu = stage.spec.device == "accelerator" and plan.resources.gpus > 0
    # More workers than units leave the rest idle.
    workers = max(1, min(plan.resources.gpus if on_gpu else plan.resources.cpus, units))
    seconds = rates.build + rates.seconds * rows / workers
    return Estimate(stage.name, units, rows, seconds, round(rates.bytes * rows), rates.basis)
