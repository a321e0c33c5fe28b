"""The scheduler under random deaths: every unit is committed once, after its upstream, and only killers are excluded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.manifests.unit import UnitSummary
from fasgen.pipeline.events import Broke, Died, Dismissed, Done, Drain, Halt, Joined, Key, Stop, UnitReport
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.schedule import Assign, Budget, Scheduler, StageWork

ROWS, BATCH = 8, 4


def graph(committed: dict[str, frozenset[int]] | None = None, kinds: str = "cccc", wanted: str = "abcd") -> list[StageWork]:
    """a; b reads a; c reads a; d reads b and c."""
    upstream = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return [
        StageWork(
            name,
            "accelerator" if kind == "g" else "cpu",
            upstream[name],
            (committed or {}).get(name, frozenset()),
            name in wanted,
        )
        for name, kind in zip("abcd", kinds, strict=True)
    ]


def done(worker: int, key: Key, failed: int = 0) -> Done:
    """``ROWS`` rows are committed, of which some failed."""
    return Done(worker, UnitReport(key, UnitSummary(key.unit, ROWS, ROWS - failed, 0, failed, {}, 0)))


class World:
    """Workers that do what the scheduler says, and die on killers or by chance."""

    def __init__(self, scheduler: Scheduler, killers: dict[Key, set[int]]) -> None:
        self.scheduler, self.killers = scheduler, killers
        self.hands: dict[int, dict[Key, Assign]] = {}
        self.kinds: dict[int, str] = {}
        self.committed: dict[Key, tuple[int, ...]] = {}
        self.next = 0

    def join(self, kind: str = "cpu") -> None:
        self.hands[self.next], self.kinds[self.next] = {}, kind
        self.scheduler.handle(Joined(self.next, kind))
        self.next += 1

    def assign(self) -> None:
        for assign in self.scheduler.decide():
            hand = self.hands[assign.worker]
            assert assign.key not in self.committed
            assert not any(assign.key in other for other in self.hands.values())
            upstream = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}[assign.key.stage]
            assert all(Key(name, assign.key.unit) in self.committed for name in upstream)
            assert not (assign.quarantine and hand), "quarantine is alone"
            assert not any(other.quarantine for other in hand.values()), "nothing joins a quarantine"
            hand[assign.key] = assign
            assert len(hand) <= self.scheduler.depth

    def die(self, worker: int, in_hand: dict[Key, tuple[int, ...]]) -> None:
        kind = self.kinds[worker]
        del self.hands[worker]
        self.scheduler.handle(Died(worker, "", in_hand))
        self.join(kind)

    def step(self, worker: int, key: Key) -> None:
        assign = self.hands[worker][key]
        lethal = sorted(self.killers.get(key, set()) - set(assign.excluded))
        if lethal and assign.quarantine:
            row = lethal[0]
            batch = tuple(r for r in range(ROWS) if r // BATCH == row // BATCH and r not in assign.suspects)
            self.die(worker, {key: (row,) if row in assign.suspects else batch})
        elif lethal:
            self.die(worker, {})
        else:
            del self.hands[worker][key]
            self.committed[key] = assign.excluded
            self.scheduler.handle(done(worker, key, len(assign.excluded)))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_unit_is_committed_once_after_its_upstream(data: st.DataObject) -> None:
    units = data.draw(st.integers(0, 4))
    workers = data.draw(st.integers(1, 3))
    key = st.builds(Key, st.sampled_from("abcd"), st.integers(0, max(0, units - 1)))
    killers = data.draw(st.dictionaries(key, st.sets(st.integers(0, ROWS - 1), min_size=1, max_size=2), max_size=2))
    chance = data.draw(st.integers(0, 4))
    scheduler = Scheduler(graph(), units, depth=data.draw(st.integers(1, 3)), retries=data.draw(st.integers(0, 2)))
    world = World(scheduler, killers)
    for _ in range(workers):
        world.join()
    for _ in range(2000):
        world.assign()
        if scheduler.finished:
            break
        worker, key_ = data.draw(st.sampled_from([(w, k) for w, hand in sorted(world.hands.items()) for k in sorted(hand)]))
        if chance and not world.hands[worker][key_].quarantine and data.draw(st.booleans()):
            chance -= 1
            world.die(worker, {})
        else:
            world.step(worker, key_)
    assert scheduler.ending is None, scheduler.error
    assert set(world.committed) == {Key(stage, unit) for stage in "abcd" for unit in range(units)}
    for key_, excluded in world.committed.items():
        assert set(excluded) == killers.get(key_, set())
    assert scheduler.failed == sum(len(excluded) for excluded in world.committed.values())


def test_a_death_from_outside_costs_no_sample() -> None:
    scheduler = Scheduler(graph(wanted="a"), 1, retries=0)
    world = World(scheduler, {})
    world.join()
    for row in (2, 5):
        world.assign()
        (worker,) = world.hands
        world.die(worker, {Key("a", 0): (row,)} if row == 5 else {})
    world.assign()
    (hand,) = world.hands.values()
    assert hand[Key("a", 0)].suspects == (5,) and not hand[Key("a", 0)].excluded


def test_a_sample_that_takes_too_long_is_told_from_one_that_kills() -> None:
    scheduler = Scheduler(graph(wanted="a"), 1, retries=0)
    key = Key("a", 0)
    for number, (rows, late) in enumerate([((), False), ((5,), True), ((5,), True)]):
        scheduler.handle(Joined(number, "cpu"))
        assert len(scheduler.decide()) == 1
        scheduler.handle(Died(number, "", {key: rows} if rows else {}, frozenset({key}) if late else frozenset()))
    scheduler.handle(Joined(9, "cpu"))
    (assign,) = scheduler.decide()
    assert assign.excluded == assign.late == (5,)


def test_what_is_no_units_fault_drains_and_says_why() -> None:
    scheduler = Scheduler(graph(), 3, depth=1)
    scheduler.handle(Joined(0, "cpu"))
    scheduler.decide()
    scheduler.handle(Halt("the lock is gone"))
    assert not scheduler.finished and scheduler.decide() == []
    scheduler.handle(done(0, Key("a", 0)))
    assert scheduler.finished and scheduler.ending is Outcome.ERROR and scheduler.error == "the lock is gone"


def test_units_may_begin_at_any_number() -> None:
    scheduler = Scheduler(graph(), range(7, 9), depth=2)
    scheduler.handle(Joined(0, "cpu"))
    assert [assign.key.unit for assign in scheduler.decide()] == [7, 8]
    assert scheduler.counts("a") == (0, 2, 0) and scheduler.units == 2


def test_every_stage_has_the_whole_budget() -> None:
    scheduler = Scheduler(graph(), 3, depth=1, budget=Budget(max_failed=2), before={"a": (10, 2), "b": (10, 2)})
    assert scheduler.ending is None and scheduler.failed == 4 and scheduler.planned == 20
    over = Scheduler(graph(), 3, depth=1, budget=Budget(max_failed=2), before={"a": (10, 2), "b": (10, 3)})
    assert over.ending is Outcome.OVER_BUDGET and over.error.startswith("b: 3 of 10 rows failed")


def test_a_model_that_kills_before_the_first_sample_ends_the_run() -> None:
    scheduler = Scheduler(graph(wanted="a"), 1, retries=1)
    world = World(scheduler, {})
    world.join()
    for _ in range(4):
        world.assign()
        (worker,) = world.hands
        world.die(worker, {})
    assert scheduler.finished and scheduler.ending is Outcome.ERROR
    assert "memory" in scheduler.error


def test_units_committed_before_are_not_run_again_and_wake_what_reads_them() -> None:
    scheduler = Scheduler(graph({"a": frozenset({0, 2})}, wanted="b"), 3)
    scheduler.handle(Joined(0, "cpu"))
    assert [assign.key for assign in scheduler.decide()] == [Key("b", 0), Key("b", 2)]
    for key in (Key("b", 0), Key("b", 2)):
        scheduler.handle(done(0, key))
    assert scheduler.finished, "unit 1 waits for a stage that this run does not make"
    assert scheduler.counts("b") == (2, 0, 1)


def test_a_worker_keeps_its_model_while_it_has_work() -> None:
    scheduler = Scheduler(graph(kinds="gggg"), 6, depth=1)
    scheduler.handle(Joined(0, "accelerator"))
    stages: list[str] = []
    while not scheduler.finished:
        (assign,) = scheduler.decide()
        stages.append(assign.key.stage)
        scheduler.handle(done(0, assign.key))
    assert sum(left != right for left, right in pairwise(stages)) == 3


def test_kinds_of_workers_and_of_stages_match() -> None:
    scheduler = Scheduler(graph(kinds="cgcc"), 4, depth=1)
    scheduler.handle(Joined(0, "accelerator"))
    assert scheduler.decide() == []
    scheduler.handle(Joined(1, "cpu"))
    assert scheduler.decide() == [Assign(1, Key("a", 0))]
    scheduler.handle(done(1, Key("a", 0)))
    assert {(assign.worker, assign.key.stage) for assign in scheduler.decide()} == {(0, "b"), (1, "a")}


def test_units_spread_over_workers_before_any_gets_a_second() -> None:
    scheduler = Scheduler(graph(), 3, depth=2)
    scheduler.handle(Joined(0, "cpu"))
    scheduler.handle(Joined(1, "cpu"))
    assert [assign.worker for assign in scheduler.decide()] == [0, 1, 0]


def test_drain_finishes_what_is_in_hand_and_stop_does_not() -> None:
    scheduler = Scheduler(graph(), 3, depth=1)
    scheduler.handle(Joined(0, "cpu"))
    scheduler.decide()
    scheduler.handle(Drain())
    assert not scheduler.finished and scheduler.decide() == []
    scheduler.handle(done(0, Key("a", 0)))
    assert scheduler.finished and scheduler.ending is Outcome.INTERRUPTED
    other = Scheduler(graph(), 3, depth=1)
    other.handle(Joined(0, "cpu"))
    other.decide()
    other.handle(Stop())
    assert other.finished


def test_an_error_of_no_sample_drains_and_is_kept() -> None:
    scheduler = Scheduler(graph(), 3, depth=2)
    scheduler.handle(Joined(0, "cpu"))
    scheduler.decide()
    scheduler.handle(Broke(0, Key("a", 0), "disk full"))
    assert not scheduler.finished
    scheduler.handle(done(0, Key("a", 1)))
    assert scheduler.finished and scheduler.ending is Outcome.ERROR and "disk full" in scheduler.error


@pytest.mark.parametrize(
    ("budget", "failed", "planned", "final", "over"),
    [
        (Budget(), 10, 10, True, False),
        (Budget(max_failed=3), 3, 10, False, False),
        (Budget(max_failed=3), 4, 10, False, True),
        (Budget(max_rate=0.1), 5, 10, False, False),
        (Budget(max_rate=0.1), 5, 10, True, True),
        (Budget(max_rate=0.1), 30, 256, False, True),
        (Budget(max_rate=0.0), 0, 0, True, False),
    ],
)
def test_budget(budget: Budget, failed: int, planned: int, final: bool, over: bool) -> None:
    assert budget.exceeded(failed, planned, final=final) is over


def test_the_budget_drains() -> None:
    scheduler = Scheduler(graph(), 3, depth=1, budget=Budget(max_failed=1))
    scheduler.handle(Joined(0, "cpu"))
    scheduler.decide()
    scheduler.handle(done(0, Key("a", 0), 2))
    assert scheduler.ending is Outcome.OVER_BUDGET and scheduler.finished and scheduler.decide() == []


def test_what_a_dismissed_worker_had_goes_out_again_as_if_nothing_was() -> None:
    scheduler = Scheduler(graph(), 3, depth=2)
    scheduler.handle(Joined(0, "cpu"))
    scheduler.handle(Joined(1, "cpu"))
    first = {assign.key for assign in scheduler.decide() if assign.worker == 0}
    scheduler.handle(Dismissed(0))
    scheduler.handle(Joined(2, "cpu"))
    again = [assign for assign in scheduler.decide() if assign.key in first]
    assert {assign.key for assign in again} == first
    assert all(assign.attempt == 0 and not assign.quarantine for assign in again)


def test_one_in_quarantine_stays_there_when_its_worker_is_dismissed() -> None:
    scheduler = Scheduler(graph(wanted="a"), 1, retries=0)
    for worker in range(3):
        scheduler.handle(Joined(worker, "cpu"))
    (assign,) = scheduler.decide()
    scheduler.handle(Died(assign.worker, ""))
    (assign,) = scheduler.decide()
    assert assign.quarantine
    scheduler.handle(Dismissed(assign.worker))
    (again,) = scheduler.decide()
    assert again.quarantine and again.key == assign.key


def test_kinds_of_which_nobody_is_there_are_starved() -> None:
    scheduler = Scheduler(graph(kinds="ccgc"), 1)
    assert scheduler.starved() == ["cpu"]
    scheduler.handle(Joined(0, "cpu"))
    assert scheduler.starved() == [], "c waits for a"
    scheduler.decide()
    scheduler.handle(done(0, Key("a", 0)))
    assert scheduler.starved() == ["accelerator"]
    scheduler.handle(Dismissed(0))
    assert scheduler.starved() == ["accelerator", "cpu"]
    scheduler.handle(Drain())
    assert scheduler.starved() == []


def test_events_that_contradict_decisions_are_refused() -> None:
    scheduler = Scheduler(graph(), 1)
    scheduler.handle(Joined(0, "cpu"))
    with pytest.raises(ValueError, match="joined twice"):
        scheduler.handle(Joined(0, "cpu"))
    with pytest.raises(ValueError, match="in hand"):
        scheduler.handle(done(0, Key("a", 0)))
