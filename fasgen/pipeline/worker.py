"""One unit, from its inputs to its commit. The same code runs in every engine."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain

from fasgen.pipeline.calling import Result, TooLargeError, call, ladder, release_memory
from fasgen.pipeline.channel import Ahead, Behind
from fasgen.pipeline.crumbs import CrumbFile, forget, late_mark
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import State, UnitReport
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.launching import Aloft, Launcher, Written
from fasgen.pipeline.loading import Limit, Loaded, batches, loaded_bytes, open_input
from fasgen.pipeline.resources import peak_rss
from fasgen.pipeline.timing import Clock, Turns
from fasgen.pipeline.watchdog import Watchdog
from fasgen.pipeline.writing import open_output, write_row, written_bytes
from fasgen.records import Reason
from fasgen.stages.compiled import compiling
from fasgen.stages.stage import Reject, Sample, Stage, StageSpec

AHEAD_BYTES = 256 << 20
"""Loaded samples that may wait for the stage, and products that may wait to be written, for each unit in flight."""


class Worker:
    """Holds one stage at a time and runs units of it.

    Several threads may call :meth:`run` at once: one computes while others load and write. A unit's turn to compute ends when
    its last batch is launched; the next unit launches its first while that one is collected.

    Args:
        accelerator: whether this worker has a GPU to itself.
        threads: threads of every numerical library.
        watchdog: ends what takes longer than a task allows; nobody does if ``None``.
    """

    def __init__(self, *, accelerator: bool = False, threads: int = 1, watchdog: Watchdog | None = None) -> None:
        self._accelerator, self._threads, self._watchdog = accelerator, threads, watchdog
        self._turn = threading.RLock()
        self._turns = Turns()
        self._aloft = Aloft()
        self._doing: State | None = None
        self._held: tuple[str, int, Stage] | None = None
        self._rungs: dict[str, int] = {}

    def run(self, task: UnitTask) -> UnitReport:
        """Make and commit one unit, in batches that fit into memory.

        Raises:
            FasgenError, OSError: the unit cannot be made for a reason that is no sample's fault; nothing is committed.
            DeviceLostError: the device is lost; this worker must not be used again.
        """
        clock = Clock()
        spec: StageSpec = resolve(task.target).of(task.config)
        rungs = ladder(spec, task.config, task.batch)
        # What did not fit for one unit is not tried for the next; but a single sample that fits nowhere proves nothing.
        rung = self._rungs.get(task.plan_hash, 0)
        while True:
            batch, config = rungs[rung]
            smaller = replace(task, batch=batch, config=config)
            try:
                report = self._run(smaller, spec, clock, batch if rung else None, rung + 1 < len(rungs))
            except TooLargeError:
                rung += 1
                with self._turn:
                    self._held = None
                    release_memory()
                continue
            if Reason.OUT_OF_MEMORY not in report.summary.reasons:
                self._rungs[task.plan_hash] = rung
            return report

    def _limit(self, task: UnitTask, samples: int, spent: float = 0.0) -> AbstractContextManager[None]:
        if self._watchdog is None or task.time_limit is None:
            return nullcontext()
        seconds = max(0.0, samples * task.time_limit - spent)
        return self._watchdog.over(seconds, task.key, late_mark(task.crumb) if task.crumb else None)

    def _run(self, task: UnitTask, spec: StageSpec, clock: Clock, micro_batch: int | None, divisible: bool) -> UnitReport:
        crumb = CrumbFile(task.crumb) if task.crumb else None
        limit = partial(self._limit, task)
        unit = open_input(task, spec)
        writer = open_output(task, spec, micro_batch)
        try:
            with writer:
                loading = clock.running("load", batches(unit, task.batch, _excluded(task), crumb, limit))

                def write(group: Sequence[Written]) -> None:
                    with clock.phase("write"):
                        for loaded, outcome in group:
                            write_row(writer, loaded, outcome)

                # In quarantine nothing overlaps, so that the rows in hand are the rows at fault.
                ahead = None if crumb else Ahead(loading, loaded_bytes, AHEAD_BYTES)
                behind = None if crumb else Behind(write, written_bytes, AHEAD_BYTES)
                with behind or nullcontext(), ahead or nullcontext():
                    groups = ahead.eagerly() if ahead else loading
                    self._compute(task, spec, clock, groups, behind.put if behind else write, crumb, divisible)
                summary = writer.commit(len(unit.places), clock.seconds())
        finally:
            unit.close()
        if task.crumb:
            forget(task.crumb)
        return UnitReport(task.key, summary, clock.seconds(), peak_rss(), micro_batch, writer.digest)

    def _compute(
        self,
        task: UnitTask,
        spec: StageSpec,
        clock: Clock,
        groups: Iterator[list[Loaded] | None],
        put: Callable[[list[Written]], None],
        crumb: CrumbFile | None,
        divisible: bool,
    ) -> None:
        """Put the outcomes of all groups, in order."""
        limit, timed = partial(self._limit, task), partial(self._turns.computing, clock)

        def plainly(group: Sequence[Loaded]) -> list[Result]:
            with self._turn:
                stage = self._hold(task, spec, clock)
                with timed():
                    return _outcomes(stage, spec, group, frozenset(task.suspects), crumb, limit, divisible)

        first = next((group for group in groups if group is not None), None)
        if first is None:
            return
        last: list[Written] = []
        try:
            with ExitStack() as stack:
                with self._turn:
                    stage, ahead = self._hold(task, spec, clock), not (crumb or task.suspects)
                    launcher = stack.enter_context(Launcher(stage, spec, plainly, limit, timed, self._aloft, ahead=ahead))
                    del stage
                    flight = launcher.run(chain([first], groups), put)
                if flight is not None:
                    # The next unit's turn: it launches while this one's last batch is collected.
                    last = launcher.land(flight)
        finally:
            if self._doing and self._doing.key == task.key:
                self._doing = None
        if last:
            put(last)

    def state(self) -> State:
        """What the worker does at this moment; may be asked from any thread."""
        doing = self._doing
        if doing is None:
            return State(None, "idle")
        return State(doing.key, "compiling") if compiling().under_way else doing

    def _hold(self, task: UnitTask, spec: StageSpec, clock: Clock) -> Stage:
        """The stage of ``task``, built now unless it is the one held."""
        if self._held is None or self._held[:2] != (task.plan_hash, task.batch):
            self._doing = State(task.key, "building")
            self._aloft.wait()
            with clock.phase("build"):
                if self._held is not None:
                    self._held = None
                    # Networks lie in circles; what was the last stage's must be gone before the next one's is there.
                    gc.collect()
                self._held = task.plan_hash, task.batch, self._built(task, spec)
        self._doing = State(task.key, "computing")
        return self._held[2]

    def _built(self, task: UnitTask, spec: StageSpec) -> Stage:
        import torch

        if self._accelerator:
            torch.cuda.empty_cache()
            torch.backends.cudnn.deterministic = True
        _limit_threads(self._threads)
        return spec.build(task.config, torch.device("cuda" if self._accelerator and task.accelerator else "cpu"))


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(threads)


_KILLS = Reject(Reason.WORKER_DIED, "this sample alone has killed its worker twice")
_LATE = Reject(Reason.TIME_LIMIT, "this sample alone has taken longer than time_limit twice")


def _excluded(task: UnitTask) -> dict[int, Reject]:
    return {place: _LATE if place in task.late else _KILLS for place in task.excluded}


def _outcomes(
    stage: Stage,
    spec: StageSpec,
    group: Sequence[Loaded],
    suspects: frozenset[int],
    crumb: CrumbFile | None,
    limit: Limit,
    divisible: bool,
) -> list[Result]:
    """One outcome a row: the batch in one call, but suspects each in a call of its own."""
    outcomes: dict[int, Result] = {}
    together: list[int] = []
    alone: list[list[int]] = []
    for index, loaded in enumerate(group):
        if isinstance(loaded.sample, Reject):
            outcomes[index] = loaded.sample
        elif loaded.place in suspects:
            alone.append([index])
        else:
            together.append(index)
    for indices in [together, *alone]:
        if crumb and indices:
            crumb([group[index].place for index in indices])
        samples = [sample for index in indices if isinstance(sample := group[index].sample, Sample)]
        with limit(len(samples)) if samples else nullcontext():
            outcomes.update(zip(indices, call(stage, spec, samples, divisible=divisible), strict=True))
    return [outcomes[index] for index in range(len(group))]
