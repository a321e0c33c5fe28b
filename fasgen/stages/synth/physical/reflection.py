"""What a display's glass mirrors: a window or lamp, out of focus because it seems as far behind the glass as it is before it.

Simulated, on a coarse grid.
"""

from __future__ import annotations

import cv2
import numpy as np

from fasgen.stages.synth.physical.sheet import Nodes
from fasgen.stages.synth.physical.tone import Plane


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
    c, s = np.float32(np.cos(np.radians(angle))), np.float32(np.sin(np.radians(angle)))
    off_x, off_y = nodes.x - np.float32(x), nodes.y - np.float32(y)
    across, down = np.abs(off_x * c + off_y * s), np.abs(off_y * c - off_x * s)
    kind, tall, bar = rng.random(), rng.uniform(0.8, 1.8), rng.uniform(0.015, 0.03)
    soft = np.float32(blur)
    if kind < 0.3:
        radius = np.sqrt(across**2 + (down * np.float32(tall)) ** 2)
        return _edge((size / 2 - radius) / soft)
    if kind < 0.5:
        tall = 0.15
    shape = _edge((size / 2 - across) / soft) * _edge((size * tall / 2 - down) / soft)
    if kind > 0.65:
        panes = _edge((across - size * bar * 2) / (soft * 0.5)) * _edge((down - size * bar * 2) / (soft * 0.5))
        shape *= 0.35 + 0.65 * panes
    return shape


def _edge(inside: Plane) -> Plane:
    """A soft step, about the integral of a Gaussian."""
    return np.asarray(1 / (1 + cv2.exp(np.clip(-1.7 * inside, -30, 30).astype(np.float32))), np.float32)
