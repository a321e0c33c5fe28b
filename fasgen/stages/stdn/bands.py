"""Frequency bands of an image (STDN+): low, middle and high, which add up to the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MID_GAIN, HIGH_GAIN = 15.0, 25.0
"""Factors by which the generator sees the middle and the high band, which are faint."""


def low(x: Tensor, side: int) -> Tensor:
    """low_n: ``x`` brought down to ``side`` px and up again.

    Down is by area averaging, where the paper says bilinear: the same at a factor of two, and free of aliases at four.

    Args:
        x: (B, C, S, S).
        side: n, px.
    """
    small = F.interpolate(x, size=(side, side), mode="area")
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)


def cuts(size: int) -> tuple[int, int]:
    """n1 and n2 of an image of ``size`` px: a quarter and a half of it, so 64 and 128 at the paper's 256.

    The text has them the other way round, with which the middle band would be negated and B would hold it.
    """
    return max(1, size // 4), max(1, size // 2)


def bands(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Low, middle and high band of (B, C, S, S); their sum is ``x`` but for rounding."""
    n1, n2 = cuts(x.shape[-1])
    low_1, low_2 = low(x, n1), low(x, n2)
    return low_1, low_2 - low_1, x - low_2


def banded(x: Tensor) -> Tensor:
    """The generator's input (B, 9, S, S) from (B, 3, S, S) in [0, 1]: bands one behind another, the fainter ones amplified."""
    one, two, three = bands(x)
    return torch.cat([one, MID_GAIN * two, HIGH_GAIN * three], 1)
