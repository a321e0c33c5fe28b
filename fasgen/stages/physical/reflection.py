"""What a display's glass mirrors: a window or lamp, out of focus because it seems as far behind the glass as it is before it.

Simulated, on a coarse grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.sheet import Nodes
from fasgen.stages.physical.tone import Plane


def mirrored(rng: np.random.Generator, nodes: Nodes, *, x: float, y: float, size: float, blur: float, angle: float) -> Plane:
    """Light of the mirrored shape at each node, [0, 1].

    Args:
        rng: stream of the reflection: it chooses lamp, tube or window, and the proportions.
        nodes: the display.
        x: middle of the shape, shares from the picture's middle.
        y: the same downwards.
        size: width, shares.
        blur: softness of the edges, shares.
        angle: turn, degrees.
    """
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    off_x, off_y = nodes.x - x, nodes.y - y
    across, down = np.abs(off_x * c + off_y * s), np.abs(off_y * c - off_x * s)
    kind, tall, bar = rng.random(), rng.uniform(0.8, 1.8), rng.uniform(0.03, 0.06) * size
    if kind < 0.3:
        return _step(size / 2 - np.hypot(across, down * tall), blur)
    if kind < 0.5:
        tall = 0.15
    shape = _step(size / 2 - across, blur) * _step(size * tall / 2 - down, blur)
    if kind > 0.65:
        panes = _step(across - bar, blur / 2) * _step(down - bar, blur / 2)
        shape *= np.float32(0.35) + np.float32(0.65) * panes
    return shape


def _step(inside: NDArray[Any], blur: float) -> Plane:
    """A soft step over the distance from an edge, about the integral of a Gaussian."""
    return np.asarray(1 / (1 + np.exp(np.clip(-1.7 / blur * inside, -30, 30))), np.float32)
