"""Periodic structure as a camera sees it: a cell, filtered by the lens and the sensor's pixels, sampled at the pixels' middles.

A screen's pixel grid or a halftone is finer than, or about as fine as, the camera's pixels. The sensor integrates the light over
each of its pixels and takes one sample: what lies beyond its Nyquist frequency comes back as moire. Here the structure is drawn
once, at many samples a period; its Fourier series is multiplied by the transfer function of a square pixel and of a Gaussian
lens,

    H(f) = sinc(w f.e1) sinc(w f.e2) exp(-2 pi^2 sigma^2 |f|^2),

and the result is looked up at the place of every camera pixel. That is the area integral of the structure over the pixel, exact
for a periodic one, where rendering at a higher resolution and averaging would only come near it. Moire follows from the sampling.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.synth.physical.tone import Plane

STEPS = 32
"""Samples a period and axis in which a cell is stored: phases are known to 1/32 of a period."""

_OFFSET = 1 << 15


def transfer(turn: float, width: float, sigma: float, steps: int = STEPS) -> Plane:
    """H at the harmonics of a cell, in the layout of ``rfft2``.

    Args:
        turn: angle from the camera's axes to the cell's, radians.
        width: side of a camera pixel, in periods.
        sigma: standard deviation of the lens' blur, in periods.
        steps: samples a period.
    """
    fy, fx = np.fft.fftfreq(steps, 1 / steps)[:, None], np.fft.rfftfreq(steps, 1 / steps)[None, :]
    along, across = fx * np.cos(turn) - fy * np.sin(turn), fx * np.sin(turn) + fy * np.cos(turn)
    blur = np.exp(-2 * np.pi**2 * sigma**2 * (fx**2 + fy**2))
    return (np.sinc(width * along) * np.sinc(width * across) * blur).astype(np.float32)


def phase_index(
    x: Plane, y: Plane, pitch: float, turn: float, shift: tuple[float, float], steps: int = STEPS
) -> NDArray[np.int32]:
    """Index into a flattened ``steps`` x ``steps`` cell for every place.

    Args:
        x: places from the left, in the unit of ``pitch``.
        y: places from the top.
        pitch: period.
        turn: angle from the axes of x and y to the cell's, radians.
        shift: phase at the origin, in periods, for the cell's two axes.
        steps: samples a period, a power of two.
    """
    scale, c, s = steps / pitch, float(np.cos(turn)), float(np.sin(turn))
    bits, mask = steps.bit_length() - 1, steps - 1
    # cv2 rounds to the nearest integer: sample k of the cell stands for the phases nearest to k / steps.
    u = np.asarray(cv2.addWeighted(x, scale * c, y, scale * s, shift[0] * steps + _OFFSET, dtype=cv2.CV_32S))
    v = np.asarray(cv2.addWeighted(x, -scale * s, y, scale * c, shift[1] * steps + _OFFSET, dtype=cv2.CV_32S))
    u &= mask
    v &= mask
    v <<= bits
    v |= u
    return v
