"""Where the face is in a crop, from what a sample's JSON says of its geometry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

HALF_HEIGHT, HALF_WIDTH = 1.25, 1.0
"""Half axes of the ellipse in distances from eyes to mouth, as in the statistics of the residual: from brows to chin."""


def face_mask(meta: Mapping[str, Any], height: int, width: int) -> torch.Tensor:
    """(1, height, width) float32: 1 inside an ellipse that turns with the face, 0 outside.

    The ellipse is about the middle between eyes and mouth, of five landmarks: it stands for the parsed face of AG-FAS's
    ablation, for which a further network would be needed. 1 everywhere, where landmarks are not known or it lies outside.

    Args:
        meta: a sample's JSON; of its ``geometry`` landmarks (10 numbers, px of the source) and transform (6 numbers, source
            to crop) are read.
        height, width: of the crop, px.
    """
    geometry = meta.get("geometry") or {}
    landmarks, transform = geometry.get("landmarks"), geometry.get("transform")
    whole = torch.ones(1, height, width)
    if not landmarks or not transform:
        return whole
    matrix = np.asarray(transform, np.float64).reshape(2, 3)
    points = np.asarray(landmarks, np.float64).reshape(5, 2) @ matrix[:, :2].T + matrix[:, 2]
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    size = float(np.hypot(*down))
    if not size >= 1e-6:
        return whole
    down, centre = down / size, (eyes + mouth) / 2
    dy, dx = np.arange(height)[:, None] - centre[1], np.arange(width)[None] - centre[0]
    along = (dx * down[0] + dy * down[1]) / (HALF_HEIGHT * size)
    across = (dx * down[1] - dy * down[0]) / (HALF_WIDTH * size)
    inside = along**2 + across**2 <= 1
    return torch.from_numpy(inside.astype(np.float32))[None] if inside.any() else whole
