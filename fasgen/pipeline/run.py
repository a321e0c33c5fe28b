"""The run: asks the scheduler, feeds the engine, tells progress and ledger, and ends in good order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.manifests.atomic import clean, file_digest, look_again, shortcomings
from fasgen.manifests.inputs import judged_is_whole
from fasgen.manifests.ledger import Ledger
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import sweep
from fasgen.manifests.report.delivery import finish
from fasgen.manifests.seen_file import note_seen
from fasgen.manifests.unit import committed_units, damaged, manifest_path, unit_summary
from fasgen.pipeline.crew import Crew, named
from fasgen.pipeline.crumbs import forget, read_crumb, was_late
from fasgen.pipeline.engine import Engine
from fasgen.pipeline.events import (
    DEVICES,
    KINDS,
    Broke,
    Died,
    Dismissed,
    Doing,
    Done,
    Drain,
    EngineEvent,
    Halt,
    Joined,
    Key,
    Spoilt,
    Stop,
    UnitReport,
)
from fasgen.pipeline.handshake import PATIENCE, Meeting
from fasgen.pipeline.idle import Idle
from fasgen.pipeline.interrupts import Interrupts, interrupts
from fasgen.pipeline.occupancy import Occupancy
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import Outcome, RunResult
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.progress import Progress, StageStart, hms
from fasgen.pipeline.resources import peak_rss
from fasgen.pipeline.schedule import Assign, Scheduler

TICK = 0.25
"""Seconds that the loop waits for events before it looks at the keyboard and the clock again."""


def run(
    plan: Plan,
    engine: Callable[[], Engine],
    progress: Progress,
    ledger: Ledger,
    options: RunOptions | None = None,
) -> RunResult:
    """Make all that ``plan`` can make.

    The first Ctrl-C (or SIGTERM, or SIGHUP) lets the units in hand finish, the second ends at once. Whatever way the run ends,
    what is committed stays.

    Args:
        plan: what to make; its files are written first.
        engine: makes the engine; called only if there is something to do, and closed at the end.
        progress: is told of every change.
        ledger: is told of every event.
        options: how it is carried out.

    Raises:
        StoreError: another driver works on the store, or it cannot be written.
    """
    options = options or RunOptions()
    with nullcontext(options.lock) if options.lock else StoreLock(plan.store) as held:
        return _locked(plan, engine, progress, ledger, replace(options, lock=held))


def _locked(plan: Plan, engine: Callable[[], Engine], progress: Progress, ledger: Ledger, options: RunOptions) -> RunResult:
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
        loop = _Run(plan, progress, ledger, options, occupancy)
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

    def __init__(self, plan: Plan, progress: Progress, ledger: Ledger, options: RunOptions, occupancy: Occupancy) -> None:
        self._plan, self._progress, self._ledger, self._options = plan, progress, ledger, options
        self._crumbs, self._occupancy = options.crumbs or plan.store / "runs" / "in-hand", occupancy
        self.scheduler = Scheduler(
            plan.work(),
            plan.listing.numbers,
            retries=options.retries,
            budget=options.budget,
            before={stage.name: (stage.planned, stage.failed) for stage in plan.wanted},
        )
        self._quarantined: dict[Key, Path] = {}
        self._torn: set[Key] = set()
        self._remade = 0
        self._taken_back: set[Key] = set()
        self._waited: set[Key] = set()
        self._counts = {"units": 0, "again": 0, "planned": 0, "ok": 0, "filtered": 0, "failed": 0}
        self._peak_worker = self._kept = 0
        self._crew = Crew(plan, progress, ledger, occupancy)
        self._idle = Idle()
        progress.begin(_lines(plan, options.foretold))
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
                if (lock := self._options.lock) and lock.lost and self.scheduler.ending is None:
                    self.scheduler.handle(Halt(lock.lost))
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
        outcome = scheduler.ending or Outcome.FINISHED
        error = scheduler.error
        over = scheduler.over_budget(final=True)
        if over and outcome is not Outcome.ERROR:
            error = over
            outcome = Outcome.OVER_BUDGET if outcome is Outcome.FINISHED else outcome
        return RunResult(
            outcome,
            **self._counts,
            remaining=self._plan.todo + self._plan.unsure - self._counts["units"] - self._kept + self._remade,
            deaths=self._crew.deaths,
            error=error,
            peak_driver=peak_rss(),
            peak_worker=self._peak_worker,
            first_unit=self._occupancy.first_unit,
            use=self._occupancy.use(),
            dismissed=tuple(self._crew.dismissed),
        )

    def _submit(self, engine: Engine, assign: Assign) -> None:
        try:
            self._plan.prepare(assign.key.stage)
            if kept := self._plan.believed(assign.key):
                self._kept += 1
                self._forget(assign.key)
                self.scheduler.handle(Done(assign.worker, UnitReport(assign.key, kept)))
                return
            self._plan.clear(assign.key)
            self._tidy(assign.key)
            task = replace(
                self._plan.task(assign, self._crumbs),
                time_limit=self._options.time_limit,
                domain=self._crew.enter(assign.worker, assign.key),
            )
            if task.crumb:
                self._crumbs.mkdir(parents=True, exist_ok=True)
                forget(task.crumb)
        except (StoreError, OSError) as error:
            self._end(Broke(assign.worker, assign.key, str(error)))
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

    def _tidy(self, key: Key) -> None:
        """Remove what a worker that is gone left of a unit. Not before every unit: the folder's names are listed for it."""
        if key in self._torn:
            clean(self._plan.stages[key.stage].folder, f"{key.unit:05d}")
            self._torn.discard(key)

    def _interrupt(self, count: int) -> None:
        self.scheduler.handle(Drain() if count == 1 else Stop())
        self._progress.say(
            "finishing the units in hand; Ctrl-C again stops at once" if count == 1 else "stopping; units in hand are lost"
        )
        self._ledger.event("interrupt", count=count)

    def _take(self, event: EngineEvent, engine: Engine, meeting: Meeting) -> None:
        match event:
            case Joined():
                self._receive(event, engine, meeting)
            case _ if event.worker not in self._crew:
                # What a worker that was dismissed had still to say.
                return
            case Doing(worker, state):
                self._crew.note(worker, state)
            case Done(worker, report):
                self._occupancy.finished(worker, report.seconds)
                if lie := self._untrue(report):
                    self._dismiss(worker, engine, lie, report.key)
                else:
                    self._commit(event)
            case Broke(worker, key, error):
                if (rotten := self._rotten(key)) is not None:
                    self._take_back(worker, key, rotten, error)
                else:
                    self._progress.say(f"{key.stage} unit {key.unit}: {error}")
                    self._end(event)
            case Died():
                self._lose(event)

    def _receive(self, joined: Joined, engine: Engine, meeting: Meeting) -> None:
        """A worker lives: it gets work, or is dismissed because it does not fit."""
        self._crew.meet(joined)
        if why := meeting.objection(joined.kind, joined.said):
            self._dismiss(joined.worker, engine, why)
        else:
            self._crew.take_on(joined)
            self.scheduler.handle(joined)

    def _dismiss(self, worker: int, engine: Engine, why: str, key: Key | None = None) -> None:
        """Let a worker go, with the reason; what it had in hand is given out again."""
        lost = self.scheduler.in_flight(worker)
        self._torn.update(lost)
        worked = self._crew.let_go(worker, why, lost, key)
        engine.dismiss(worker)
        if worked:
            self.scheduler.handle(Dismissed(worker))

    def _untrue(self, report: UnitReport) -> str:
        """What is wrong about a report of a unit, by what lies in the store; empty if it is true."""
        folder, unit = self._plan.stages[report.key.stage].folder, report.key.unit
        manifest, deadline = manifest_path(folder, unit), time.monotonic() + PATIENCE
        while True:
            try:
                true = file_digest(manifest) == report.digest
                return "" if true else f"reported {named([report.key])}, but {manifest} has other bytes than it said"
            except OSError as error:
                if time.monotonic() > deadline:
                    return (
                        f"reported {named([report.key])}, but {manifest} is not there ({error.strerror}): does its node see "
                        "the store?"
                    )
            look_again(folder)
            time.sleep(0.2)

    def _await(self, engine: Engine) -> None:
        """Say for whom the run waits and for how long, or end it if nobody will come."""
        for kind in self.scheduler.starved():
            coming = engine.expects(kind)
            if not coming:
                self.scheduler.handle(Halt(self._crew.nobody(kind)))
            elif (seconds := self._idle.due(kind)) is not None:
                self._progress.say(f"waiting for {hms(seconds)}: {coming}")
                self._ledger.event("waiting", device=DEVICES[kind], seconds=round(seconds), reason=coming)
            break
        else:
            self._idle.over()

    def _commit(self, done: Done) -> None:
        worker, report = done
        key, summary = report.key, report.summary
        self._occupancy.committed()
        stage = self._plan.stages[key.stage]
        self._counts["units"] += 1
        self._counts["again"] += key.unit in stage.stale or key.unit in stage.unsure
        for name in ("planned", "ok", "filtered", "failed"):
            self._counts[name] += getattr(summary, name)
        self._peak_worker = max(self._peak_worker, report.peak_rss)
        self._plan.identities.forget(stage.folder, key.unit)
        self._forget(key)
        self.scheduler.handle(done)
        self._progress.unit(key.stage, summary)
        if report.micro_batch:
            self._progress.say(
                f"{key.stage} unit {key.unit}: too little memory for the plan's batch, made {report.micro_batch} samples a call"
            )
            self._ledger.event("micro_batch", stage=key.stage, unit=key.unit, micro_batch=report.micro_batch)
        seconds = {name: round(value, 4) for name, value in report.seconds.items()}
        self._ledger.event("unit", stage=key.stage, worker=worker, **asdict(summary), seconds=seconds, peak_rss=report.peak_rss)

    def _end(self, broke: Broke) -> None:
        """A unit cannot be run: no more are begun."""
        worker, key, error = broke
        self.scheduler.handle(broke)
        self._ledger.event("broke", stage=key.stage, unit=key.unit, worker=worker, error=error)

    def _lose(self, died: Died) -> None:
        """A worker is gone: what it had in hand is judged by what lies on disk."""
        worker, keys = died.worker, self.scheduler.in_flight(died.worker)
        self._torn.update(keys)
        self._crew.bury(died, keys)
        for key in keys:
            folder = self._plan.stages[key.stage].folder
            if manifest_path(folder, key.unit).exists():
                self._commit(Done(worker, UnitReport(key, unit_summary(folder, key.unit))))
        quarantined = {key: path for key, path in self._quarantined.items() if key in keys}
        in_hand = {key: read_crumb(path) for key, path in quarantined.items()}
        late = frozenset(key for key, path in quarantined.items() if was_late(path))
        self.scheduler.handle(died._replace(in_hand=in_hand, late=late))

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
        counts = {stage.name: self.scheduler.counts(stage.name) for stage in self._plan.wanted}
        self._progress.show(counts, self._crew.not_yet(self.scheduler.in_flight))


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
