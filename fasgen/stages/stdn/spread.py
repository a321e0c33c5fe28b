"""From where values are known to where they are not: a membrane between them, and 0 beyond the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_COARSEST = 8
"""Px; a picture with a shorter side is not halved again."""
_SWEEPS = 12
"""Steps of Jacobi's at each size, which smooth what the next coarser one gave."""


def spread(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Laplace's equation where values are not known, near enough to be smooth, from coarse pictures to fine ones.

    Args:
        values: (C, H, W).
        known: (H, W) where they stay what they are.

    Returns:
        (C, H, W), never beyond the range of the values known, and 0.
    """
    height, width = known.shape
    if min(height, width) > _COARSEST:
        # Behind an odd side nothing is known.
        beyond = ((0, height % 2), (0, width % 2))
        some = _sums(np.pad(known, beyond)[None].astype(np.float64))
        means = _sums(np.pad(values * known, ((0, 0), *beyond))) / np.maximum(some, 1)
        coarse = spread(means, some[0] > 0)
        values = np.where(known, values, coarse.repeat(2, 1).repeat(2, 2)[:, :height, :width])
    framed = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    inner, free = framed[:, 1:-1, 1:-1], ~known
    for _ in range(_SWEEPS):
        mean = framed[:, :-2, 1:-1] + framed[:, 2:, 1:-1]
        mean += framed[:, 1:-1, :-2]
        mean += framed[:, 1:-1, 2:]
        mean /= 4
        np.copyto(inner, mean, where=free)
    return inner


def _sums(x: Floats) -> Floats:
    """Over cells of 2 x 2: (C, H, W) to (C, H / 2, W / 2)."""
    return np.asarray(x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2])
