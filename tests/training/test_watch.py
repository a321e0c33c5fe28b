"""Losses that are looked at together: the first bad one is named, and nothing bad is written before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fasgen.errors import WeightsError
from fasgen.training import watch
from fasgen.training.config import LoopConfig
from fasgen.training.loop import train
from fasgen.training.residency import Fetch
from fasgen.training.watch import Watch, ahead

from .test_loop import Line, config

CPU = torch.device("cpu")


def test_a_cpu_is_asked_at_once_and_a_gpu_seldom() -> None:
    assert ahead(CPU) == 1 and ahead(torch.device("cuda")) > 1
    watching = Watch(LoopConfig(), CPU)
    watching.see(0, torch.tensor(1.0, requires_grad=True))
    with pytest.raises(WeightsError, match="step 1: the loss is inf"):
        watching.see(1, torch.tensor(float("inf")))


def test_the_first_of_several_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ahead", lambda device: 4)
    watching = Watch(LoopConfig(), CPU)
    for step, loss in enumerate((1.0, float("nan"), float("-inf"))):
        watching.see(step, torch.tensor(loss, dtype=torch.bfloat16))
    with pytest.raises(WeightsError, match="step 1: the loss is nan"):
        watching.see(3, torch.tensor(2.0))
    watching.look()
    watching.see(9, torch.tensor(float("-inf")))
    with pytest.raises(WeightsError, match="step 9: the loss is -inf"):
        watching.look()


@pytest.mark.parametrize(("bad_at", "kept"), [(3, None), (19, 10), (20, 20), (39, 30)])
def test_what_was_not_looked_at_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_at: int, kept: int | None
) -> None:
    """Of 40 steps with a checkpoint every 10: the last one before the bad loss is there, and is finite."""
    monkeypatch.setattr(watch, "ahead", lambda device: 1000)
    with pytest.raises(WeightsError, match=rf"step {bad_at}: the loss is nan; lower lr \(now 0.05\)"):
        train(Line(bad_at=bad_at), config(tmp_path, log_every=1000), CPU)
    checkpoint = tmp_path / "checkpoint"
    assert checkpoint.exists() == (kept is not None) and not (tmp_path / "final").exists()
    if kept is not None:
        assert json.loads((checkpoint / "state.json").read_text())["step"] == kept
        for name in ("weights", "ema"):
            assert all(bool(value.isfinite().all()) for value in load_file(checkpoint / f"{name}.safetensors").values())


def test_looking_seldom_changes_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    often = train(Line(), config(tmp_path / "often"), CPU)
    monkeypatch.setattr(watch, "ahead", lambda device: 64)
    seldom = train(Line(), config(tmp_path / "seldom"), CPU)
    assert (often / "model.safetensors").read_bytes() == (seldom / "model.safetensors").read_bytes()


class Slow(Fetch):
    """Arrives when it is waited for."""

    def ready(self) -> bool:
        return False


def test_what_is_under_way_is_not_waited_for_until_weights_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ahead", lambda device: 2)
    monkeypatch.setattr(watch, "Fetch", Slow)
    watching = Watch(LoopConfig(), CPU)
    for step, loss in enumerate((1.0, float("nan"), 1.0, 1.0, 1.0)):
        watching.see(step, torch.tensor(loss))
    with pytest.raises(WeightsError, match="step 1: the loss is nan"):
        watching.look()
    watching.look()
