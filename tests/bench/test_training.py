"""The benchmark of trainings times both sides, as often, and takes real steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import training
from bench.training import SMALL, steps_a_second, timed

TINY = SMALL | {"channels": [16, 16]}


def test_both_sides_are_timed_in_every_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 2)
    done = timed(tmp_path, 2, torch.device("cpu"), 1, 2, cache=True, **TINY)
    assert len(done.loop) == len(done.bare) == 2 and min(done.loop + done.bare) > 0


def test_steps_a_second_of_the_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROUNDS", 1)
    monkeypatch.setattr(training, "SHAPE", TINY)
    assert steps_a_second(2) > 0
