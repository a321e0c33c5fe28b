"""Threads that run ahead and behind: order, bounds, errors both ways."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fasgen.pipeline.channel import Ahead, Behind


def test_ahead_keeps_the_order() -> None:
    with Ahead(range(50), lambda _: 1, 3) as items:
        assert list(items) == list(range(50))


def test_ahead_is_bounded_by_bytes_and_lets_one_large_item_through() -> None:
    made: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 1:
                enough.set()
            yield number

    with Ahead(items(), lambda _: 100, 10) as ahead:
        assert enough.wait(5)
        assert next(ahead) == 0
        assert len(made) <= 4


def test_ahead_raises_the_makers_error_after_what_was_made() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    with Ahead(items(), lambda _: 1, 10) as ahead:
        assert next(ahead) == 1
        with pytest.raises(OSError, match="disk gone"):
            next(ahead)


def test_leaving_ahead_early_ends_its_thread() -> None:
    before = threading.active_count()
    with Ahead(iter(int, 1), lambda _: 1, 10) as ahead:
        next(ahead)
    assert threading.active_count() == before


def test_behind_takes_everything_in_order() -> None:
    taken: list[int] = []
    with Behind(taken.append, lambda _: 1, 2) as behind:
        for number in range(50):
            behind.put(number)
    assert taken == list(range(50))


def test_behind_raises_the_takers_error() -> None:
    def take(number: int) -> None:
        raise OSError(f"full at {number}")

    with pytest.raises(OSError, match="full at 0"), Behind(take, lambda _: 1, 1) as behind:
        for number in range(100):
            behind.put(number)
    with pytest.raises(OSError, match="full at 7"), Behind(take, lambda _: 1, 1) as behind:
        behind.put(7)


def test_an_error_of_the_putter_stops_behind() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), Behind(lambda _: None, lambda _: 1, 1):
        raise KeyError("putter")
    assert threading.active_count() == before
