"""The face mesh of a portrait, turned as a head turns: what is behind is then hidden, and triangles fold over each other."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fasgen.stages.facemesh.finder import FaceMesh
from tests.stages.facemesh.faces import crop, unit

Points = np.ndarray[Any, np.dtype[np.float64]]


@lru_cache(maxsize=1)
def _portrait() -> Points:
    image, points = crop(112)
    (mesh,) = FaceMesh(torch.device("cpu"))(unit(image), [points])
    assert mesh is not None
    return mesh


def mesh(yaw: float = 0.0, scale: float = 1.0) -> Points:
    """The portrait's mesh in a crop of 112 px, turned about the upright axis through its middle, in radians, and scaled."""
    found = _portrait()
    middle = found.mean(0)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return (found - middle) @ turn.T * scale + middle
