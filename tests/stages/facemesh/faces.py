"""A portrait that comes with fasgen, and its five landmarks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from fasgen.stages.align.template import cut, similarity, target
from fasgen.stages.stage import RGB
from fasgen.stages.weights import WEIGHTS

FIVE = np.array([[159.0, 78.0], [194.0, 81.0], [175.0, 102.0], [157.0, 110.0], [190.0, 111.0]])

Points = np.ndarray[Any, np.dtype[np.float64]]


def portrait() -> RGB:
    """400 x 400 px."""
    image = cv2.imread(str(WEIGHTS.parent / "portraits" / "eileen_collins.jpg"))
    assert image is not None
    return np.ascontiguousarray(image[:, :, ::-1])


def crop(size: int = 112, turned: float = 0.0) -> tuple[RGB, Points]:
    """The portrait aligned to ArcFace's template and turned by an angle, and the five landmarks in it."""
    way = similarity(FIVE, target("arcface", size))
    cosine, sine = np.cos(turned), np.sin(turned)
    about = np.array([[cosine, -sine], [sine, cosine]])
    middle = (size - 1) / 2
    way = about @ way
    way[:, 2] += middle - about @ (middle, middle)
    return cut(portrait(), way, size, "reflect"), FIVE @ way[:, :2].T + way[:, 2]


def unit(*images: RGB) -> Tensor:
    """(B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
