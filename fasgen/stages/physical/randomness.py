"""Random fields of a sample: one independent stream an effect, all from the sample's texture seed."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.tone import Plane

STREAMS = ("screen", "grid", "waves", "paper", "cut", "wall", "reflection", "noise", "moire")
"""Effects that draw fields. A new one goes to the end: the place is part of the stream's key."""


def stream(texture: int, effect: str) -> np.random.Generator:
    """Generator of one effect (Philox, keyed by the texture seed and the effect)."""
    return np.random.Generator(np.random.Philox(key=[texture, STREAMS.index(effect)]))


@cache
def _normals() -> Plane:
    """65,536 equally likely values of a standard normal variable, by its quantile function."""
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / 65536) for k in range(65536)], np.float32)


def white(rng: np.random.Generator, shape: tuple[int, ...]) -> Plane:
    """Standard normal noise; several times faster than the generator's own, with tails that end at 4.3."""
    bits: NDArray[np.uint16] = rng.integers(0, 65536, shape, np.uint16)
    return np.take(_normals(), bits)


def grained(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Plane:
    """Noise of unit variance with a Gaussian correlation of standard deviation ``sigma`` px."""
    noise = white(rng, shape)
    if sigma < 0.2:
        return noise
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.asarray(cv2.sepFilter2D(noise, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT), np.float32)
