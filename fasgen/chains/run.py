"""A chain from its crops to its table: steps side by side on the GPUs that there are, each once, and on from where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fasgen.audit.protocol_sets import find_lists, lay
from fasgen.chains import making
from fasgen.chains.config import Chain
from fasgen.chains.jobs import POLL, Held, Job, Launch, process, visible, wait
from fasgen.chains.making import Means
from fasgen.chains.outcome import is_done
from fasgen.chains.steps import Graph, Step, plan
from fasgen.config.loading import load
from fasgen.errors import ConfigError, FasgenError

Say = Callable[[str], object]


@dataclass
class Result:
    """How a chain ended.

    Attributes:
        graph: its steps.
        failed: by step, why it failed or was not begun.
        notes: what the table must say: what protocols lack, and what was seen where it may be.
    """

    graph: Graph
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def run(chain: Chain, means: Means, say: Say, launch: Launch = process) -> Result:
    """Do what is not done yet.

    A step that fails ends what hangs on it; the rest goes on.

    Args:
        chain: what to do.
        means: on what.
        say: is told what happens, line by line.
        launch: how a command begins.

    Raises:
        FasgenError: faces could not be cut, or protocols not be laid over them.
        KeyboardInterrupt: after what ran has ended, which by then has kept what it had.
    """
    making.check_crops(chain)
    notes: list[str] = []
    for extra in (False, True) if chain.extra else (False,):
        _cut(chain, means, say, launch, extra=extra)
    for one in _lay(chain):
        say(one)
        notes.append(one)
    result = Result(plan(chain), notes=notes)
    _Runner(chain, result, means, say, launch).run()
    return result


def _cut(chain: Chain, means: Means, say: Say, launch: Launch, *, extra: bool) -> None:
    """Cut the faces of a store that are not cut yet."""
    say("crops" + (" of what trainings alone learn from" if extra else ""))
    log = chain.out / "steps" / ("crops-extra.log" if extra else "crops.log")
    lock = Held(log.with_suffix(".lock"))
    try:
        if not lock.take():
            say("waiting: faces are being cut by a command of a chain that was killed")
            while not lock.take():
                time.sleep(POLL)
        job = launch(making.crops_command(chain, means, extra=extra), log, visible(means.gpus), lock.number)
        try:
            while (code := job.poll()) is None:
                time.sleep(POLL)
        except KeyboardInterrupt:
            wait([job])
            raise
    finally:
        lock.drop()
    if code:
        raise ConfigError(f"faces could not be cut: {_last(log)}; all of it: {log}")


def _lay(chain: Chain) -> list[str]:
    """Lay every fold over the store; what is missing there.

    Raises:
        ConfigError: somebody is on two sides, and the chain is strict.
    """
    sources = load({"sources": chain.sources(), "store": str(chain.store)}).sources
    said = []
    for one in chain.folds():
        lists = chain.lists.get(one.name) or chain.lists.get(one.family) or find_lists(one, sources, {})
        made = lay(chain.store, one, {}, lists, photographs=True)
        if made.sides.shared and chain.strict:
            who, sides = next(iter(made.sides.shared.items()))
            raise ConfigError(
                f"{one.name}: {who} is in {' and '.join(sides)}, and {len(made.sides.shared) - 1} others are on two sides too: "
                "give the data set's own lists under `lists`, or set strict=false"
            )
        for sentence in (*made.sides.missing, *made.sides.differences):
            said.append(f"{one.name}: {sentence}")
        said += [f"{one.name}: {who} is in {' and '.join(sides)}" for who, sides in made.sides.shared.items()]
    return said


@dataclass
class _Running:
    step: Step
    job: Job
    lock: Held
    devices: list[str]
    begun: float


class _Runner:
    """Steps whose parents are over, on what is free: a training on a share of the GPUs, a detector on one, what is made of a
    fold on all of them, since one run at a time may write to a store."""

    def __init__(self, chain: Chain, result: Result, means: Means, say: Say, launch: Launch) -> None:
        self._chain, self._result, self._graph = chain, result, result.graph
        self._means, self._say, self._launch = means, say, launch
        self._free = visible(means.gpus)
        self._running: list[_Running] = []
        self._left = {step.key: step for step in needed(self._graph)}
        self._total, self._begun = len(self._left), 0
        self._waiting: set[str] = set()

    def run(self) -> None:
        """Until nothing is left that can be done."""
        try:
            while self._left or self._running:
                self._collect()
                self._begin()
                if self._running and all(one.job.poll() is None for one in self._running):
                    time.sleep(POLL)
        except KeyboardInterrupt:
            self._say("interrupted: what runs ends and keeps what it has")
            wait([one.job for one in self._running])
            raise
        finally:
            for one in self._running:
                one.lock.drop()

    def _begin(self) -> None:
        """Begin what can be begun, and strike what never can."""
        for step in list(self._left.values()):
            above = [self._graph.steps[key] for key in step.parents.values()]
            if lost := next((one for one in above if one.key in self._result.failed), None):
                self._fail(step, f"not begun, since {lost.title} failed")
            elif all(one.key not in self._left and not self._is_running(one) for one in above) and self._has_room(step):
                self._start(step)

    def _is_running(self, step: Step) -> bool:
        return any(one.step.key == step.key for one in self._running)

    def _has_room(self, step: Step) -> bool:
        if not self._means.gpus or step.kind == "make":
            return not self._running
        return bool(self._free) and all(one.step.kind != "make" for one in self._running)

    def _start(self, step: Step) -> None:
        lock = Held(self._chain.out / "steps" / f"{step.key[:16]}.lock" if step.kind != "train" else _beside(step.folder))
        if not lock.take():
            lock.drop()
            if step.key not in self._waiting:
                self._say(f"waiting: {step.title}: another chain makes it, or a command of this one that was killed lives on")
                self._waiting.add(step.key)
            if not self._running:
                time.sleep(POLL)
            return
        if is_done(step):
            lock.drop()
            del self._left[step.key]
            return
        devices: list[str] = []
        try:
            self._refuse_leaks(step)
            devices = self._take(step)
            arguments = making.command(self._chain, self._graph, step, self._means, len(devices))
            log = self._chain.out / "steps" / f"{step.kind}-{step.key[:16]}.log"
            self._begun += 1
            on = f" on {len(devices)} GPU{'s' if len(devices) > 1 else ''}" if devices else ""
            self._say(f"step {self._begun} of {self._total}: {step.title}{on}; {log}")
            del self._left[step.key]
            job = self._launch(arguments, log, devices, lock.number)
            self._running.append(_Running(step, job, lock, devices, time.monotonic()))
        except BaseException as error:
            lock.drop()
            self._free += devices
            if not isinstance(error, FasgenError):
                raise
            self._fail(step, str(error))

    def _take(self, step: Step) -> list[str]:
        """GPUs for a step, in fair shares of which a batch can be made."""
        if step.kind == "make":
            count = len(self._free)
        elif step.kind == "detect":
            count = min(1, len(self._free))
        else:
            ready = sum(one.kind == "train" and not set(one.parents.values()) & set(self._left) for one in self._left.values())
            share = len(self._free) // max(1, ready) or 1
            count = next((n for n in range(min(share, len(self._free)), 0, -1) if step.batch % n == 0), 0)
        taken, self._free = self._free[:count], self._free[count:]
        return taken

    def _refuse_leaks(self, step: Step) -> None:
        """Say what the weights of a step have seen of its fold's test side.

        Raises:
            ConfigError: they have seen some, and the chain is strict.
        """
        if step.kind != "train":
            self._told(step, making.leaks(self._graph, step, self._chain.store))

    def _told(self, step: Step, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            self._say(f"{step.title}: leak: {sentence}")
            self._result.notes.append(f"{step.fold}: {sentence}")
        if sentences and self._chain.strict:
            raise ConfigError(
                f"{sentences[0]}: take other rows or weights, or set strict=false and have it said below the table"
            )

    def _collect(self) -> None:
        """Take in what has ended."""
        for one in list(self._running):
            if (code := one.job.poll()) is None:
                continue
            self._running.remove(one)
            self._free += one.devices
            try:
                if code:
                    log = self._chain.out / "steps" / f"{one.step.kind}-{one.step.key[:16]}.log"
                    self._fail(one.step, f"{_last(log)}; all of it: {log}")
                else:
                    self._told(one.step, making.finish(self._chain, one.step, time.monotonic() - one.begun))
            except FasgenError as error:
                self._fail(one.step, str(error))
            finally:
                one.lock.drop()

    def _fail(self, step: Step, why: str) -> None:
        self._left.pop(step.key, None)
        self._result.failed[step.key] = why
        self._say(f"failed: {step.title}: {why}")


def needed(graph: Graph) -> list[Step]:
    """The steps that are left to do for the table: what gives scores and is not done, and what that reads and is not done."""
    wanted: set[str] = set()
    left = [cell.step for cell in graph.cells]
    while left:
        step = graph.steps[left.pop()]
        if step.key not in wanted and not is_done(step):
            wanted.add(step.key)
            left += step.parents.values()
    return [step for key, step in graph.steps.items() if key in wanted]


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _last(log: Path) -> str:
    """The last line of a log."""
    try:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
