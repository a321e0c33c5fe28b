"""The run: asks the scheduler, feeds the engine, tells progress and ledger, and ends in good order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from fasgen.errors import StoreError
from fasgen.manifests.atomic import file_digest, look_again, shortcomings
from fasgen.manifests.inputs import judged_is_whole
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import sweep
from fasgen.manifests.report.delivery import finish
from fasgen.manifests.seen_file import note_seen
from fasgen.manifests.shard import UnitSummary, committed_units, unit_summary
from fasgen.manifests.unit import damaged, manifest_path
from fasgen.pipeline.crumbs import forget, read_crumb, was_late
from fasgen.pipeline.engine import Arrived, Doing, Engine, EngineEvent, Failed, Finished, Lost, State, UnitReport
from fasgen.pipeline.handshake import PATIENCE, Meeting
from fasgen.pipeline.idle import Idle
from fasgen.pipeline.interrupts import Interrupts, interrupts
from fasgen.pipeline.occupancy import Occupancy
from fasgen.pipeline.outcome import Outcome, RunResult
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.progress import Progress, StageStart, duration
from fasgen.pipeline.resources import domain_digest, peak_rss, stage_domain
from fasgen.pipeline.schedule import (
    DEVICES,
    KINDS,
    Assign,
    Broke,
    Budget,
    Died,
    Dismissed,
    Done,
    Drain,
    Halt,
    Joined,
    Key,
    Kind,
    Scheduler,
    Spoilt,
    Stop,
)
from fasgen.pipeline.stage_plan import kernels_measured

TICK = 0.25
"""Seconds that the loop waits for events before it looks at the keyboard and the clock again."""


class Ledger(Protocol):
    """The run's history; nothing is ever rebuilt from it."""

    def event(self, kind: str, **fields: object) -> None:
        """Append one event."""
        ...

    def summary(self, document: Mapping[str, object]) -> None:
        """Write the run's summary."""
        ...


def run(
    plan: Plan,
    engine: Callable[[], Engine],
    progress: Progress,
    ledger: Ledger,
    *,
    crumbs: Path | None = None,
    budget: Budget | None = None,
    retries: int = 1,
    time_limit: float | None = None,
    lock: StoreLock | None = None,
    foretold: Mapping[str, float] = MappingProxyType({}),
) -> RunResult:
    """Make all that ``plan`` can make.

    The first Ctrl-C (or SIGTERM, or SIGHUP) lets the units in hand finish, the second ends at once. Whatever way the run ends,
    what is committed stays.

    Args:
        plan: what to make; its files are written first.
        engine: makes the engine; called only if there is something to do, and closed at the end.
        progress: is told of every change.
        ledger: is told of every event.
        crumbs: folder for the words of workers in quarantine; ``STORE/runs/in-hand`` if ``None``.
        budget: failed rows allowed, those of earlier runs included.
        retries: deaths of workers that a unit survives before quarantine.
        time_limit: seconds that a sample may take in a stage.
        lock: the store's lock, held; ``None``: it is taken for the time of the run.
        foretold: seconds of work by stage, as far as they are known, for whoever shows how far the run is.

    Raises:
        StoreError: another driver works on the store, or it cannot be written.
    """
    with nullcontext(lock) if lock else StoreLock(plan.store) as held:
        return _locked(plan, engine, progress, ledger, crumbs, budget or Budget(), retries, time_limit, held, foretold)


def _locked(
    plan: Plan,
    engine: Callable[[], Engine],
    progress: Progress,
    ledger: Ledger,
    crumbs: Path | None,
    budget: Budget,
    retries: int,
    time_limit: float | None,
    lock: StoreLock,
    foretold: Mapping[str, float],
) -> RunResult:
    occupancy = Occupancy()
    sweep(plan.store)
    plan.write()
    located = {stage.name: stage.spec.weights(stage.config) for stage in plan.wanted}
    for stage in plan.wanted:
        note_seen(plan.store, {stage.weights[role]: path for role, path in located[stage.name].items()})
    ledger.event(
        "begin",
        stages={
            stage.name: {
                "plan_hash": stage.plan_hash,
                "todo": len(stage.todo),
                "units": stage.units,
                # No plan says where weights lie, since that changes nothing; whoever checks them later begins to look here.
                "weights": {role: str(path.absolute()) for role, path in located[stage.name].items()},
            }
            for stage in plan.wanted
        },
        resources={"gpus": plan.resources.gpus, "cpus": plan.resources.cpus},
    )
    with progress, interrupts() as heard:
        for lacking in shortcomings(plan.store / "runs"):
            progress.say(f"note: the file system of {plan.store}: {lacking}")
            ledger.event("shortcoming", text=lacking)
        loop = _Run(
            plan,
            progress,
            ledger,
            crumbs or plan.store / "runs" / "in-hand",
            budget,
            retries,
            time_limit,
            lock,
            occupancy,
            foretold,
        )
        if not loop.scheduler.finished:
            with Meeting(plan) as meeting:
                loop.drive(engine(), meeting, heard)
        result = loop.result()
        if result.outcome is Outcome.FINISHED:
            try:
                _finish_shipped(plan, ledger)
                if result.units or not judged_is_whole(plan.store):
                    plan.settle(stage.name for stage in plan.wanted if loop.scheduler.counts(stage.name)[0] == stage.units)
            except (StoreError, OSError) as error:
                result = replace(result, outcome=Outcome.ERROR, error=f"the delivery could not be finished: {error}")
    for worker in occupancy.workers():
        ledger.event("worker", **worker)
    summary = result.document()
    ledger.event("end", **{name: summary[name] for name in ("outcome", "error", "first_unit", "use")})
    ledger.summary(summary)
    return result


def _finish_shipped(plan: Plan, ledger: Ledger) -> None:
    for stage in plan.wanted:
        if stage.spec.shipped and committed_units(stage.folder):
            plan.retire(stage)
            finish(stage.folder, plan.delivered(stage))
            ledger.event("shipped", stage=stage.name, folder=stage.folder.name)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        plan: Plan,
        progress: Progress,
        ledger: Ledger,
        crumbs: Path,
        budget: Budget,
        retries: int,
        time_limit: float | None,
        lock: StoreLock,
        occupancy: Occupancy,
        foretold: Mapping[str, float],
    ) -> None:
        self._plan, self._progress, self._ledger, self._crumbs = plan, progress, ledger, crumbs
        self._time_limit, self._lock, self._occupancy = time_limit, lock, occupancy
        self.scheduler = Scheduler(
            plan.work(),
            plan.listing.numbers,
            retries=retries,
            budget=budget,
            before={stage.name: (stage.planned, stage.failed) for stage in plan.wanted},
        )
        self._quarantined: dict[Key, Path] = {}
        self._doing: dict[int, State] = {}
        self._remade = 0
        self._taken_back: set[Key] = set()
        self._waited: set[Key] = set()
        self._counts = {"units": 0, "again": 0, "planned": 0, "ok": 0, "filtered": 0, "failed": 0}
        self._deaths = self._peak_worker = self._kept = 0
        self._domains: dict[int, Mapping[str, object]] = {}
        self._nodes: dict[int, str] = {}
        self._dismissed: list[str] = []
        self._idle = Idle()
        progress.begin(_lines(plan, foretold))
        self._show()

    def drive(self, engine: Engine, meeting: Meeting, heard: Interrupts) -> None:
        """Run until nothing is left to do or to wait for."""
        self.scheduler.depth = engine.depth
        told, now = 0, True
        try:
            engine.begin({kind: meeting.terms(kind) for kind in KINDS})
            while not self.scheduler.finished:
                if heard.count > told:
                    told += 1
                    heard.answered = told
                    heard.leave_terminal()
                    self._interrupt(told)
                    continue
                if self._lock.lost and self.scheduler.ending is None:
                    self.scheduler.handle(Halt(self._lock.lost))
                for event in engine.wait(TICK):
                    self._take(event, engine, meeting)
                self._await(engine)
                # What turns out to be there already leaves its worker free for more.
                while assigns := self.scheduler.decide():
                    for assign in assigns:
                        self._submit(engine, assign)
                self._show()
            now = told > 1
        finally:
            self._occupancy.close()
            engine.close(now=now)

    def result(self) -> RunResult:
        """What was done, and how it ended."""
        scheduler = self.scheduler
        outcome = Outcome(scheduler.ending.value) if scheduler.ending else Outcome.FINISHED
        error = scheduler.error
        over = scheduler.over_budget(final=True)
        if over and outcome is not Outcome.ERROR:
            error = over
            outcome = Outcome.OVER_BUDGET if outcome is Outcome.FINISHED else outcome
        return RunResult(
            outcome,
            **self._counts,
            remaining=self._plan.todo + self._plan.unsure - self._counts["units"] - self._kept + self._remade,
            deaths=self._deaths,
            error=error,
            peak_driver=peak_rss(),
            peak_worker=self._peak_worker,
            first_unit=self._occupancy.first_unit,
            use=self._occupancy.use(),
            dismissed=tuple(self._dismissed),
        )

    def _submit(self, engine: Engine, assign: Assign) -> None:
        try:
            self._plan.prepare(assign.key.stage)
            if kept := self._plan.believed(assign.key):
                self._kept += 1
                self._forget(assign.key)
                self.scheduler.handle(Done(assign.worker, assign.key, kept.planned, kept.failed))
                return
            self._plan.clear(assign.key)
            task = replace(
                self._plan.task(assign, self._crumbs),
                time_limit=self._time_limit,
                domain=self._enter(assign.worker, assign.key),
            )
            if task.crumb:
                self._crumbs.mkdir(parents=True, exist_ok=True)
                forget(task.crumb)
        except (StoreError, OSError) as error:
            self.scheduler.handle(Broke(assign.worker, assign.key, str(error)))
            self._ledger.event("broke", stage=assign.key.stage, unit=assign.key.unit, worker=assign.worker, error=str(error))
            return
        if task.crumb:
            self._quarantined[assign.key] = task.crumb
        if assign.attempt:
            stage, unit = assign.key
            self._ledger.event(
                "retry",
                stage=stage,
                unit=unit,
                attempt=assign.attempt,
                quarantine=assign.quarantine,
                suspects=list(assign.suspects),
                excluded=list(assign.excluded),
                late=list(assign.late),
            )
        engine.submit(assign.worker, task)

    def _interrupt(self, count: int) -> None:
        self.scheduler.handle(Drain() if count == 1 else Stop())
        self._progress.say(
            "finishing the units in hand; Ctrl-C again stops at once" if count == 1 else "stopping; units in hand are lost"
        )
        self._ledger.event("interrupt", count=count)

    def _take(self, event: EngineEvent, engine: Engine, meeting: Meeting) -> None:
        match event:
            case Arrived():
                self._receive(event, engine, meeting)
            case _ if event.worker not in self._nodes:
                # What a worker that was dismissed had still to say.
                return
            case Doing(worker, state):
                self._doing[worker] = state
            case Finished(worker, report) if lie := self._untrue(report):
                self._occupancy.finished(worker, report.seconds)
                self._dismiss(worker, engine, lie, report.key)
            case Finished(worker, report):
                self._occupancy.finished(worker, report.seconds)
                if report.micro_batch:
                    self._progress.say(
                        f"{report.key.stage} unit {report.key.unit}: too little memory for the plan's batch, "
                        f"made {report.micro_batch} samples a call"
                    )
                    self._ledger.event(
                        "micro_batch", stage=report.key.stage, unit=report.key.unit, micro_batch=report.micro_batch
                    )
                self._commit(worker, report.key, report.summary, report.seconds, report.peak_rss)
            case Failed(worker, key, error) if (rotten := self._rotten(key)) is not None:
                self._take_back(worker, key, rotten, error)
            case Failed(worker, key, error):
                self.scheduler.handle(Broke(worker, key, error))
                self._progress.say(f"{key.stage} unit {key.unit}: {error}")
                self._ledger.event("broke", stage=key.stage, unit=key.unit, worker=worker, error=error)
            case Lost(worker, why):
                self._lose(worker, why)

    def _receive(self, arrived: Arrived, engine: Engine, meeting: Meeting) -> None:
        """A worker lives: it joins, or is dismissed because it does not fit."""
        worker, kind, node, said, seconds = arrived
        why = meeting.objection(kind, said)
        self._nodes[worker] = node
        self._occupancy.hired(worker, kind, seconds)
        if why:
            self._dismiss(worker, engine, why)
            return
        self._domains[worker] = said["domain"]
        self._doing[worker] = State(None, "starting")
        self._ledger.event(
            "joined", worker=worker, device=DEVICES[kind], node=node, domain=said["domain"], seconds=round(seconds, 3)
        )
        self.scheduler.handle(Joined(worker, kind))

    def _dismiss(self, worker: int, engine: Engine, why: str, key: Key | None = None) -> None:
        """Let a worker go, with the reason; what it had in hand is given out again."""
        node, lost = self._nodes.pop(worker), self.scheduler.in_flight(worker)
        again = f"; {_named(lost)} given out again" if lost else ""
        self._progress.say(f"worker {worker} on {node} is dismissed: it {why}{again}")
        self._ledger.event("dismissed", worker=worker, node=node, why=why, units=[list(each) for each in lost], found_by=key)
        self._dismissed.append(f"{node}: {why}")
        self._occupancy.lost(worker)
        self._doing.pop(worker, None)
        engine.dismiss(worker)
        if lost or worker in self._domains:
            self.scheduler.handle(Dismissed(worker))
        self._domains.pop(worker, None)

    def _untrue(self, report: UnitReport) -> str:
        """What is wrong about a report of a unit, by what lies in the store; empty if it is true."""
        folder, unit = self._plan.stages[report.key.stage].folder, report.key.unit
        manifest, deadline = manifest_path(folder, unit), time.monotonic() + PATIENCE
        while True:
            try:
                true = file_digest(manifest) == report.digest
                return "" if true else f"reported {_named([report.key])}, but {manifest} has other bytes than it said"
            except OSError as error:
                if time.monotonic() > deadline:
                    return (
                        f"reported {_named([report.key])}, but {manifest} is not there ({error.strerror}): does its node see "
                        "the store?"
                    )
            look_again(folder)
            time.sleep(0.2)

    def _enter(self, worker: int, key: Key) -> str:
        """The domain in which a unit will be made, noted in its generation before it is."""
        stage = self._plan.stages[key.stage]
        domain = stage_domain(self._domains[worker], measured=kernels_measured(stage.config))
        if self._plan.enter(key.stage, domain) and domain != stage.domain:
            self._progress.say(
                f"{key.stage}: {self._nodes[worker]} has other library versions or another device than what made the "
                f"{len(stage.committed)} units that are there; what it makes may differ from them in the last bits "
                "(plan.json lists both)"
            )
        return domain_digest(domain)

    def _await(self, engine: Engine) -> None:
        """Say for whom the run waits and for how long, or end it if nobody will come."""
        for kind in self.scheduler.starved():
            coming = engine.expects(kind)
            if not coming:
                self.scheduler.handle(Halt(self._nobody(kind)))
            elif (seconds := self._idle.due(kind)) is not None:
                self._progress.say(f"waiting for {duration(seconds)}: {coming}")
                self._ledger.event("waiting", device=DEVICES[kind], seconds=round(seconds), reason=coming)
            break
        else:
            self._idle.over()

    def _nobody(self, kind: Kind) -> str:
        reasons = [f"{why} ({count} times)" if count > 1 else why for why, count in Counter(self._dismissed).items()]
        return f"no {DEVICES[kind]} worker is left: " + ("; ".join(reasons) or "none has come up")

    def _commit(self, worker: int, key: Key, summary: UnitSummary, seconds: Mapping[str, float], peak: int) -> None:
        self._occupancy.committed()
        stage = self._plan.stages[key.stage]
        self._counts["units"] += 1
        self._counts["again"] += key.unit in stage.stale or key.unit in stage.unsure
        for name in ("planned", "ok", "filtered", "failed"):
            self._counts[name] += getattr(summary, name)
        self._peak_worker = max(self._peak_worker, peak)
        self._plan.identities.forget(self._plan.stages[key.stage].folder, key.unit)
        self._forget(key)
        self.scheduler.handle(Done(worker, key, summary.planned, summary.failed))
        self._progress.unit(key.stage, summary)
        rounded = {name: round(value, 4) for name, value in seconds.items()}
        self._ledger.event("unit", stage=key.stage, worker=worker, **asdict(summary), seconds=rounded, peak_rss=peak)

    def _lose(self, worker: int, why: str) -> None:
        """A worker is gone: what it had in hand is judged by what lies on disk."""
        self._deaths += 1
        self._occupancy.lost(worker)
        self._doing.pop(worker, None)
        node = self._nodes.pop(worker)
        self._domains.pop(worker)
        keys = self.scheduler.in_flight(worker)
        self._ledger.event("lost", worker=worker, node=node, why=why, units=[list(key) for key in keys])
        self._progress.say(f"worker {worker} died with {len(keys)} units in hand; they are given out again")
        for key in keys:
            folder = self._plan.stages[key.stage].folder
            if manifest_path(folder, key.unit).exists():
                self._commit(worker, key, unit_summary(folder, key.unit), {}, 0)
        in_hand = {key: read_crumb(path) for key, path in self._quarantined.items() if key in keys}
        late = frozenset(key for key, path in self._quarantined.items() if key in keys and was_late(path))
        self.scheduler.handle(Died(worker, in_hand, late))

    def _rotten(self, key: Key) -> list[Key] | None:
        """The units that a unit which has failed was made from, and whose files have not the bytes that were committed.

        Empty where another unit found them first, and they were taken back while this one was in work; ``None`` where that is
        not why it failed.
        """
        above = [Key(stage, unit) for stage, unit in self._plan.made_from(key)]
        found = []
        for stage, unit in above:
            folder = self._plan.stages[stage].folder
            if manifest_path(folder, unit).exists() and damaged(folder, unit):
                found.append(Key(stage, unit))
        late = self._taken_back & set(above) and key not in self._waited
        return found if found or late else None

    def _take_back(self, worker: int, key: Key, rotten: Sequence[Key], error: str) -> None:
        """Take damaged units back, to be made again; what was made from them waits for that."""
        for stage, unit in rotten:
            self._plan.lose(Key(stage, unit))
            self._progress.say(f"{stage} unit {unit}: has other bytes than were committed; it is made again")
            self._ledger.event("rotten", stage=stage, unit=unit, found_by=list(key), error=error)
        self._remade += len(rotten)
        self._taken_back.update(rotten)
        if not rotten:
            self._waited.add(key)
        self.scheduler.handle(Spoilt(worker, key, tuple(rotten)))

    def _forget(self, key: Key) -> None:
        crumb = self._quarantined.pop(key, None)
        if crumb:
            forget(crumb)

    def _show(self) -> None:
        doing: dict[str, Counter[str]] = {stage.name: Counter() for stage in self._plan.wanted}
        for worker, (busy_with, what) in self._doing.items():
            for key in self.scheduler.in_flight(worker) if what in _NOT_YET else ():
                if busy_with is None or busy_with.stage == key.stage:
                    doing[key.stage][what] += 1
        self._progress.show({stage.name: self.scheduler.counts(stage.name) for stage in self._plan.wanted}, doing)


def _named(keys: Sequence[Key]) -> str:
    return ", ".join(f"{stage} unit {unit}" for stage, unit in keys)


_NOT_YET = ("starting", "building", "compiling")
"""What a worker does before it computes."""


def _lines(plan: Plan, foretold: Mapping[str, float]) -> list[StageStart]:
    rows = plan.listing.unit_rows
    return [
        StageStart(
            stage.name,
            stage.units,
            len(stage.committed),
            len(stage.todo) * rows,
            dict(stage.reasons),
            foretold.get(stage.name),
        )
        for stage in plan.wanted
    ]
