"""The loop on a toy network: what resumes is what never stopped, and averages are averages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.stages.lgsc.training_config import LgscTraining
from fasgen.stages.stdn.training_config import StdnTraining
from fasgen.training.config import LoopConfig
from fasgen.training.draws import seed_of
from fasgen.training.loop import learning_rate, train

from .test_inscription import inscription


class Line:
    """Fits y = 2 x + 1 with noise from the loop's own seeds; `fail_at` raises like a killed process would."""

    def __init__(self, fail_at: int = -1, bad_at: int = -1) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(1, 1)
        self.fail_at, self.bad_at = fail_at, bad_at

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        step = start
        while True:
            yield torch.linspace(-1, 1, 8)[:, None] * (1 + step % 3)
            step += 1

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        if step == self.fail_at:
            raise KeyboardInterrupt
        error = (module(batch + 0.01 * torch.randn_like(batch)) - (2 * batch + 1)).square().mean()
        return (error * torch.nan if step == self.bad_at else error), {"part": error}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        return {"weight": float(module.weight)}  # type: ignore[arg-type]

    def export(self, module: nn.Module, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(module.state_dict()), folder / "model.safetensors")


def config(out: Path, **changes: object) -> LoopConfig:
    values = {
        "out": out,
        "steps": 40,
        "batch": 8,
        "lr": 0.05,
        "ema": 0.9,
        "log_every": 5,
        "checkpoint_every": 10,
        "sheet_every": 20,
    }
    return LoopConfig.model_validate(values | changes)


def test_resumed_is_byte_identical_to_uninterrupted(tmp_path: Path) -> None:
    whole = train(Line(), config(tmp_path / "a"), torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        train(Line(fail_at=27), config(tmp_path / "b"), torch.device("cpu"))
    resumed = train(Line(), config(tmp_path / "b"), torch.device("cpu"))
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()
    curves = [[json.loads(x) for x in (tmp_path / run / "curve.jsonl").read_text().splitlines()] for run in "ab"]
    losses = [[(p["step"], p["loss"]) for p in curve if "loss" in p] for curve in curves]
    assert [s for s, _ in losses[0]] == [1, *range(5, 45, 5)]
    assert losses[1][:4] == losses[0][:4] and losses[1][-2:] == losses[0][-2:]
    assert (tmp_path / "a" / "curve.png").stat().st_size > 1000


def test_a_training_says_what_it_is_and_how_long_it_takes(tmp_path: Path) -> None:
    told: list[str] = []
    task = Line()
    task.counted = {"live faces": 8, "held out": 2}  # type: ignore[attr-defined]
    folder = train(task, config(tmp_path), torch.device("cpu"), say=told.append, name="line")
    assert told[0].startswith("device    CPU, ") and told[1] == "data      8 live faces, 2 held out"
    assert told[2] == "network   2 parameters learn" and told[3].startswith("schedule  40 steps of 8; curve")
    points = [line for line in told[4:] if "loss" in line]
    # The first point comes at once; how long is left is known from the second on.
    assert points[0].startswith("step 1 ") and "left" not in points[0] and points[1].endswith("left 0:00:00")
    assert any(line.startswith("step 10  held_out_weight") for line in told), "a first sheet and figure in the first minute"
    said = inscription(folder / "model.safetensors")
    assert (
        said["fasgen.training"] == "line" and said["fasgen.steps"] == "40" and said["fasgen.data"] == "8 live faces, 2 held out"
    )
    with pytest.raises(KeyboardInterrupt):
        train(Line(fail_at=27), config(tmp_path / "b"), torch.device("cpu"))
    again: list[str] = []
    train(Line(), config(tmp_path / "b"), torch.device("cpu"), say=again.append)
    assert "data      not counted" in again and "going on from step 20, after 0:00:0" in again[3]


def test_batches_made_ahead_teach_the_same(tmp_path: Path) -> None:
    plain = train(Line(), config(tmp_path / "a"), torch.device("cpu"))
    ahead = train(Line(), config(tmp_path / "b", prefetch=3), torch.device("cpu"))
    assert (plain / "model.safetensors").read_bytes() == (ahead / "model.safetensors").read_bytes()


def test_weights_cast_where_no_gradient_is_wanted_keep_it_elsewhere(tmp_path: Path) -> None:
    class Twice(Line):
        def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
            with torch.no_grad():
                module(batch)
            return super().loss(module, batch, step)

    more = {"precision": "bf16", "steps": 3, "ema": 0.0}
    folder = train(Twice(), config(tmp_path, **more), torch.device("cpu"))
    start = Line().module.weight
    assert not torch.equal(load_file(folder / "model.safetensors")["weight"], start), "the weight has learnt"


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_resumes_with_gradient_descent_too(tmp_path: Path, momentum: float) -> None:
    more = {"optimiser": "sgd", "betas": (momentum, 0.0)}
    whole = train(Line(), config(tmp_path / "a", **more), torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        train(Line(fail_at=27), config(tmp_path / "b", **more), torch.device("cpu"))
    resumed = train(Line(), config(tmp_path / "b", **more), torch.device("cpu"))
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()
    assert float(load_file(whole / "model.safetensors")["bias"]) == pytest.approx(1, abs=0.2)


def test_adam_as_torch_has_it_and_nothing_clipped(tmp_path: Path) -> None:
    """Weight decay within the gradient, and steps that a clip would have made smaller."""
    steps = 6
    more = {"optimiser": "adam", "weight_decay": 0.5, "clip": 0.0, "ema": 0.0, "steps": steps, "schedule": "constant"}
    task = Line()
    settings = config(tmp_path, **more)
    folder = train(Line(), settings, torch.device("cpu"))
    plain = torch.optim.Adam(task.module.parameters(), settings.lr, settings.betas, weight_decay=0.5)
    batches = task.batches(0, 0, 1)
    for step in range(steps):
        torch.manual_seed(seed_of("loss", settings.seed, step, 0))
        loss, _ = task.loss(task.module, next(batches), step)
        plain.zero_grad()
        loss.backward()
        plain.step()
    for name, value in load_file(folder / "model.safetensors").items():
        assert torch.allclose(value, task.module.state_dict()[name], atol=1e-6), name


def test_learns_and_exports_the_average(tmp_path: Path) -> None:
    folder = train(Line(), config(tmp_path, steps=400, schedule="cosine", warmup=10), torch.device("cpu"))
    out = load_file(folder / "model.safetensors")
    assert float(out["weight"]) == pytest.approx(2, abs=0.05)
    assert float(out["bias"]) == pytest.approx(1, abs=0.05)
    raw = load_file(tmp_path / "checkpoint" / "weights.safetensors")
    assert not torch.equal(raw["weight"], out["weight"])


def test_loss_that_is_not_finite_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"step 3: the loss is nan; lower lr \(now 0.05\)"):
        train(Line(bad_at=3), config(tmp_path), torch.device("cpu"))


def test_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    train(Line(), config(tmp_path), torch.device("cpu"))
    other = Line()
    other.module = nn.Linear(1, 2)
    with pytest.raises(WeightsError, match="another architecture"):
        train(other, config(tmp_path, steps=50), torch.device("cpu"))


def test_schedules_known_values() -> None:
    flat = LoopConfig(lr=1.0)
    cosine = LoopConfig(lr=1.0, schedule="cosine", warmup=10)
    assert learning_rate(flat, 0.9, 5) == 1.0
    assert learning_rate(cosine, 0.0, 4) == pytest.approx(0.5)
    assert learning_rate(cosine, 0.5, 100) == pytest.approx(0.5)
    assert learning_rate(cosine, 1.0, 100) == pytest.approx(1e-3)


def test_a_staircase_counts_steps_from_the_end_of_warm_up() -> None:
    stairs = LoopConfig(lr=1.0, schedule="step", warmup=10, decay_every=100, decay=0.5)
    assert [learning_rate(stairs, 0.0, step) for step in (4, 9, 10, 109)] == [0.5, 1, 1, 1]
    assert [learning_rate(stairs, 0.9, step) for step in (110, 209, 210, 1110)] == [0.5, 0.5, 0.25, 2.0**-11]


def test_the_schedules_of_the_papers() -> None:
    """LGSC: 0.95 every 600 steps after warm-up; STDN+: a tenth every 45,000, three times in 150,000."""
    lgsc, stdn = LgscTraining(), StdnTraining()
    assert [learning_rate(lgsc, 0, 1000 + step) for step in (0, 599)] == [1e-3, 1e-3]
    assert learning_rate(lgsc, 0, 1600) == pytest.approx(0.95e-3)
    assert learning_rate(lgsc, 0, 1000 + 10 * 600) == pytest.approx(1e-3 * 0.95**10)
    assert learning_rate(stdn, 0, 44_999) == 5e-5
    assert learning_rate(stdn, 0, 45_000) == pytest.approx(5e-6)
    assert learning_rate(stdn, 0, 149_999) == pytest.approx(5e-8)


def test_a_staircase_without_its_width_is_refused() -> None:
    with pytest.raises(ValueError, match="schedule=step needs decay_every"):
        LoopConfig(schedule="step")
    with pytest.raises(ValueError, match="schedule=step needs decay_every"):
        LgscTraining(decay_every=0)
    for wrong in (0.0, 1.5):
        with pytest.raises(ValueError, match="decay"):
            LoopConfig(schedule="step", decay_every=1, decay=wrong)
