"""Made-up faces for benchmarks: what a stage costs does not depend on what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fasgen.stages.stage import Sample

POINTS = (0.34, 0.46, 0.66, 0.46, 0.5, 0.64, 0.37, 0.82, 0.63, 0.82)
"""ArcFace's five landmarks as fractions of the crop's side."""


SIDE = 112
"""Side of a crop, px, where nothing else is said: what the embedded networks take."""


def pictures(count: int, side: int = SIDE) -> list[np.ndarray[Any, Any]]:
    """Smooth pictures, side x side RGB."""
    import cv2

    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (7, 7, 3), np.uint8) for _ in range(count)]
    return [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in small]


def placed(side: int) -> dict[str, Any]:
    """Landmarks of an upright crop, and the transform that made it of itself."""
    return {"landmarks": [side * part for part in POINTS], "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}


def identity_map(seed: int) -> np.ndarray[Any, Any]:
    """512 x 7 x 7, standard normal."""
    return np.random.default_rng(seed).standard_normal((512, 7, 7)).astype(np.float16)


def batch_of(images: Sequence[np.ndarray[Any, Any]]) -> list[Sample]:
    """A full batch as defake receives it."""
    return [
        Sample(f"{slot:016x}", slot, slot, {"crop": image}, {"identity_map": identity_map(slot)}, values=placed(len(image)))
        for slot, image in enumerate(images)
    ]
