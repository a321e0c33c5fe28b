"""Amplitude-modulated halftone: a simulated offset or laser screen.

Each ink is printed as clustered dots on a grid, one angle an ink; darker means larger dots (R. Ulichney, Digital Halftoning,
1987, ch. 5). A dot is there where the coverage wanted exceeds the cell's threshold. Thresholds are the ranks of the spot
function within the cell, so that the inked area is the coverage wanted, whatever the spot's shape.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.sensor import Site
from fasgen.stages.physical.tone import Plane

ANGLES = (15.0, 75.0, 0.0, 45.0)
"""Degrees of the screens of cyan, magenta, yellow and black."""

STEPS = 32
"""Samples a cell and axis."""

LEVELS = 16
"""Dot sizes in the table; the tone itself is not quantised, only the pattern around it."""


@cache
def dots() -> Plane:
    """Ink (1) or none (0) in a cell at each dot size, LEVELS x STEPS x STEPS."""
    phase = 2 * np.pi * (np.arange(STEPS) + 0.5) / STEPS
    spot = -(np.cos(phase)[:, None] + np.cos(phase)[None, :])
    rank = np.empty(STEPS * STEPS)
    rank[np.argsort(spot.ravel(), kind="stable")] = (np.arange(STEPS * STEPS) + 0.5) / STEPS**2
    coverage = np.arange(LEVELS) / (LEVELS - 1)
    return (coverage[:, None] > rank[None, :]).reshape(LEVELS, STEPS, STEPS).astype(np.float32)


@cache
def _spectrum() -> NDArray[np.complex64]:
    """Fourier series of the dots less their mean."""
    pattern = dots()
    return np.fft.rfft2(pattern - pattern.mean((1, 2), keepdims=True)).astype(np.complex64)


class Screen:
    """The halftone of one ink.

    Args:
        coverage: share of the paper that the ink should cover, [0, 1], at every px.
        x: place of every px on the sheet, from the left, px.
        y: the same from the top.
        lattice: pitch, angle and phase of the dots, ``STEPS`` samples a period.
        strength: contrast of the dots: 0 is continuous tone, 1 is ink or no ink.
        blur: standard deviation of all blur after printing (spread of ink, lens), px.
    """

    def __init__(self, coverage: Plane, x: Plane, y: Plane, lattice: Lattice, strength: float, blur: float) -> None:
        table = np.fft.irfft2(_spectrum() * lattice.transfer(blur), s=(STEPS, STEPS)).astype(np.float32).ravel()
        self._table = table * np.float32(strength)
        self._coverage, self._x, self._y, self._lattice = coverage, x, y, lattice
        size = np.asarray(cv2.addWeighted(coverage, LEVELS - 1, coverage, 0, 0, dtype=cv2.CV_32S))
        self._size = np.clip(size, 0, LEVELS - 1) * np.int32(STEPS * STEPS)

    def inked(self, site: Site) -> Plane:
        """Share of each sensor pixel of ``site`` that ink covers."""
        index = self._lattice.index(self._x, self._y, site)
        index += self._size
        share = np.take(self._table, index)
        share += self._coverage
        return share
