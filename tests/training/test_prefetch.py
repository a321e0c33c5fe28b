"""Batches made ahead: in order, on threads, with errors at their step."""

from __future__ import annotations

import threading
import time

import pytest

from fasgen.training.prefetch import Prefetcher


def test_batches_come_in_order_whatever_takes_longest() -> None:
    def make(step: int) -> int:
        time.sleep(0.003 * (3 - step % 4))
        return step

    with Prefetcher(make, 5, 4) as batches:
        assert [next(batches) for _ in range(20)] == list(range(5, 25))


def test_no_more_are_under_way_than_asked_for() -> None:
    made, lock = [], threading.Lock()

    def make(step: int) -> int:
        with lock:
            made.append(step)
        return step

    with Prefetcher(make, 0, 3) as batches:
        for _ in range(4):
            next(batches)
    assert max(made) <= 4 + 3 - 1


def test_an_error_waits_for_its_step() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("step 2 has no faces")
        return step

    with Prefetcher(make, 0, 4) as batches:
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ValueError, match="step 2"):
            next(batches)
