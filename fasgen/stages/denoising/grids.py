"""Which noise levels are visited on the way down from strength t."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Spacing = Literal["even", "quadratic"]
"""How the levels of a grid lie (Song et al., ICLR 2021, appendix D.2): as the numbers 1 to N, or as their squares, which spends
more of the calls near the clean image."""


def levels(t: Tensor, calls: int, spacing: Spacing = "even") -> Tensor:
    """Grid of every sample: its own t first, down in ``calls`` strides, 0 at the end.

    Args:
        t: (B,) levels, 0 to T.
        calls: N, calls of the network.
        spacing: how long the strides are.

    Returns:
        (N + 1, B) int64, never rising. Where t holds fewer levels than the grid asks for, some are repeated, at which nothing
        happens.
    """
    left, whole = torch.arange(calls, -1, -1, dtype=torch.int64), calls
    if spacing == "quadratic":
        left, whole = left.square(), calls**2
    return (t.to("cpu", torch.int64)[None] * left[:, None] + whole - 1) // whole


def exact_grid(t: int, calls: int, spacing: Spacing = "even", train_steps: int = 1000) -> list[int]:
    """Time steps from exactly ``t`` down in ``calls`` strides, clean latents being the end of the last one.

    Args:
        t: strength in [0, train_steps]; 0 returns no step at all, so that the image comes back as it is.
        calls: network calls; fewer where t does not hold so many steps.
        spacing: how long the strides are.
        train_steps: T; the highest time step is T - 1.
    """
    points = levels(torch.tensor([t]), calls, spacing)[:-1, 0].clamp_max(train_steps - 1).tolist()
    return sorted({point for point in points if point > 0}, reverse=True)


def agfas_grid(t: int, steps: int, train_steps: int = 1000, offset: int = 1) -> list[int]:
    """AG-FAS's grid: that of Stable Diffusion 1.x over the whole range, of which the part up to t is walked.

    ``steps`` points lie ``train_steps // steps`` apart, shifted by ``offset``; those up to ``t + offset`` are walked. For t =
    800 of 1000 and 50 points that is 801, 781, ..., 1: 41 network calls. A t between two points begins at the lower one.

    Args:
        t: strength in [0, train_steps]; 0 returns no point at all, so that the image comes back as it is.
        steps: grid points over the whole range.
        train_steps: T.
        offset: shift of the grid; 1 in Stable Diffusion 1.x.
    """
    if t <= 0:
        return []
    stride = train_steps // steps
    points = [k * stride + offset for k in range(steps)]
    return [p for p in points if p <= min(t + offset, train_steps - 1)][::-1]
