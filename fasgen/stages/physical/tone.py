"""Between 8-bit sRGB levels and linear light (IEC 61966-2-1), both ways by table."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.stage import RGB

Plane = NDArray[np.float32]
"""Height x width, or height x width x channels."""

_STEPS = 1 << 14


def _to_linear(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _to_encoded(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


_LINEAR = _to_linear(np.arange(256) / 255)
_LEVELS = np.rint(_to_encoded(np.arange(_STEPS) / (_STEPS - 1)) * 255).astype(np.uint8)


def decode(image: RGB, gamma: float = 0.0) -> Plane:
    """Linear light in [0, 1] of 8-bit levels; ``gamma`` is added to the exponent of 2.2 that sRGB comes near."""
    table = _LINEAR ** (1 + gamma / 2.2)
    return np.asarray(cv2.LUT(image, table.astype(np.float32)), np.float32)


def encode(light: Plane) -> RGB:
    """8-bit sRGB levels of linear light; what lies outside [0, 1] is clipped."""
    index = np.clip(light, 0, 1)
    index *= _STEPS - 1
    index += 0.5
    return _LEVELS[index.astype(np.uint16)]


def blurred(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur of standard deviation ``sigma`` px; below a sixth of a px nothing would be left to see of it."""
    return plane if sigma < 1 / 6 else np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
