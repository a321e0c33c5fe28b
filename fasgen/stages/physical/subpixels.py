"""The pixel grid of a display, as a camera sees it: a simulated LCD of stripes or OLED of diamonds.

Each subpixel emits one colour from its own part of the pixel, the rest is a black matrix. The three colours therefore reach the
camera as three patterns, one third of a pixel apart, and the moire they leave is coloured.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.sensor import QUAD, WEIGHT
from fasgen.stages.physical.tone import Plane

STEPS = {"stripe": 32, "pentile": 64}
"""Samples a cell and axis."""

CELL = {"stripe": 1, "pentile": 2}
"""Pixels of the display in one cell and axis."""


@cache
def cell(layout: str) -> Plane:
    """Light of a white display over one cell, 3 x steps x steps, mean 1 in each colour."""
    steps = STEPS[layout]
    y, x = (np.indices((steps, steps)) + 0.5) / steps
    if layout == "stripe":
        colours = [(np.abs(x - middle) < 0.125) & (np.abs(y - 0.5) < 0.42) for middle in (1 / 6, 1 / 2, 5 / 6)]
    else:

        def diamond(middle_x: float, middle_y: float, radius: float) -> NDArray[np.bool_]:
            off_x, off_y = np.abs((x - middle_x + 0.5) % 1 - 0.5), np.abs((y - middle_y + 0.5) % 1 - 0.5)
            return np.asarray(off_x + off_y < radius)

        red = diamond(0.25, 0.25, 0.19) | diamond(0.75, 0.75, 0.19)
        blue = diamond(0.75, 0.25, 0.21) | diamond(0.25, 0.75, 0.21)
        green = np.zeros_like(red)
        for middle_x in (0.0, 0.5):
            for middle_y in (0.0, 0.5):
                green |= diamond(middle_x, middle_y, 0.13)
        colours = [red, green, blue]
    lit = np.stack(colours).astype(np.float32)
    return np.asarray(lit / lit.mean((1, 2), keepdims=True), np.float32)


@cache
def _spectrum(layout: str) -> NDArray[np.complex64]:
    return np.fft.rfft2(cell(layout)).astype(np.complex64)


def grid(x: Plane, y: Plane, layout: str, lattice: Lattice, strength: float, blur: float) -> list[Plane]:
    """Factors by which the grid changes the light of each channel, mean 1 over a cell.

    Args:
        x: place of every px on the display, from the left, px.
        y: the same from the top.
        layout: ``stripe`` or ``pentile``.
        lattice: pitch (of cells, not of pixels), turn and phase of the grid.
        strength: contrast, [0, 1].
        blur: standard deviation of the lens' blur, px.
    """
    steps = STEPS[layout]
    series = _spectrum(layout) * lattice.transfer(blur)
    tables = np.fft.irfft2(series, s=(steps, steps)).astype(np.float32).reshape(3, -1)
    tables = 1 + np.float32(strength) * (tables - 1)
    out: list[Plane] = []
    for site in QUAD:
        seen = np.take(tables[site.channel] * np.float32(WEIGHT[site.channel]), lattice.index(x, y, site))
        if site.channel == len(out):
            out.append(seen)
        else:
            out[site.channel] += seen
    return out
