"""Spoof traces and the two ways through them: a spoof less its traces is live, a live face with traces is a spoof.

The signs are those that make the two inverse to each other: Eq. 8 of STDN+ prints -T_A where its own Eq. 5 needs +T_A, and
Eq. 4 leaves out the factor P before I_P.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fasgen.stages.stdn.bands import cuts, low


class Traces(NamedTuple):
    """What the generator takes a face apart into. Images are in [0, 1].

    Attributes:
        B: (B, 3, S, S) in [-1, 1], colour; counts only below n1.
        C: (B, 3, S, S) in [-1, 1], smooth content; counts only below n2.
        T: (B, 3, S, S) in [-1, 1], texture.
        P: (B, 1, S, S) in [0, 1], where the face is not changed but replaced (masks, make-up, paper over an eye).
        I_P: (B, 3, S, S) in [0, 1], what a live face would have there.
    """

    B: Tensor
    C: Tensor
    T: Tensor
    P: Tensor
    I_P: Tensor

    def take(self, index: slice | Tensor) -> Traces:
        """Traces of some samples."""
        return Traces(*(part[index] for part in self))

    def detach(self) -> Traces:
        """The same without gradient."""
        return Traces(*(part.detach() for part in self))


def additive(traces: Traces) -> Tensor:
    """T_A = low_n1(B) + low_n2(C) + T: (B, 3, S, S), what a camera adds to a live face, within [-3, 3]."""
    n1, n2 = cuts(traces.T.shape[-1])
    return low(traces.B, n1) + low(traces.C, n2) + traces.T


def live_of(image: Tensor, traces: Traces) -> Tensor:
    """Eq. 4: the live counterpart (1 - P)(I - T_A) + P I_P of ``image`` (B, 3, S, S)."""
    return (1 - traces.P) * (image - additive(traces)) + traces.P * traces.I_P


def spoof_of(live: Tensor, traces: Traces, spoof: Tensor) -> Tensor:
    """Eq. 9: the spoof (1 - P)(I_j + T_A) + P I of a live face.

    Args:
        live: I_j, (B, 3, S, S).
        traces: of another spoof, already in the geometry of ``live``.
        spoof: that spoof itself, likewise.
    """
    return (1 - traces.P) * (live + additive(traces)) + traces.P * spoof


def hierarchy(image: Tensor, traces: Traces) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 12: live counterparts by the traces up to a band alone: low (B), middle (B, C) and high (B, C, T), (B, 3, S, S) each.

    Mask and content are low-passed with the image, which the text leaves open; so each is the whole one seen through low_n.
    """
    n1, n2 = cuts(image.shape[-1])
    colour, content = low(traces.B, n1), low(traces.C, n2)
    filled = traces.P * traces.I_P
    lowest = (1 - low(traces.P, n1)) * (low(image, n1) - colour) + low(filled, n1)
    middle = (1 - low(traces.P, n2)) * (low(image, n2) - colour - content) + low(filled, n2)
    return lowest, middle, live_of(image, traces)


def weaker(traces: Traces, generator: torch.Generator | None = None) -> Traces:
    """Harder samples: B, C and T each times its own draw from U(0, 1), P gone in half of the samples.

    Args:
        traces: of B samples.
        generator: of the draws, where the traces lie; ``None``: torch's own.
    """
    count, like = len(traces.P), traces.P
    scale = torch.rand(3, count, 1, 1, 1, generator=generator, device=like.device).to(like)
    keep = (torch.rand(count, 1, 1, 1, generator=generator, device=like.device) < 0.5).to(like)
    return Traces(traces.B * scale[0], traces.C * scale[1], traces.T * scale[2], traces.P * keep, traces.I_P)


def stacked(traces: Traces) -> Tensor:
    """(B, 13, S, S), in the order of the fields: what is warped as one."""
    return torch.cat(list(traces), 1)


def unstacked(x: Tensor) -> Traces:
    """The inverse of `stacked`."""
    return Traces(*torch.split(x, [3, 3, 3, 1, 3], 1))
