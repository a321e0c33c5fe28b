"""Noise levels, and what a network may predict of them.

``abar`` is the cumulative product of ``1 - beta``, which the DDIM paper and AG-FAS's Eqs. 7 to 20 call alpha.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]


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


def clean_weights(abar_t: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Weights of z_t and of the network's output in z_0."""
    a, b = abar_t.sqrt(), (1 - abar_t).sqrt()
    if prediction == "epsilon":
        return 1 / a, -b / a
    if prediction == "sample":
        return torch.zeros_like(a), torch.ones_like(a)
    return a, -b


def split(z_t: Tensor, output: Tensor, abar_t: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """The network's output as ``(z_0, eps)``, consistent with ``z_t``."""
    a, b = abar_t.sqrt(), (1 - abar_t).sqrt()
    if prediction == "epsilon":
        return (z_t - b * output) / a, output
    if prediction == "sample":
        return output, (z_t - a * output) / b
    return a * z_t - b * output, a * output + b * z_t
