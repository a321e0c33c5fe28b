"""Checkpoints: what is restored lies in memory as it lay before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.training.checkpoint import Checkpoint
from fasgen.training.config import LoopConfig
from fasgen.training.learner import optimiser_of
from fasgen.training.turns import Turn

CPU = torch.device("cpu")


def network() -> nn.Module:
    """Convolutions that lie channels last, where a fused optimiser must find their moments in the same order."""
    torch.manual_seed(0)
    made: nn.Module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 2))
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def optimiser(module: nn.Module, kind: str) -> torch.optim.Optimizer:
    def loss(*_: object) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError

    return optimiser_of(module, (Turn("", loss),), LoopConfig.model_validate({"optimiser": kind, "lr": 0.01}), CPU)


def learn(module: nn.Module, steps: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(step)).contiguous(memory_format=torch.channels_last)
        module(x).square().mean().backward()
        steps.step()
        steps.zero_grad(set_to_none=True)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_what_is_restored_goes_on_as_if_nothing_had_been(tmp_path: Path, kind: str) -> None:
    whole, before, after = network(), network(), network()
    learn(whole, optimiser(whole, kind), 0, 6)
    first, second = optimiser(before, kind), optimiser(after, kind)
    learn(before, first, 0, 3)
    average = {name: value.clone() for name, value in before.state_dict().items()}
    checkpoint = Checkpoint(tmp_path)
    assert not checkpoint.exists()
    checkpoint.save(before, average, first, {"step": 3})
    restored = {name: torch.zeros_like(value) for name, value in average.items()}
    assert checkpoint.exists() and checkpoint.load(after, restored, second) == {"step": 3}
    assert all(torch.equal(restored[name], value) for name, value in average.items())
    learn(after, second, 3, 6)
    for one, two in zip(whole.parameters(), after.parameters(), strict=True):
        assert torch.equal(one, two)


def test_adamw_is_fused() -> None:
    assert optimiser(network(), "adamw").param_groups[0]["fused"]


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    module = network()
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(module, dict(module.state_dict()), optimiser(module, "adamw"), {"step": 0})
    other = nn.Linear(2, 2)
    with pytest.raises(WeightsError, match="another architecture"):
        checkpoint.load(other, dict(other.state_dict()), optimiser(other, "adamw"))
