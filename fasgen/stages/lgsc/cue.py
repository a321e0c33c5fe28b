"""The spoof cue map as integers, its score, and a picture of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.lgsc.config import FULL
from fasgen.stages.stage import RGB


def to_integers(cue: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """``rint(32767 cue)`` of a map in [-1, 1]; `from_integers` gives it back to within half a step, 1 / 65534."""
    levels: NDArray[np.int16] = np.rint(np.clip(cue, -1, 1).astype(np.float64) * FULL).astype(np.int16)
    return levels


def from_integers(levels: NDArray[np.int16]) -> NDArray[np.float32]:
    """The map in [-1, 1]."""
    cue: NDArray[np.float32] = (levels.astype(np.float64) / FULL).astype(np.float32)
    return cue


def score(levels: NDArray[np.int16]) -> float:
    """Mean absolute value of the map, in [0, 1]; high for a spoof (LGSC, section 3.4).

    Eq. 10 of the paper writes an L1 norm where its text and its threshold mean the mean.
    """
    return float(np.abs(levels.astype(np.int32)).mean() / FULL)


def overlay(crop: RGB, levels: NDArray[np.int16]) -> RGB:
    """The crop, reddened by the map's magnitude ``a`` (mean over channels): ``(1 - a) crop + a (255, 0, 0)``."""
    a = np.abs(levels.astype(np.float32)).mean(2, keepdims=True) / FULL
    red = np.array([255.0, 0.0, 0.0], np.float32)
    mixed: RGB = np.rint((1 - a) * crop.astype(np.float32) + a * red).astype(np.uint8)
    return mixed
