"""Random draws of a step on the device that uses them: a CPU makes normal noise more slowly than a GPU trains on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normal(shape: Sequence[int], coin: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal float32 of ``shape`` on ``device``, determined by the state of ``coin``, which moves on by one draw.

    The same coin gives other values on another kind of device.
    """
    seed = int(torch.randint(1 << 62, (), generator=coin))
    return torch.randn(tuple(shape), generator=torch.Generator(device).manual_seed(seed), device=device)
