"""Templates of five landmarks, the similarity transform onto them, and the crop it cuts."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.stage import RGB

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]

_ARCFACE_PX = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]

ARCFACE: Points = np.array(_ARCFACE_PX) / 112
"""ArcFace's template (Deng et al., 2019), published in pixels of a 112 px crop, as fractions of the side."""

AGFAS: Points = np.array([[0.3489, 0.2848], [0.6614, 0.2848], [0.4996, 0.4963], [0.3784, 0.7222], [0.6215, 0.7217]])
"""AG-FAS's template, as fractions of the side."""

TEMPLATES: dict[str, Points] = {"arcface": ARCFACE, "agfas": AGFAS}

_FINEST = 16


def target(template: str | tuple[tuple[float, float], ...], size: int, margin: float = 0.0) -> Points:
    """Where the five landmarks lie in a crop of ``size`` px: (5, 2).

    Args:
        template: a name of ``TEMPLATES`` or five pairs of fractions of the side.
        size: side of the crop, px.
        margin: extra surroundings on each side as a fraction of the template's side; the face shrinks accordingly.
    """
    fractions = TEMPLATES[template] if isinstance(template, str) else np.array(template, np.float64)
    return (0.5 + (fractions - 0.5) / (1 + 2 * margin)) * size


def similarity(source: Points, destination: Points) -> Matrix:
    """Least-squares similarity transform (rotation, uniform scale, shift; no mirror) of points in the plane.

    In the plane the problem of Umeyama (*Least-squares estimation of transformation parameters between two point patterns*,
    1991, Eqs. 40 to 43) has a closed form: with centred points as complex numbers p, q it is ``sum(conj(p) q) / sum(|p|^2)``.

    Args:
        source: (N, 2).
        destination: (N, 2).

    Returns:
        (2, 3) matrix that maps source to destination.

    Raises:
        ValueError: all source points coincide, or a coordinate is not finite.
    """
    p, q = source - source.mean(0), destination - destination.mean(0)
    spread = float((p * p).sum())
    if not (math.isfinite(spread) and spread > 1e-12 and np.isfinite(q).all()):
        raise ValueError("landmarks coincide or are not finite")
    cosine = float((p * q).sum()) / spread
    sine = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, destination.mean(0) - linear @ source.mean(0)])


def cut(image: RGB, transform: Matrix, size: int, border: Literal["black", "reflect"]) -> RGB:
    """The crop of ``size`` px that a similarity transform cuts out of an image, free of aliasing.

    Where the crop is smaller than what it shows, n x n points a pixel are interpolated, at most one source pixel apart, and
    averaged; so a large face does not bring moire or false sharpness into its crop, which a cue would pick up.

    Args:
        image: H x W x 3 uint8.
        transform: (2, 3), source pixels to crop pixels.
        size: side, px.
        border: black beyond the image, or its reflection.

    Returns:
        size x size x 3 uint8.
    """
    scale = math.hypot(transform[0, 0], transform[1, 0])
    n = min(max(math.ceil(1 / scale - 1e-6), 1), _FINEST) if scale > 0 else 1
    fine = transform * n
    fine[:, 2] += (n - 1) / 2
    mode = cv2.BORDER_CONSTANT if border == "black" else cv2.BORDER_REFLECT_101
    warped = cv2.warpAffine(image, fine, (size * n, size * n), flags=cv2.INTER_LINEAR, borderMode=mode)
    if n > 1:
        warped = cv2.resize(warped, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)
