"""The moving average: grouped as the plain formula has it, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fasgen.training.average import Follower, ema_decay


def test_it_warms_up() -> None:
    assert ema_decay(0.9999, 0) == pytest.approx(0.1)
    assert ema_decay(0.9999, 10**7) == 0.9999


def state(seed: int) -> dict[str, Tensor]:
    """Weights in both layouts, statistics and a counter, halves and doubles, and what a resumed run has: nothing contiguous."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 8, 3), nn.Linear(8, 4))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network[1].num_batches_tracked += 7 * seed
    found = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return found | {
        "half": torch.randn(5, dtype=torch.float16), "double": torch.randn(5, dtype=torch.float64),
        "flags": torch.rand(9) < 0.5, "turned": torch.randn(6, 4).T, "scalar": torch.randn(()), "empty": torch.empty(0),
    }  # fmt: skip


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.998, 0.9999])
def test_groups_move_as_each_would_alone(decay: float) -> None:
    average, plain = state(1), state(1)
    before = {name: value.data_ptr() for name, value in average.items()}
    for seed in (2, 3):
        now = state(seed)
        Follower(average, now)(decay)
        for name, value in now.items():
            if value.is_floating_point():
                plain[name].lerp_(value, 1 - decay)
            else:
                plain[name].copy_(value)
    assert int(average["1.num_batches_tracked"]) == 21
    assert all(torch.equal(average[name], plain[name]) for name in plain)
    assert {name: value.data_ptr() for name, value in average.items()} == before
    kept = {name: value.clone() for name, value in average.items()}
    Follower(average, kept)(decay)
    assert all(torch.equal(average[name], kept[name]) for name in kept), "an average that has arrived stays"


def test_a_known_value() -> None:
    average = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    state = {"w": torch.tensor([3.0, -2.0]), "n": torch.tensor(5)}
    follow = Follower(average, state)
    follow(0.75)
    assert average["w"].tolist() == [1.5, 1.0] and int(average["n"]) == 5
    state["w"] += 1
    follow(0.5)
    assert average["w"].tolist() == [2.75, 0.0], "it follows the tensors, whatever they have become"
