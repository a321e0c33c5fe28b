"""Deterministic samplers as tables of weights.

A step of each of them, from level t to a lower level s, is one affine move: ``z_s = A z_t + B z_0 + C z_0'``, with z_0 the
clean image that the network sees at t, itself affine in z_t and the network's output, and z_0' the one it saw a step before.
The weights follow from the grid alone. So a walk is a table made once, and its step runs on the device without a question to
the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from fasgen.stages.denoising.schedule import Prediction, clean_weights

Sampler = Literal["ddim", "dpmpp_2m"]

WEIGHTS = 5
"""Weights a step: of z_t and of the output in z_0; of z_t, z_0 and z_0' in z_s."""


def ddim(abar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """DDIM with sigma = 0 (Song et al., ICLR 2021, Eq. 12): the noise that z_0 leaves of z_t is put back at the lower level.

    Args:
        abar: (N + 1, ...) float64, by level of the grid; not falling.

    Returns:
        A, B and C, (N, ...) float64 each.
    """
    a_t, a_s = abar[:-1], abar[1:]
    moves = a_s != a_t
    # Where nothing moves (a sample whose t is below N) there may be no noise to divide by.
    of_z_t = torch.where(moves, ((1 - a_s) / (1 - a_t).clamp_min(1e-300)).sqrt(), 1.0)
    of_z_0 = torch.where(moves, a_s.sqrt() - of_z_t * a_t.sqrt(), 0.0)
    return of_z_t, of_z_0, torch.zeros_like(of_z_0)


def dpmpp_2m(abar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): z_0 is continued along the line through its last two values.

    The line is drawn over the half log signal-to-noise ratio lambda. The first step, and the last, in which lambda has no
    bound, are of first order, which is DDIM.

    Args:
        abar: (N + 1, ...) float64, by level of the grid; not falling.

    Returns:
        A, B and C, (N, ...) float64 each.
    """
    of_z_t, of_z_0, none = ddim(abar)
    log_snr = (abar / (1 - abar).clamp_min(1e-300)).log() / 2
    stride = log_snr[1:] - log_snr[:-1]
    before = torch.cat([torch.zeros_like(stride[:1]), stride[:-1]])
    inner = (before > 0) & (stride > 0)
    inner[-1] = False
    # 1 / (2 r), r being the last stride in units of this one.
    tilt = torch.where(inner, stride / (2 * torch.where(inner, before, 1.0)), none)
    return of_z_t, of_z_0 * (1 + tilt), -of_z_0 * tilt


SAMPLERS: dict[Sampler, Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]] = {"ddim": ddim, "dpmpp_2m": dpmpp_2m}


def walk_table(abar: Tensor, prediction: Prediction, sampler: Sampler) -> Tensor:
    """All weights of a walk.

    Args:
        abar: (N + 1, ...) float64 by level of the grid, from the start to the end; trailing dimensions for samples that have
            grids of their own.
        prediction: what the network predicts.
        sampler: see `SAMPLERS`.

    Returns:
        (N, 5, ...) float32: a row a step, in the order of `WEIGHTS`.
    """
    rows = [*clean_weights(abar[:-1], prediction), *SAMPLERS[sampler](abar)]
    return torch.stack(rows, 1).float()


def advance(z_t: Tensor, before: Tensor, output: Tensor, weights: Tensor, clip: bool = False) -> tuple[Tensor, Tensor]:
    """One step of a walk.

    Args:
        z_t: (B, C, H, W) float32.
        before: z_0 of the step before, of that shape; anything finite for the first step.
        output: (B, C, H, W) of the network.
        weights: (5, ...) a row of `walk_table` whose trailing dimensions broadcast against z_t.
        clip: clamp z_0 to [-1, 1].

    Returns:
        z_s and z_0.
    """
    z_0 = weights[0] * z_t + weights[1] * output.float()
    if clip:
        z_0 = z_0.clamp(-1, 1)
    return weights[2] * z_t + weights[3] * z_0 + weights[4] * before, z_0
