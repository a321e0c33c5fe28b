"""One step: what ranks share, what parts of a batch add up to, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

from fasgen.errors import WeightsError
from fasgen.training import learner
from fasgen.training.config import LoopConfig
from fasgen.training.learner import Learner, autocast, share_gradients
from fasgen.training.watch import Watch

CPU = torch.device("cpu")


class Fit:
    """A mean of squares over samples, taken in ``parts`` passes."""

    def __init__(self, passes: int = 1) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.passes = passes

    def parts(self, batch: Tensor) -> Sequence[Tensor]:
        return batch.chunk(self.passes)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        raise NotImplementedError

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        error = module(batch) - batch.sum(1, keepdim=True)
        return error.square().mean(), {"bias": error.mean()}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        return {}

    def export(self, module: nn.Module, folder: Path) -> None:
        raise NotImplementedError


def step_of(task: Fit, config: LoopConfig, batch: Tensor) -> Mapping[str, Tensor]:
    return Learner(task, config, CPU, Watch(config, CPU), 1, print)(batch, 0)


def test_parts_of_a_batch_teach_what_the_whole_teaches() -> None:
    batch, config = torch.randn(12, 3, generator=torch.Generator().manual_seed(1)), LoopConfig(lr=0.1)
    whole, parts = Fit(), Fit(passes=3)
    told, again = step_of(whole, config, batch), step_of(parts, config, batch)
    assert told.keys() == again.keys() == {"loss", "bias"}
    assert all(float(again[name]) == pytest.approx(float(value), rel=1e-5) for name, value in told.items())
    for one, two in zip(whole.module.parameters(), parts.module.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6) and one.grad is two.grad is None


def test_a_bad_loss_is_seen_before_it_is_learned_from() -> None:
    task, config = Fit(), LoopConfig(lr=0.1)
    before = [p.detach().clone() for p in task.module.parameters()]
    with pytest.raises(WeightsError, match="step 0: the loss is nan"):
        step_of(task, config, torch.full((4, 3), torch.nan))
    assert all(torch.equal(p, b) for p, b in zip(task.module.parameters(), before, strict=True))


def test_half_precision_where_it_is_set() -> None:
    x = torch.ones(2, 2)
    for precision, dtype in (("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(LoopConfig.model_validate({"precision": precision}), CPU):
            assert (x @ x).dtype == dtype


def test_ranks_share_gradients_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks, the other of which has one more everywhere; layouts, kinds and missing gradients as they come."""
    shapes = {
        "conv": torch.randn(4, 3, 2, 2),
        "bias": torch.randn(4),
        "half": torch.randn(5).bfloat16(),
        "none": torch.randn(3),
    }
    parameters = {name: nn.Parameter(value) for name, value in shapes.items()}
    parameters["conv"].data = parameters["conv"].data.contiguous(memory_format=torch.channels_last)
    wanted = {}
    for number, (name, p) in enumerate(parameters.items()):
        if name != "none":
            p.grad = torch.full_like(p, number) + torch.arange(p.numel()).reshape(p.shape).to(p.dtype)
        wanted[name] = 0.5 + (torch.zeros_like(p) if p.grad is None else p.grad.clone())
    sizes: list[int] = []

    def add_the_others(flat: Tensor) -> None:
        sizes.append(flat.numel())
        flat.copy_(2 * flat + 1)

    monkeypatch.setattr(dist, "all_reduce", add_the_others)
    monkeypatch.setattr(learner, "BUCKET", 52 * 4)
    share_gradients(parameters.values(), 2)
    assert sizes == [52, 5, 3], "48 and 4 fill a bucket, another kind begins one"
    for name, p in parameters.items():
        assert p.grad is not None and torch.allclose(p.grad, wanted[name])
        assert p.grad.stride() == p.stride()
