"""From moments to BRISQUE's 36 statistics: fits of asymmetric generalised Gaussians by moment matching.

Lasmar, Stitou, Berthoumieu, ICIP 2009; equations 7 to 12 of BRISQUE (Mittal, Moorthy, Bovik, IEEE TIP 2012).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

FEATURES = 36
"""Statistics an image: two of the MSCN map and four of each of four orientations, at two scales."""

SHAPES = (0.05, 50.0)
"""Where the shape is looked for; its nearest end stands where no shape fits. Photographs lie in 0.2 to 10."""

_NODES = 4096


def statistics(moments: Tensor) -> Tensor:
    """Statistics of images.

    Args:
        moments: (B, 2, 5, 4) float64, see ``moments.moments``.

    Returns:
        (B, 36) float64: at each scale shape and variance of the MSCN map, then of each orientation shape, mean, left and
        right variance.
    """
    left, right = moments[..., 2], moments[..., 3]
    shape, mean = fit(moments)
    own = torch.stack((shape, (left + right) / 2), -1)[:, :, 0]
    pairs = torch.stack((shape, mean, left, right), -1)[:, :, 1:]
    return torch.cat((own, pairs.flatten(2)), 2).flatten(1)


def fit(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and mean of the fitted distributions, (..., 4) moments to two of (...)."""
    mean_abs, mean_square, left, right = moments.unbind(-1)
    sigma_left, sigma_right = left.sqrt(), right.sqrt()
    gamma = sigma_left / sigma_right
    ratio = mean_abs**2 / mean_square * (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2
    shape = _invert(ratio)
    # The mean's factor Gamma(2/a) / sqrt(Gamma(1/a) Gamma(3/a)) is the square root of the very ratio that was matched.
    return shape, (sigma_right - sigma_left) * ratio.sqrt()


@cache
def _nodes(device: torch.device) -> Tensor:
    """(3, nodes): log of Gamma(2u)^2 / (Gamma(u) Gamma(3u)) in rising order, log of the shape 1 / u, and its slope."""
    log_shape = torch.linspace(math.log(SHAPES[0]), math.log(SHAPES[1]), _NODES, dtype=torch.float64)
    u = torch.exp(-log_shape)
    log_ratio = 2 * torch.lgamma(2 * u) - torch.lgamma(u) - torch.lgamma(3 * u)
    slope = -u * (4 * torch.digamma(2 * u) - torch.digamma(u) - 3 * torch.digamma(3 * u))
    return torch.stack((log_ratio, log_shape, 1 / slope)).to(device)


def _invert(ratio: Tensor) -> Tensor:
    """Shape of a ratio, by cubic Hermite interpolation of the tabulated inverse (relative error under 1e-10)."""
    log_ratio, log_shape, slope = _nodes(ratio.device)
    x = ratio.log().clamp(log_ratio[0], log_ratio[-1])
    i = torch.searchsorted(log_ratio, x.detach()).clamp_(1, _NODES - 1)
    width = log_ratio[i] - log_ratio[i - 1]
    t = (x - log_ratio[i - 1]) / width
    start, rise = log_shape[i - 1], log_shape[i] - log_shape[i - 1]
    first, last = slope[i - 1] * width, slope[i] * width
    return torch.exp(start + t * (first + t * (3 * rise - 2 * first - last + t * (first + last - 2 * rise))))
