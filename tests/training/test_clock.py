"""How far a training is."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor
from torch import distributed as dist

from fasgen.training.clock import ASKED_EVERY, Clock, clock_time
from fasgen.training.config import LoopConfig

CPU = torch.device("cpu")


def test_by_steps_unless_minutes_are_set() -> None:
    now = time.monotonic()
    assert Clock(LoopConfig(steps=200), CPU, 1, now - 1e6).progress(50) == 0.25
    timed = Clock(LoopConfig(steps=200, minutes=10), CPU, 1, now - 300)
    assert timed.progress(50) == pytest.approx(0.5, abs=0.01) and timed.progress(150) == 0.75
    assert timed.seconds() == pytest.approx(300, abs=5)


def test_ranks_believe_the_first_ones_clock_and_ask_it_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def told_half(share: Tensor, source: int) -> None:
        asked.append(float(share))
        share.fill_(0.5 + 0.01 * len(asked))

    monkeypatch.setattr(dist, "broadcast", told_half)
    clock = Clock(LoopConfig(steps=10**6, minutes=10), CPU, 2, time.monotonic())
    # Resumed between two questions: the first step asks.
    shares = [clock.progress(step) for step in range(ASKED_EVERY - 3, 2 * ASKED_EVERY + 1)]
    assert shares == [0.51] * 3 + [0.52] * ASKED_EVERY + [0.53] and len(asked) == 3


def test_what_is_left_follows_from_the_pace_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock(LoopConfig(steps=110), CPU, 1, 900.0)
    assert clock.left(10) is None, "the first 100 seconds went into the start"
    now[0] += 40
    assert clock.left(30) == pytest.approx(160)
    timed = Clock(LoopConfig(steps=10**6, minutes=3), CPU, 1, 1000.0)
    assert timed.left(10) is None
    now[0] += 60
    assert timed.left(20) == pytest.approx(80)
    assert clock_time(3725.4) == "1:02:05"
