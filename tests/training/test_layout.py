"""The layout in memory: channels last but where that crashes."""

from __future__ import annotations

import torch
from torch import nn

from fasgen.training.layout import memory_format


def test_layout_spares_the_convolutions_whose_backward_pass_crashes() -> None:
    fragile = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 1, 2))
    sound = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 1, 2), nn.Conv2d(16, 8, 1))
    assert memory_format(fragile, torch.device("cpu")) is torch.contiguous_format
    assert memory_format(fragile, torch.device("cuda")) is torch.channels_last
    assert memory_format(sound, torch.device("cpu")) is torch.channels_last
    layout = memory_format(fragile, torch.device("cpu"))
    x = torch.rand(4, 3, 114, 114, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    fragile.to(memory_format=layout)(x).square().sum().backward()  # type: ignore[call-overload]
    assert all(bool(torch.isfinite(p.grad).all()) for p in fragile.parameters() if p.grad is not None)
