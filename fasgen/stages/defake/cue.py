"""The residual cue and its statistics (AG-FAS III-C)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.stage import RGB

HALF_HEIGHT, HALF_WIDTH = 1.25, 1.0
"""Half axes of the face ellipse in distances from eyes to mouth: up to the brows, down to the chin."""


def residual(crop: RGB, reconstruction: RGB) -> NDArray[np.int16]:
    """``crop - reconstruction`` in levels, -255..255, so that ``crop - residual`` is the reconstruction bit for bit."""
    return crop.astype(np.int16) - reconstruction.astype(np.int16)


def face_ellipse(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Mask (height, width) of the face from five points.

    Args:
        points: (5, 2) x, y in crop pixels: eyes, nose, mouth corners.
        height: of the crop.
        width: of the crop.

    Returns:
        true inside an ellipse that turns with the face, about the middle between eyes and mouth; true everywhere if the
        points coincide.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    size = float(np.hypot(*down))
    if size < 1e-6:
        return np.ones((height, width), np.bool_)
    down = down / size
    centre = (eyes + mouth) / 2
    y, x = np.mgrid[:height, :width]
    dx, dy = x - centre[0], y - centre[1]
    along = (dx * down[0] + dy * down[1]) / (HALF_HEIGHT * size)
    across = (dx * down[1] - dy * down[0]) / (HALF_WIDTH * size)
    inside: NDArray[np.bool_] = along**2 + across**2 <= 1
    return inside if inside.any() else np.ones((height, width), np.bool_)


def crop_points(landmarks: Sequence[float], transform: Sequence[float]) -> NDArray[np.float64]:
    """Landmarks (10 numbers: x, y in source pixels) through the 2 x 3 transform (6 numbers) to crop pixels (5, 2)."""
    matrix = np.asarray(transform, np.float64).reshape(2, 3)
    return np.asarray(landmarks, np.float64).reshape(5, 2) @ matrix[:, :2].T + matrix[:, 2]


def statistics(cue: NDArray[np.int16], face: NDArray[np.bool_]) -> dict[str, float]:
    """Mean, deviation and mean absolute value over everything, mean square inside ``face``; in levels."""
    values = cue.astype(np.float64)
    return {
        "residual_mean": float(values.mean()),
        "residual_std": float(values.std()),
        "residual_abs_mean": float(np.abs(values).mean()),
        "residual_energy_face": float(np.square(values[face]).mean()),
    }
