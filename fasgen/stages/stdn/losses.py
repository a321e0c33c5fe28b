"""The losses of STDN+ and its score, with the signs that make sense of them.

Printed otherwise: the weight of the depth loss is "-10", which would maximise the error; Eqs. 21 and 23 have a Frobenius norm
where the text says L1; one weight regularises live and spoof alike, which leaves traces on live faces nearly free.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fasgen.stages.stdn.bands import cuts, low
from fasgen.stages.stdn.traces import Traces, additive

BETA = 0.1
"""beta: the additive trace above which a pixel counts as changed."""


def regulariser(traces: Traces) -> Tensor:
    """L_R: mean square of T_A and of P. Scalar."""
    return additive(traces).square().mean() + traces.P.square().mean()


def mask_prior(traces: Traces, untouched: Tensor, is_additive: Tensor) -> Tensor:
    """L_P of spoofs: P where the trace is large, and no P where the attack leaves the face as it is. Scalar.

    The indicator takes the largest of the channels, and no gradient. It is left out for attacks that replace nothing (prints,
    replays): there both terms would pull P in opposite ways.

    Args:
        traces: of B spoofs.
        untouched: P0, (B, 1, S, S), 1 where P must be 0.
        is_additive: (B,) true for attacks that replace nothing.
    """
    changed = (additive(traces).detach().abs().amax(1, keepdim=True) > BETA).to(traces.P)
    first = (traces.P - changed).square().flatten(1).mean(1)
    kept = untouched.square().flatten(1).sum(1).clamp_min(1e-6)
    second = (traces.P * untouched).square().flatten(1).sum(1) / kept
    return (torch.where(is_additive, torch.zeros_like(first), first) + second).mean()


def generator_loss(fake: Sequence[Tensor]) -> Tensor:
    """L_G: least squares of the verdicts on what was made to 1, summed over the discriminators. Scalar."""
    return torch.stack([(verdict - 1).square().mean() for verdict in fake]).sum()


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """L_D: least squares of the verdicts on real images to 1 and on what was made to 0. Scalar."""
    return generator_loss(real) + torch.stack([verdict.square().mean() for verdict in fake]).sum()


def depth_loss(depth: Tensor, target: Tensor) -> Tensor:
    """L_depth, L_H: mean |M - M0| of (B, 1, K, K); M0 is 0 for spoofs. Scalar, to be minimised."""
    return (depth - target).abs().mean()


def self_supervision(again: Traces, put: Traces) -> Tensor:
    """L_S: L1 between the traces found in a synthesised spoof and those put into it, additive ones and mask. Scalar.

    Args:
        again: traces of the synthesised spoof, of which no gradient may come.
        put: warped traces; their gradient is stopped here.
    """
    known = put.detach()
    return (additive(again) - additive(known)).abs().mean() + (again.P - known.P).abs().mean()


def trace_size(traces: Traces) -> Tensor:
    """mean |B| + mean |C| + mean |T| + mean |P| of each sample: (B,), from 0 to 4.

    B and C as they count, within their bands: nothing regularises them beyond.
    """
    n1, n2 = cuts(traces.T.shape[-1])
    parts = (low(traces.B, n1), low(traces.C, n2), traces.T, traces.P)
    return torch.stack([part.abs().flatten(1).mean(1) for part in parts]).sum(0)


def live_score(depth: Tensor, traces: Traces, alpha0: float) -> Tensor:
    """Eq. 26 with the sign that depth needs: mean(M) / 2 - alpha0 / 2 * `trace_size`, (B,), high for live faces.

    STDN's map rose with spoofs, so that its two terms could be added; STDN+'s depth falls.
    """
    return depth.flatten(1).mean(1) / 2 - alpha0 / 2 * trace_size(traces)
