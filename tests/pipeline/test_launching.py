"""One batch ahead: the next is launched before this one is collected, and whatever goes wrong costs what it always did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import toy

from fasgen.errors import ConfigError
from fasgen.manifests.unit import committed_units
from fasgen.pipeline.calling import DeviceLostError, TooLargeError, call
from fasgen.pipeline.events import Key
from fasgen.pipeline.launching import Aloft, Launcher
from fasgen.pipeline.loading import Loaded
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.watchdog import Watchdog
from fasgen.pipeline.worker import Worker
from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject, Sample

SECOND = 60.0
Done = list[Product | Reject]


class Diary:
    """A stage that writes down what is asked of it; what it does in a launch or a collection can be replaced."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.in_start: Callable[[str], None] = lambda _: None
        self.in_collect: Callable[[str], None] = lambda _: None
        self.in_call: Callable[[list[Sample]], None] = lambda _: None

    def _make(self, batch: Sequence[Sample]) -> Done:
        return [Product(values={"mean": float(sample.seed)}) for sample in batch]

    def __call__(self, batch: Sequence[Sample]) -> Done:
        self.lines.append("call " + names(batch))
        self.in_call(list(batch))
        return self._make(batch)

    def start(self, batch: Sequence[Sample]) -> Callable[[], Done]:
        self.lines.append("start " + names(batch))
        self.in_start(names(batch))

        def collect() -> Done:
            self.lines.append("collect " + names(batch))
            self.in_collect(names(batch))
            return self._make(batch)

        return collect


def names(batch: Sequence[Sample]) -> str:
    return "".join(str(sample.seed) for sample in batch)


def rows(*seeds: int) -> list[Loaded]:
    return [Loaded(None, seed, Sample(f"{seed:016x}", seed, seed)) for seed in seeds]  # type: ignore[arg-type]


def at(what: str, error: Exception) -> Callable[[str], None]:
    def strike(batch: str) -> None:
        if batch == what:
            raise error

    return strike


class OutOfMemoryError(RuntimeError):
    """Of the name that torch's has."""


class Hand:
    """A launcher of a diary, with what it has put."""

    def __init__(self, stage: Any, *, divisible: bool = False, limit: Any = None, **options: Any) -> None:
        self.stage, self.put, self.aloft = stage, [], Aloft()

        def plainly(group: Sequence[Loaded]) -> list[Any]:
            samples = [loaded.sample for loaded in group if isinstance(loaded.sample, Sample)]
            made = iter(call(stage, toy.SHRINK, samples, divisible=divisible))
            return [loaded.sample if isinstance(loaded.sample, Reject) else next(made) for loaded in group]

        free: Any = lambda samples, spent=0.0: nullcontext()  # noqa: E731
        self.launcher = Launcher(stage, toy.SHRINK, plainly, limit or free, nullcontext, self.aloft, **options)

    def __call__(self, *groups: list[Loaded] | None) -> list[Any]:
        with self.launcher:
            flight = self.launcher.run(groups, self.put.extend)
            if flight:
                self.put.extend(self.launcher.land(flight))
        assert not self.aloft._flights
        return [outcome.values["mean"] if isinstance(outcome, Product) else outcome.reason for _, outcome in self.put]


def test_the_next_batch_is_launched_before_this_one_is_collected() -> None:
    stage = Diary()
    assert Hand(stage)(rows(0, 1), rows(2, 3), rows(4)) == [0, 1, 2, 3, 4]
    assert stage.lines == ["start 01", "start 23", "collect 01", "start 4", "collect 23", "collect 4"]


def test_what_is_under_way_is_collected_while_the_next_is_yet_to_come() -> None:
    stage = Diary()
    assert Hand(stage)(None, rows(0), None, None, rows(1), rows(2)) == [0, 1, 2]
    assert stage.lines == ["start 0", "collect 0", "start 1", "start 2", "collect 1", "collect 2"]


def test_the_last_batch_is_left_under_way() -> None:
    hand = Hand(Diary())
    with hand.launcher:
        flight = hand.launcher.run([rows(0), rows(1)], hand.put.extend)
        assert flight is not None and len(hand.put) == 1 and len(hand.aloft._flights) == 1
    assert not hand.aloft._flights, "given up with the launcher"


def test_rows_without_a_sample_stay_where_they_are() -> None:
    stage = Diary()
    mixed = rows(0, 1, 2)
    mixed[1] = mixed[1]._replace(sample=Reject(Reason.CORRUPT))
    empty = [mixed[1], mixed[1]]
    assert Hand(stage)(mixed, empty, rows(3)) == [0, "corrupt", 2, "corrupt", "corrupt", 3]
    assert stage.lines == ["start 02", "collect 02", "start 3", "collect 3"]


@pytest.mark.parametrize("ahead", [True, False])
def test_a_stage_that_cannot_launch_is_called_as_ever(ahead: bool) -> None:
    stage = Diary()

    def plain(batch: Sequence[Sample]) -> Done:
        return stage(batch)

    assert Hand(plain if ahead else stage, ahead=ahead)(rows(0), rows(1), None, rows(2)) == [0, 1, 2]
    assert stage.lines == ["call 0", "call 1", "call 2"]


def test_a_batch_that_throws_at_launch_is_called_in_its_turn() -> None:
    stage = Diary()
    stage.in_start = at("23", ValueError("bad"))
    assert Hand(stage)(rows(0, 1), rows(2, 3), rows(4)) == [0, 1, 2, 3, 4]
    assert stage.lines == ["start 01", "start 23", "collect 01", "call 23", "start 4", "collect 4"]


def test_a_batch_that_throws_when_collected_costs_the_sample_and_clears_the_device() -> None:
    stage = Diary()
    stage.in_collect = at("01", ValueError("bad"))

    def throw(batch: list[Sample]) -> None:
        if any(sample.seed == 1 for sample in batch):
            raise ValueError("bad")

    stage.in_call = throw
    assert Hand(stage)(rows(0, 1), rows(2, 3), rows(4, 5)) == [0, "stage_error", 2, 3, 4, 5]
    assert stage.lines == [
        *("start 01", "start 23", "collect 01", "call 01", "call 0", "call 1"),
        *("call 23", "start 45", "collect 45"),
    ]


def test_too_few_results_reject_the_batch() -> None:
    stage = Diary()
    stage._make = lambda batch: []  # type: ignore[method-assign]
    assert Hand(stage)(rows(0, 1)) == ["stage_error", "stage_error"]


@pytest.mark.parametrize("where", ["in_start", "in_collect"])
def test_memory_that_lacks_for_two_batches_is_tried_with_one(where: str) -> None:
    stage = Diary()
    setattr(stage, where, at("1", OutOfMemoryError("two are too many")))
    assert Hand(stage, divisible=True)(rows(0), rows(1), rows(2), rows(3)) == [0, 1, 2, 3]
    assert stage.lines[-2:] == ["call 2", "call 3"], "no more is launched ahead in this unit"


@pytest.mark.parametrize("where", ["in_start", "in_collect"])
def test_memory_that_lacks_for_one_batch_asks_for_smaller_ones(where: str) -> None:
    stage = Diary()
    setattr(stage, where, at("1", OutOfMemoryError("")))

    def lack(batch: list[Sample]) -> None:
        raise OutOfMemoryError("")

    stage.in_call = lack
    with pytest.raises(TooLargeError):
        Hand(stage, divisible=True)(rows(0), rows(1))


@pytest.mark.parametrize("where", ["in_start", "in_collect"])
def test_a_lost_device_is_told_at_once(where: str) -> None:
    stage = Diary()
    setattr(stage, where, at("1", RuntimeError("CUDA error: an illegal memory access was encountered")))
    with pytest.raises(DeviceLostError):
        Hand(stage)(rows(0), rows(1), rows(2))
    assert not any(line.startswith("call") for line in stage.lines)


@pytest.mark.parametrize("where", ["in_start", "in_collect"])
def test_what_is_no_samples_fault_ends_the_unit(where: str) -> None:
    stage = Diary()
    setattr(stage, where, at("1", ConfigError("wrong size")))
    hand = Hand(stage)
    with pytest.raises(ConfigError, match="wrong size"):
        hand(rows(0), rows(1), rows(2))
    assert not hand.aloft._flights


class Meter:
    """Writes down the seconds that are left of each batch's limit, of 10 a sample."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.open = 0

    @contextmanager
    def __call__(self, samples: int, spent: float = 0.0) -> Iterator[None]:
        self.left.append(round(10 * samples - spent, 1))
        self.open += 1
        assert self.open == 1, "one batch at a time is charged"
        yield
        self.open -= 1


def test_a_batch_has_its_time_from_launch_to_results_and_a_waiting_one_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stage, meter = Diary(), Meter()

    def pass_time(_: str) -> None:
        nonlocal now
        now += 3

    stage.in_start = stage.in_collect = pass_time
    # Alone; then two at once, of which the second waits on the device until the first is collected.
    Hand(stage, limit=meter)(rows(0), None, rows(1), rows(2))
    assert stage.lines == ["start 0", "collect 0", "start 1", "start 2", "collect 1", "collect 2"]
    assert meter.left == [10, 7, 10, 10, 7, 10]


class Ahead(toy.Shrink):
    """Shrink, launched: what it makes is made when it is collected."""

    lines: ClassVar[list[str]] = []

    def start(self, batch: Sequence[Sample]) -> Callable[[], Done]:
        first = batch[0].slot, len(batch)
        self.lines.append(f"start {first}")

        def collect() -> Done:
            self.lines.append(f"collect {first}")
            return self(batch)

        return collect


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(Ahead, "lines", [])
    made = toy.plan(toy.configure(toy.make_source(tmp_path / "in", 12)), tmp_path / "store")
    made.write()
    return made


def same_bytes(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("00000.parquet", "00000.tar"))


def test_a_launched_unit_has_the_bytes_of_a_called_one(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    Worker().run(task)
    monkeypatch.setattr(toy, "Shrink", Ahead)
    ahead = replace(task, folder=tmp_path / "ahead")
    report = Worker().run(ahead)
    assert report.summary.failed, "one of these samples throws"
    assert same_bytes(ahead.folder, task.folder)
    assert sum(line.startswith("start") for line in Ahead.lines) == 2


def test_nothing_is_launched_in_quarantine(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "Shrink", Ahead)
    (made.store / "runs").mkdir()
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    Worker().run(task)
    Ahead.lines.clear()
    alone = made.task(Assign(0, Key("shrink", 0), 2, True, (1,)), tmp_path)
    Worker().run(replace(alone, folder=tmp_path / "alone"))
    assert not Ahead.lines and same_bytes(tmp_path / "alone", task.folder)


def test_smaller_batches_have_the_bytes_of_a_run_with_them(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tight(Ahead):
        def __init__(self, config: toy.ShrinkConfig, device: Any) -> None:
            super().__init__(config, device)
            self.batch = config.batch

        def start(self, batch: Sequence[Sample]) -> Callable[[], Done]:
            if self.batch > 2:
                raise OutOfMemoryError("")
            return super().start(batch)

        def __call__(self, batch: Sequence[Sample]) -> Done:
            if self.batch > 2:
                raise OutOfMemoryError("")
            return super().__call__(batch)

    monkeypatch.setattr(toy, "Shrink", Tight)
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    report = Worker().run(task)
    assert report.micro_batch == 2 and {"start (0, 2)", "collect (0, 2)"} <= set(Ahead.lines)
    monkeypatch.undo()
    called = replace(task, batch=2, config=task.config.model_copy(update={"batch": 2}), folder=tmp_path / "called")
    Worker().run(called)
    assert (task.folder / "00000.tar").read_bytes() == (called.folder / "00000.tar").read_bytes()


class Gated(Ahead):
    """Its collections wait for a gate; its launches open another."""

    collecting, gate = threading.Event(), threading.Event()
    launched: ClassVar[list[str]] = []

    def start(self, batch: Sequence[Sample]) -> Callable[[], Done]:
        name = batch[0].sample_id
        self.launched.append(name)

        def collect() -> Done:
            self.collecting.set()
            assert self.gate.wait(SECOND)
            return self(batch)

        return collect


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> type[Gated]:
    monkeypatch.setattr(toy, "Shrink", Gated)
    for name in ("collecting", "gate"):
        monkeypatch.setattr(Gated, name, threading.Event())
    monkeypatch.setattr(Gated, "launched", [])
    return Gated


@contextmanager
def threads(worker: Worker, *tasks: Any) -> Iterator[list[threading.Thread]]:
    running = [threading.Thread(target=worker.run, args=(task,)) for task in tasks]
    yield running
    for thread in running:
        thread.join(SECOND)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECOND
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_next_unit_launches_while_the_last_batch_is_collected(tmp_path: Path, gated: type[Gated]) -> None:
    config = toy.configure(toy.make_source(tmp_path / "in", 12), shrink=toy.ShrinkConfig(batch=8))
    made = toy.plan(config, tmp_path / "store")
    made.write()
    worker = Worker()
    tasks = [made.task(Assign(0, Key("shrink", unit)), tmp_path) for unit in range(2)]
    with threads(worker, *tasks) as (first, second):
        first.start()
        assert gated.collecting.wait(SECOND)
        assert worker.state().what == "computing"
        second.start()
        until(lambda: len(gated.launched) == 2)
        assert committed_units(tasks[0].folder) == []
        gated.gate.set()
    assert committed_units(tasks[0].folder) == [0, 1]
    assert worker.state() == (None, "idle")


def test_a_stage_is_held_until_its_last_batch_is_collected(tmp_path: Path, gated: type[Gated]) -> None:
    config = toy.configure(toy.make_source(tmp_path / "in", 12), shrink=toy.ShrinkConfig(batch=8))
    made = toy.plan(config, tmp_path / "store")
    made.write()
    worker = Worker()
    one = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    other = toy.plan(toy.configure(config.sources[0], shrink=toy.ShrinkConfig(batch=8, factor=4)), tmp_path / "store")
    other.write()
    two = other.task(Assign(0, Key("shrink", 0)), tmp_path)
    with threads(worker, one, two) as (first, second):
        first.start()
        assert gated.collecting.wait(SECOND)
        second.start()
        until(lambda: worker.state() == (two.key, "building"))
        time.sleep(0.05)
        assert worker._held is not None and worker._held[0] == one.plan_hash and len(gated.launched) == 1
        gated.gate.set()
    assert committed_units(one.folder) == committed_units(two.folder) == [0]


def test_a_collection_that_never_ends_is_found(made: Plan, tmp_path: Path, gated: type[Gated]) -> None:
    late: list[Key] = []
    found = threading.Event()

    def tell(key: Key) -> None:
        late.append(key)
        found.set()
        gated.gate.set()

    worker = Worker(watchdog=Watchdog(tell))
    worker.run(replace(made.task(Assign(0, Key("shrink", 0)), tmp_path), time_limit=0.1))
    assert found.is_set() and late == [Key("shrink", 0)]


def test_computing_is_charged_once_where_two_units_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Ahead):
        def start(self, batch: Sequence[Sample]) -> Callable[[], Done]:
            def collect() -> Done:
                time.sleep(0.1)
                return self(batch)

            time.sleep(0.05)
            return collect

    monkeypatch.setattr(toy, "Shrink", Slow)
    made = toy.plan(toy.configure(toy.make_source(tmp_path / "in", 22)), tmp_path / "store")
    made.write()
    worker = Worker()
    reports = []
    began = time.perf_counter()
    tasks = [made.task(Assign(0, Key("shrink", unit)), tmp_path) for unit in range(3)]
    running = [threading.Thread(target=lambda task=task: reports.append(worker.run(task))) for task in tasks]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    wall = time.perf_counter() - began
    busy = sum(report.seconds["compute"] for report in reports)
    assert 0.5 < busy <= wall
