"""DDIM (Song et al., ICLR 2021) on any grid of time steps: forward noising, Eq. 12 with sigma = 0, and back.

``abar`` is the cumulative product of ``1 - beta``, which the DDIM paper and AG-FAS's Eqs. 7 to 20 call alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]
Predict = Callable[[Tensor, int], Tensor]


def abar_schedule(train_steps: int, beta_start: float, beta_end: float, kind: str) -> Tensor:
    """Cumulative products (train_steps,) float64 of ``1 - beta``.

    Args:
        train_steps: T.
        beta_start: beta of the first step.
        beta_end: beta of the last step.
        kind: ``scaled_linear`` (linear in sqrt(beta), latent diffusion) or ``linear``.
    """
    if kind == "scaled_linear":
        beta = torch.linspace(beta_start**0.5, beta_end**0.5, train_steps, dtype=torch.float64).square()
    elif kind == "linear":
        beta = torch.linspace(beta_start, beta_end, train_steps, dtype=torch.float64)
    else:
        raise ValueError(f"unknown beta schedule {kind!r}; known are scaled_linear and linear")
    return torch.cumprod(1 - beta, 0)


def grid(t: int, steps: int, train_steps: int = 1000, offset: int = 1) -> list[int]:
    """Grid points from the one at which the image is noised down to the last.

    ``steps`` points lie ``train_steps // steps`` apart over the whole range, shifted by ``offset``; those up to
    ``t + offset`` are walked. For t = 800 of 1000 and 50 points that is 801, 781, ..., 1: 41 network calls (AG-FAS).

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


def noised(z_0: Tensor, eps: Tensor, abar_t: Tensor) -> Tensor:
    """``z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps``; ``abar_t`` broadcasts against (B, C, H, W)."""
    return abar_t.sqrt() * z_0 + (1 - abar_t).sqrt() * eps


def target(z_0: Tensor, eps: Tensor, abar_t: Tensor, prediction: Prediction) -> Tensor:
    """What the network is asked for at noise level ``abar_t``."""
    if prediction == "epsilon":
        return eps
    if prediction == "sample":
        return z_0
    return abar_t.sqrt() * eps - (1 - abar_t).sqrt() * z_0


def split(z_t: Tensor, output: Tensor, abar_t: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """The network's output as ``(z_0, eps)``, consistent with ``z_t``."""
    a, b = abar_t.sqrt(), (1 - abar_t).sqrt()
    if prediction == "epsilon":
        return (z_t - b * output) / a, output
    if prediction == "sample":
        return output, (z_t - a * output) / b
    return a * z_t - b * output, a * output + b * z_t


def denoise(predict: Predict, z_t: Tensor, points: Sequence[int], abar: Tensor, prediction: Prediction, last: Tensor) -> Tensor:
    """Walk ``points`` from ``z_t`` at ``points[0]`` to noise level ``last`` with sigma = 0.

    Args:
        predict: ``predict(z_t, t)`` calls the network.
        z_t: (B, C, H, W) at ``points[0]``, float32.
        points: descending time steps.
        abar: (T,) float64.
        prediction: what the network predicts.
        last: abar after the last point: 1 for clean latents, ``abar[0]`` for schedulers with ``set_alpha_to_one`` off.

    Returns:
        (B, C, H, W) float32.
    """
    after = [*(abar[p] for p in points[1:]), last]
    for t, abar_next in zip(points, after, strict=True):
        a_t, a_next = abar[t].to(z_t.device, torch.float32), abar_next.to(z_t.device, torch.float32)
        z_0, eps = split(z_t, predict(z_t, t), a_t, prediction)
        z_t = a_next.sqrt() * z_0 + (1 - a_next).sqrt() * eps
    return z_t
