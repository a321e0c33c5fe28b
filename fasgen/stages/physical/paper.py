"""Paper: its colour, its fibres, its unprinted margin and the ink that a crease has lost. All simulated.

Office paper reflects about 0.9 of white, with a yellow tint where it has lignin and a blue one where optical brighteners
fluoresce; its fibres clump to flocs of some tenths of a millimetre, which modulate the reflectance by a few percent.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.randomness import white
from fasgen.stages.physical.tone import Plane

_YELLOW = np.array([0.0, -0.02, -0.13])
_BLUE = np.array([-0.07, -0.03, 0.0])


def paper_white(tint: float) -> NDArray[np.float32]:
    """Reflectance of unprinted paper in R, G, B, relative to a perfect white; ``tint`` from -1 (bluish) to 1 (yellowish)."""
    shift = tint * _YELLOW if tint >= 0 else -tint * _BLUE
    return (1 + shift).astype(np.float32)


def fibres(rng: np.random.Generator, shape: tuple[int, int], deviation: float) -> Plane:
    """Factor of the reflectance at every place: fine fibres and coarser flocs, mean 1, standard deviation ``deviation``."""
    height, width = shape
    fine = white(rng, shape)
    flocs = white(rng, (-(-height // 4), -(-width // 4)))
    coarse = cv2.resize(flocs, (width, height), interpolation=cv2.INTER_CUBIC)
    # Fine fibres blur to about 0.45 of their deviation, flocs keep about 0.7 of theirs: both parts weigh alike.
    both = cv2.addWeighted(cv2.blur(fine, (2, 2)), 1.4 * deviation, coarse, 0.85 * deviation, 1.0)
    return np.asarray(both, np.float32)


def keep_margin(inks: list[Plane], share: float, side: float) -> None:
    """Take the ink from a strip along one edge, in place.

    Args:
        inks: coverages, each height x width.
        share: width of the strip, share of the shorter side.
        side: left, top, right, bottom for the four quarters of [0, 1].
    """
    strip = round(share * min(inks[0].shape))
    for ink in inks:
        np.rot90(ink, min(int(side * 4), 3))[:, :strip] = 0


def crease(inks: list[Plane], axis: float, place: float, angle: float) -> None:
    """Take ink from a crease, in place: the sharper it is, the more is worn off.

    Args:
        inks: coverages, each height x width.
        axis: direction of the crease, degrees.
        place: its distance from the middle, shares of the shorter side.
        angle: angle of the fold, degrees.
    """
    height, width = inks[0].shape
    short = min(height, width)
    x, y = np.cos(np.radians(axis)), np.sin(np.radians(axis))
    middle = np.array([width / 2 - y * place * short, height / 2 + x * place * short])
    reach = np.array([x, y]) * (height + width)
    line = np.zeros((height, width), np.uint8)
    # Four fractional bits: the line moves smoothly with its parameters.
    ends = [tuple(int(v) for v in np.rint((middle + sign * reach) * 16)) for sign in (-1, 1)]
    cv2.line(line, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    worn = cv2.GaussianBlur(line, (0, 0), 0.5).astype(np.float32) * np.float32(min(angle / 30, 1) * 0.6 / 255)
    for ink in inks:
        ink *= 1 - worn
