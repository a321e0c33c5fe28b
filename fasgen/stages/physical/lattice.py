"""Periodic structure as a camera sees it: a cell, filtered by the lens and the sensor's pixels, sampled at the pixels' middles.

A display's pixel grid or a halftone is finer than the camera's pixels, or about as fine. The sensor integrates light over each
of its pixels and takes one sample: what lies beyond its Nyquist frequency comes back as moire. Here the structure is drawn
once, at many samples a period; its Fourier series is multiplied by the transfer function of a square pixel of width w and a
Gaussian lens,

    H(f) = sinc(w f.e1) sinc(w f.e2) exp(-2 pi^2 sigma^2 |f|^2),

with the camera's axes e1 and e2, and the result is looked up at the place of every sensor pixel. That is the area integral of
the structure over the pixel: exact for a periodic one on a level sheet, where rendering finely and averaging only comes near.
Nothing is painted: moire follows from the sampling.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.sensor import PIXEL, Site
from fasgen.stages.physical.tone import Plane

_OFFSET = 1 << 16


class Lattice:
    """Where a periodic structure lies: its pitch in px of the picture, turn in radians, phase in periods, samples a period."""

    def __init__(self, pitch: float, turn: float, shift: tuple[float, float], steps: int) -> None:
        self.pitch, self.turn, self.steps = pitch, turn, steps
        self._shift = shift
        self._cos, self._sin = float(np.cos(turn)), float(np.sin(turn))

    def transfer(self, blur: float) -> Plane:
        """H at the harmonics of a cell, in the layout of ``rfft2``; ``blur`` is the lens' standard deviation, px."""
        steps, width, sigma = self.steps, PIXEL / self.pitch, blur / self.pitch
        fy, fx = np.fft.fftfreq(steps, 1 / steps)[:, None], np.fft.rfftfreq(steps, 1 / steps)[None, :]
        first, second = fx * self._cos - fy * self._sin, fx * self._sin + fy * self._cos
        lens = np.exp(-2 * np.pi**2 * sigma**2 * (fx**2 + fy**2))
        return np.asarray(np.sinc(width * first) * np.sinc(width * second) * lens, np.float32)

    def index(self, x: Plane, y: Plane, site: Site) -> NDArray[np.int32]:
        """Index into a flattened cell of ``steps`` x ``steps`` samples, ``steps`` a power of two, for every sensor pixel.

        Args:
            x: middles of the picture's px on the sheet, from the left, px.
            y: the same from the top.
            site: which pixel of the quad; how the sheet leans within one px is neglected.
        """
        scale, c, s = self.steps / self.pitch, self._cos, self._sin
        from_left = self._shift[0] * self.steps + _OFFSET + scale * (c * site.x + s * site.y)
        from_top = self._shift[1] * self.steps + _OFFSET + scale * (c * site.y - s * site.x)
        # cv2 rounds to the nearest integer: sample k of a cell stands for the phases nearest to k / steps.
        u = np.asarray(cv2.addWeighted(x, scale * c, y, scale * s, from_left, dtype=cv2.CV_32S))
        v = np.asarray(cv2.addWeighted(x, -scale * s, y, scale * c, from_top, dtype=cv2.CV_32S))
        u &= self.steps - 1
        v &= self.steps - 1
        v <<= self.steps.bit_length() - 1
        v |= u
        return v
