"""Which unit goes to which worker: a pure state machine. Events in, decisions out; no IO, no clock, no threads.

A unit is ready when the same unit of every stage it reads is committed, and all units of those it reads across. A worker keeps
the stage whose model it holds while that stage has ready units. The units of a worker that died are given out again, and one
that has outlived its retries goes to quarantine: alone on a worker, which leaves word of the rows in hand. Rows in hand at a
death become suspects and are run one by one; a suspect in hand, alone, at a second death is excluded, to be rejected as
``worker_died``. So a sample that kills is found after two deaths more, and a worker that some outside force killed costs no
sample.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fasgen.pipeline.events import Broke, Died, Dismissed, Done, Drain, Event, Halt, Joined, Key, Kind, Spoilt, Stop
from fasgen.pipeline.outcome import Outcome


@dataclass(frozen=True, slots=True)
class StageWork:
    """What the scheduler knows of a stage.

    Attributes:
        name: stage name.
        kind: the kind of worker that runs it.
        upstream: stages whose unit i must be committed before unit i of this one.
        committed: units that lie committed in the store.
        wanted: false for a stage that is only read from in this run.
        whole: stages of which every unit must be committed before the first unit of this one.
    """

    name: str
    kind: Kind
    upstream: tuple[str, ...]
    committed: frozenset[int]
    wanted: bool = True
    whole: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """How many rows of a stage may fail before the run drains.

    Attributes:
        max_failed: failed rows of a stage, earlier runs included; ``None`` for no limit.
        max_rate: failed / planned rows of a stage, in [0, 1]; ``None`` for no limit.
        floor: the rate is not judged before so many rows of the stage are committed, unless the work is finished.
    """

    max_failed: int | None = None
    max_rate: float | None = None
    floor: int = 256

    def exceeded(self, failed: int, planned: int, *, final: bool = False) -> bool:
        """Whether ``failed`` of ``planned`` committed rows are too many."""
        if self.max_failed is not None and failed > self.max_failed:
            return True
        judged = planned > 0 and (final or planned >= self.floor)
        return self.max_rate is not None and judged and failed / planned > self.max_rate


class Assign(NamedTuple):
    """Decision: ``worker`` runs ``key``.

    ``quarantine``: alone, leaving word of the rows in hand; ``suspects``: rows to run one by one; ``excluded``: rows to leave
    out; ``late``: those of them that took too long, rather than killed.
    """

    worker: int
    key: Key
    attempt: int = 0
    quarantine: bool = False
    suspects: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    late: tuple[int, ...] = ()


@dataclass(slots=True)
class _Worker:
    kind: Kind
    held: str = ""
    in_flight: dict[Key, Assign] = field(default_factory=dict)

    @property
    def exclusive(self) -> bool:
        return any(assign.quarantine for assign in self.in_flight.values())


@dataclass(slots=True)
class _Trouble:
    deaths: int = 0
    silent: int = 0
    suspects: set[int] = field(default_factory=set)
    excluded: set[int] = field(default_factory=set)
    late: set[int] = field(default_factory=set)


class Scheduler:
    """See the module. Feed it events by :meth:`handle`, ask it for work by :meth:`decide`.

    Args:
        stages: in order, every stage after those it reads.
        units: units of each stage: how many, from 0 on, or their numbers, ascending.
        depth: tasks in flight on one worker.
        retries: deaths that a unit survives before quarantine, and those without a row in hand that it survives there.
        budget: failed rows allowed, by stage.
        before: rows committed before this run and how many of them failed, by stage.
    """

    def __init__(
        self,
        stages: Sequence[StageWork],
        units: int | Sequence[int],
        *,
        depth: int = 2,
        retries: int = 1,
        budget: Budget | None = None,
        before: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self._numbers: Sequence[int] = range(units) if isinstance(units, int) else units
        self.units, self.depth, self.retries, self.budget = len(self._numbers), depth, retries, budget or Budget()
        self._rows = {stage.name: (before or {}).get(stage.name, (0, 0)) for stage in stages}
        self.ending: Outcome | None = None
        self.error = ""
        self._stopped = False
        self._work = {stage.name: stage for stage in stages}
        self._rank = {stage.name: rank for rank, stage in enumerate(stages)}
        self._committed = {stage.name: set(stage.committed) for stage in stages}
        self._below: dict[str, list[str]] = {stage.name: [] for stage in stages}
        for stage in stages:
            for upstream in stage.upstream:
                self._below[upstream].append(stage.name)
        self._across: dict[str, list[str]] = {
            stage.name: [other.name for other in stages if stage.name in other.whole] for stage in stages
        }
        self._ready: dict[str, list[int]] = {stage.name: [] for stage in stages}
        self._quarantine: dict[str, list[int]] = {stage.name: [] for stage in stages}
        self._workers: dict[int, _Worker] = {}
        self._trouble: dict[Key, _Trouble] = {}
        self._lost = False
        for stage in stages:
            for unit in self._numbers:
                self._wake(stage.name, unit)
        self._judge_budget()

    # what a run asks

    @property
    def finished(self) -> bool:
        """Nothing is in hand, and nothing will be begun."""
        if self._stopped:
            return True
        idle = not any(worker.in_flight for worker in self._workers.values())
        return idle and (self.ending is not None or not self._has_ready())

    def starved(self) -> list[Kind]:
        """The kinds of worker for which there is work and of which there is none."""
        if self.ending is not None:
            return []
        there = {worker.kind for worker in self._workers.values()}
        queues = [*self._ready.items(), *self._quarantine.items()]
        return sorted({self._work[name].kind for name, queue in queues if queue} - there)

    @property
    def planned(self) -> int:
        """Committed rows, earlier runs included."""
        return sum(planned for planned, _ in self._rows.values())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(failed for _, failed in self._rows.values())

    def over_budget(self, *, final: bool = False) -> str:
        """Which stage has failed too often, in words; empty while none has.

        Args:
            final: the work is finished, so that few rows are judged too.
        """
        for stage, (planned, failed) in self._rows.items():
            if self.budget.exceeded(failed, planned, final=final):
                return (
                    f"{stage}: {failed} of {planned} rows failed, more than the budget allows "
                    f"(budget.max_failed {_shown(self.budget.max_failed)}, "
                    f"budget.max_failed_rate {_shown(self.budget.max_rate)})"
                )
        return ""

    def in_flight(self, worker: int) -> list[Key]:
        """The units that ``worker`` has in hand."""
        return list(self._workers[worker].in_flight) if worker in self._workers else []

    def counts(self, stage: str) -> tuple[int, int, int]:
        """Units of ``stage``: committed, running, waiting (ready or not)."""
        done = len(self._committed[stage])
        running = sum(key.stage == stage for worker in self._workers.values() for key in worker.in_flight)
        return done, running, self.units - done - running

    # events

    def handle(self, event: Event) -> None:
        """Take one event in.

        Raises:
            ValueError: the event contradicts what the scheduler has decided.
        """
        match event:
            case Joined(worker=worker, kind=kind):
                if worker in self._workers:
                    raise ValueError(f"worker {worker} joined twice")
                self._workers[worker] = _Worker(kind)
            case Done(worker, report):
                self._take_back(worker, report.key)
                self._take_in(report.key, report.summary.planned, report.summary.failed)
            case Died(worker=worker, in_hand=in_hand, late=late):
                for key, assign in self._workers.pop(worker).in_flight.items():
                    self._requeue(key, assign, in_hand.get(key, ()), key in late)
            case Dismissed(worker):
                for key, assign in self._workers.pop(worker).in_flight.items():
                    queues = self._quarantine if assign.quarantine else self._ready
                    heapq.heappush(queues[key.stage], key.unit)
            case Broke(worker, key, error):
                self._take_back(worker, key)
                heapq.heappush(self._ready[key.stage], key.unit)
                self._end(Outcome.ERROR, f"{key.stage} unit {key.unit}: {error}")
            case Spoilt(worker, key, lost):
                self._take_back(worker, key)
                self._lose(lost)
            case Halt(error):
                self._end(Outcome.ERROR, error)
            case Drain():
                self._end(Outcome.INTERRUPTED)
            case Stop():
                self._end(Outcome.INTERRUPTED)
                self._stopped = True

    # decisions

    def decide(self) -> list[Assign]:
        """All assignments that the present state allows; they count as made."""
        made: list[Assign] = []
        while self.ending is None:
            free = [
                number
                for number, worker in self._workers.items()
                if len(worker.in_flight) < self.depth and not worker.exclusive
            ]
            # The least loaded first, so that few units spread over all workers before any gets a second.
            free.sort(key=lambda number: (len(self._workers[number].in_flight), number))
            assign = next((found for number in free if (found := self._next_for(number))), None)
            if assign is None:
                break
            worker = self._workers[assign.worker]
            worker.in_flight[assign.key], worker.held = assign, assign.key.stage
            made.append(assign)
        return made

    def _next_for(self, number: int) -> Assign | None:
        worker = self._workers[number]
        stage = self._choose(worker, self._ready)
        if stage:
            key = Key(stage, heapq.heappop(self._ready[stage]))
            trouble = self._trouble.get(key)
            return Assign(number, key, attempt=trouble.deaths if trouble else 0)
        stage = "" if worker.in_flight else self._choose(worker, self._quarantine)
        if not stage:
            return None
        key = Key(stage, heapq.heappop(self._quarantine[stage]))
        trouble = self._trouble[key]
        rows = (tuple(sorted(found)) for found in (trouble.suspects, trouble.excluded, trouble.late))
        return Assign(number, key, trouble.deaths, True, *rows)

    def _choose(self, worker: _Worker, queues: Mapping[str, list[int]]) -> str:
        """The held stage if it has work, else the one with most work for each worker that holds it, the last on a tie."""
        if worker.held and queues[worker.held]:
            return worker.held
        open_ = [name for name, queue in queues.items() if queue and self._work[name].kind == worker.kind]
        holders = {
            name: 1 + sum(other.held == name and bool(other.in_flight) for other in self._workers.values()) for name in open_
        }
        return max(open_, key=lambda name: (len(queues[name]) / holders[name], self._rank[name]), default="")

    # state

    def _wake(self, stage: str, unit: int) -> None:
        work = self._work[stage]
        if not work.wanted or unit in self._committed[stage]:
            return
        whole = all(len(self._committed[name]) == self.units for name in work.whole)
        if whole and all(unit in self._committed[name] for name in work.upstream) and not self._is_given(Key(stage, unit)):
            heapq.heappush(self._ready[stage], unit)

    def _is_given(self, key: Key) -> bool:
        """Whether a unit waits for a worker or is in hand: what was damaged is committed twice, and wakes others twice."""
        if not self._lost:
            return False
        in_hand = any(key in worker.in_flight for worker in self._workers.values())
        return in_hand or key.unit in self._ready[key.stage] or key.unit in self._quarantine[key.stage]

    def _lose(self, lost: Iterable[Key]) -> None:
        """Units are committed no more: they are ready again, and all that reads them is not until they are there."""
        self._lost = True
        for key in lost:
            self._committed[key.stage].discard(key.unit)
            if not self._work[key.stage].wanted:
                self._end(Outcome.ERROR, f"{key.stage} unit {key.unit} was damaged: make it with: fasgen run stage={key.stage}")
        for stage, queue in self._ready.items():
            queue.clear()
            for unit in self._numbers:
                self._wake(stage, unit)

    def _take_in(self, key: Key, planned: int, failed: int) -> None:
        """A unit is committed, and what waited for it is ready."""
        self._trouble.pop(key, None)
        self._committed[key.stage].add(key.unit)
        before = self._rows[key.stage]
        self._rows[key.stage] = before[0] + planned, before[1] + failed
        for below in self._below[key.stage]:
            if below not in self._across[key.stage]:
                self._wake(below, key.unit)
        if len(self._committed[key.stage]) == self.units:
            for below in self._across[key.stage]:
                for unit in self._numbers:
                    self._wake(below, unit)
        self._judge_budget()

    def _take_back(self, worker: int, key: Key) -> None:
        if worker not in self._workers or key not in self._workers[worker].in_flight:
            raise ValueError(f"worker {worker} does not have {key.stage} unit {key.unit} in hand")
        del self._workers[worker].in_flight[key]

    def _requeue(self, key: Key, assign: Assign, in_hand: Iterable[int], late: bool) -> None:
        trouble = self._trouble.setdefault(key, _Trouble())
        trouble.deaths += 1
        rows = set(in_hand)
        if assign.quarantine and rows:
            alone = rows & trouble.suspects if len(rows) == 1 else set()
            trouble.excluded |= alone
            trouble.late |= alone if late else set()
            trouble.suspects = (trouble.suspects | rows) - trouble.excluded
        elif assign.quarantine:
            trouble.silent += 1
            if trouble.silent > self.retries:
                self._end(
                    Outcome.ERROR,
                    f"{key.stage} unit {key.unit}: {trouble.deaths} workers died on it, the last before they began a sample; "
                    "is there memory enough for the stage's model?",
                )
        queues = self._quarantine if trouble.deaths > self.retries else self._ready
        heapq.heappush(queues[key.stage], key.unit)

    def _has_ready(self) -> bool:
        return any(self._ready.values()) or any(self._quarantine.values())

    def _judge_budget(self) -> None:
        if over := self.over_budget():
            self._end(Outcome.OVER_BUDGET, over)

    def _end(self, ending: Outcome, error: str = "") -> None:
        if self.ending is None or (ending is Outcome.ERROR and self.ending is not Outcome.ERROR):
            self.ending, self.error = ending, error


def _shown(limit: float | None) -> str:
    return "null" if limit is None else f"{limit:g}"
