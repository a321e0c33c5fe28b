"""Normal noise of a step."""

from __future__ import annotations

import torch

from fasgen.training.draws import normal

CPU = torch.device("cpu")


def test_noise_is_normal_and_follows_the_coin() -> None:
    first, again = (torch.Generator().manual_seed(3) for _ in range(2))
    x = normal((4, 3, 64, 64), first, CPU)
    assert torch.equal(x, normal((4, 3, 64, 64), again, CPU))
    assert not torch.equal(x, normal((4, 3, 64, 64), first, CPU)), "the coin moves on"
    assert abs(float(x.mean())) < 0.01 and abs(float(x.std()) - 1) < 0.01


def test_what_follows_does_not_depend_on_how_much_was_drawn() -> None:
    first, second = (torch.Generator().manual_seed(4) for _ in range(2))
    normal((2,), first, CPU)
    normal((9, 9), second, CPU)
    assert torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=second))
