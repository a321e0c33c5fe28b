"""The residual cue and its statistics (AG-FAS III-C), of whole batches, on the device that made the reconstructions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF_HEIGHT, HALF_WIDTH = 1.25, 1.0
"""Half axes of the face ellipse in distances from eyes to mouth: up to the brows, down to the chin."""


def residuals(crops: Tensor, reconstructions: Tensor) -> Tensor:
    """``crop - reconstruction`` in levels, int16 in -255..255, so that ``crop - residual`` is the reconstruction bit for bit.

    Args:
        crops: (B, H, W, 3) uint8.
        reconstructions: (B, H, W, 3) uint8.
    """
    return crops.to(torch.int16) - reconstructions.to(torch.int16)


def face_ellipses(points: Tensor, height: int, width: int) -> Tensor:
    """Masks (B, height, width) of faces from five points.

    Args:
        points: (B, 5, 2) float64 x, y in crop pixels: eyes, nose, mouth corners.
        height: of the crops.
        width: of the crops.

    Returns:
        true inside an ellipse that turns with the face, about the middle between eyes and mouth; true everywhere if the
        points coincide or the ellipse lies outside of the crop.
    """
    eyes, mouth = points[:, :2].mean(1), points[:, 3:].mean(1)
    down = mouth - eyes
    size = torch.hypot(down[:, 0], down[:, 1])[:, None]
    known = size[:, 0] >= 1e-6
    size = torch.where(known[:, None], size, 1.0)
    down, centre = (down / size)[:, :, None, None], ((eyes + mouth) / 2)[:, :, None, None]
    dy = torch.arange(height, device=points.device, dtype=points.dtype)[None, :, None] - centre[:, 1]
    dx = torch.arange(width, device=points.device, dtype=points.dtype)[None, None, :] - centre[:, 0]
    size = size[:, :, None]
    along = (dx * down[:, 0] + dy * down[:, 1]) / (HALF_HEIGHT * size)
    across = (dx * down[:, 1] - dy * down[:, 0]) / (HALF_WIDTH * size)
    inside = (along.square() + across.square() <= 1) & known[:, None, None]
    return inside | ~inside.any(2).any(1)[:, None, None]


def face_ellipse(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Mask (height, width) of one face from its points (5, 2); see `face_ellipses`."""
    mask: NDArray[np.bool_] = face_ellipses(torch.from_numpy(points)[None], height, width)[0].numpy()
    return mask


def crop_points(landmarks: Sequence[float], transform: Sequence[float]) -> NDArray[np.float64]:
    """Landmarks (10 numbers: x, y in source pixels) through the 2 x 3 transform (6 numbers) to crop pixels (5, 2)."""
    matrix = np.asarray(transform, np.float64).reshape(2, 3)
    return np.asarray(landmarks, np.float64).reshape(5, 2) @ matrix[:, :2].T + matrix[:, 2]


def sums(cues: Tensor, faces: Tensor) -> Tensor:
    """What the statistics follow from, in whole numbers, which no order of summation changes.

    Args:
        cues: (B, H, W, 3) int16.
        faces: (B, H, W) bool.

    Returns:
        (B, 5) int64: sums of values, of their magnitudes and of their squares, of squares inside the face, and how many values
        lie inside.
    """
    values = cues.long()
    square = values.square()
    inside = faces[..., None]
    parts = (values, values.abs(), square, square * inside, inside.expand_as(values))
    return torch.stack([part.flatten(1).sum(1) for part in parts], 1)


def statistics(row: NDArray[np.int64], count: int) -> dict[str, float]:
    """Mean, deviation and mean absolute value over everything, mean square inside the face; in levels.

    Args:
        row: (5,) of `sums`.
        count: values of a cue.
    """
    total, magnitude, square, inside, held = map(int, row)
    mean = total / count
    return {
        "residual_mean": mean,
        "residual_std": (square / count - mean**2) ** 0.5,
        "residual_abs_mean": magnitude / count,
        "residual_energy_face": inside / held,
    }
