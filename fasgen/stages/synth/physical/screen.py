"""Amplitude-modulated halftone: a simulated offset or laser screen.

Each ink is printed as dots of one size grid, one angle an ink; darker means larger dots (clustered dots:
R. Ulichney, Digital Halftoning, 1987, ch. 5). A dot is there where the coverage wanted exceeds the cell's threshold. Thresholds are
the ranks of the spot function within the cell, so that the inked area is the coverage wanted, whatever the spot's shape.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.synth.physical.lattice import STEPS, phase_index, transfer
from fasgen.stages.synth.physical.tone import Plane

ANGLES = (15.0, 75.0, 0.0, 45.0)
"""Degrees of the screens of cyan, magenta, yellow and black."""

LEVELS = 32
"""Dot sizes in the table; the tone itself is not quantised, only the pattern around it."""


@cache
def _spectrum() -> NDArray[np.complex64]:
    """Fourier series of the dots less their mean, LEVELS x STEPS x (STEPS / 2 + 1)."""
    phase = 2 * np.pi * (np.arange(STEPS) + 0.5) / STEPS
    spot = -(np.cos(phase)[:, None] + np.cos(phase)[None, :])
    rank = np.empty(STEPS * STEPS)
    rank[np.argsort(spot.ravel(), kind="stable")] = (np.arange(STEPS * STEPS) + 0.5) / STEPS**2
    coverage = np.arange(LEVELS) / (LEVELS - 1)
    dots = (coverage[:, None] > rank[None, :]).reshape(LEVELS, STEPS, STEPS).astype(np.float32)
    dots -= dots.mean((1, 2), keepdims=True)
    return np.fft.rfft2(dots).astype(np.complex64)


def halftone(
    coverage: Plane, x: Plane, y: Plane, *, pitch: float, angle: float, strength: float, shift: tuple[float, float], blur: float,
    pixel: float,
) -> Plane:  # fmt: skip
    """Area that ink covers in every camera pixel, less or more than ``coverage`` by what of the dots falls into it.

    Args:
        coverage: share of the paper that one ink should cover, [0, 1].
        x: place of every camera pixel on the sheet, from the left, in px of the picture.
        y: the same from the top.
        pitch: distance of the dots, px.
        angle: turn of the screen, radians.
        strength: contrast of the dots, [0, 1].
        shift: phase of the screen, in periods.
        blur: standard deviation of all blur after printing (spread of ink, lens), px.
        pixel: side of a camera pixel, px.
    """
    series = _spectrum() * transfer(angle, pixel / pitch, blur / pitch)
    table = np.fft.irfft2(series, s=(STEPS, STEPS)).astype(np.float32).ravel()
    table *= strength
    index = phase_index(x, y, pitch, angle, shift)
    level = np.asarray(cv2.addWeighted(coverage, LEVELS - 1, coverage, 0, 0, dtype=cv2.CV_32S))
    np.clip(level, 0, LEVELS - 1, out=level)
    level *= STEPS * STEPS
    index += level
    inked = np.take(table, index)
    inked += coverage
    return inked
