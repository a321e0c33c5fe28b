"""Where a unit's time went: compiling apart from computing, and no second of two units twice."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from fasgen.pipeline import timing
from fasgen.pipeline.timing import PHASES, Clock, Turns
from fasgen.stages.compiled import Account


class Hands:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def account(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account(hands)
    monkeypatch.setattr(timing, "compiling", account.state)
    return account


def seconds(clock: Clock) -> dict[str, float]:
    return {name: value for name, value in clock.seconds().items() if value}


def test_phases(hands: Hands) -> None:
    clock = Clock(hands)
    with clock.phase("load"):
        hands.now = 2
    hands.now = 5
    assert list(clock.seconds()) == [*PHASES, "wall"] and seconds(clock) == {"load": 2, "wall": 5}


def test_time_to_make_items_is_theirs(hands: Hands) -> None:
    def items() -> object:
        for _ in range(3):
            hands.now += 2
            yield hands.now

    clock = Clock(hands)
    for _ in clock.running("load", items()):
        hands.now += 10
    assert seconds(clock) == {"load": 6, "wall": 36}


def test_compiling_is_no_computing(hands: Hands, account: Account) -> None:
    clock, turns = Clock(hands), Turns(hands)
    with clock.phase("build"):
        hands.now = 1
        account.begin()
        hands.now = 3
        account.end()
    with turns.computing(clock):
        account.begin()
        hands.now = 10
        account.end()
        hands.now = 14
    assert seconds(clock) == {"build": 1, "compile": 9, "compute": 4, "wall": 14}


def test_two_at_once_are_charged_to_the_one_that_began(hands: Hands, account: Account) -> None:
    one, other, turns = Clock(hands), Clock(hands), Turns(hands)
    with ExitStack() as stack:
        stack.enter_context(turns.computing(one))
        hands.now = 2
        with turns.computing(other):
            hands.now = 3
        with turns.computing(other):
            hands.now = 5
            stack.close()
            hands.now = 9
    assert seconds(one)["compute"] == 5 and seconds(other)["compute"] == 4
