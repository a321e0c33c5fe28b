"""What landmarks say of a face: a pseudo-depth, and the regions that an attack may or may not replace.

STDN+ takes 140 vertices of a fitted 3D face; here a mesh of 468 points with depth says the same. Where no face is seen, the
five points of align stand in: depth is a dome over the face with a nose, and regions are bands of an ellipse that turns with
it. Wide cheeks, an open mouth or a turned head are followed less well.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.defake.cue import HALF_HEIGHT, HALF_WIDTH
from fasgen.stages.facemesh import topology
from fasgen.stages.stdn.raster import cover
from fasgen.stages.stdn.warp import FIVE

DEPTH_SIDE = 32
"""K of the paper: side of the depth map."""

_NOSE = 0.25
"""Width of the nose, and its height over the dome, in distances from eyes to mouth and in depths of the face."""
_EYE_BAND = 0.35
"""Half height of the band of the eyes, in distances from eyes to mouth."""

Region = Literal["whole", "face", "eyes", "mouth"]
"""What an attack may replace: nothing (all of the image is additive), the face, the band of the eyes, the lower face."""

_REGIONS: dict[str, Region] = {
    "mask": "face",
    "makeup": "face",
    "make-up": "face",
    "wax": "face",
    "fake_head": "face",
    "mannequin": "face",
    "glasses": "eyes",
    "eye": "eyes",
    "mouth": "mouth",
    "partial": "face",
}


def region_of(attack: str, family: str | None = None) -> Region:
    """The region of an attack; prints, replays and what is unknown are additive.

    Args:
        attack: its type, in which a word says it where nobody knows the family.
        family: as `fasgen.sources.adapters.table.Family` lists them; of parts of a face the type says which.
    """
    name = attack.lower() if family in (None, "", "partial", "other") else str(family)
    return next((region for word, region in _REGIONS.items() if word in name), "face" if family == "partial" else "whole")


def _frame(points: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Places along the face's axis and across it, in distances from eyes to mouth; 0 midway between them."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    size = max(float(np.hypot(*down)), 1e-6)
    down = down / size
    dx, dy = x - (eyes[0] + mouth[0]) / 2, y - (eyes[1] + mouth[1]) / 2
    return (dx * down[0] + dy * down[1]) / size, (dx * down[1] - dy * down[0]) / size


def pseudo_depth(points: NDArray[np.float64], height: int, width: int, side: int = DEPTH_SIDE) -> NDArray[np.float32]:
    """M0 of a live face: (side, side) in [0, 1], 1 nearest to the camera, 0 off the face.

    Args:
        points: in px of a height x width image, a mesh (468, 3) or five landmarks (5, 2): eyes, nose, mouth corners.
        height: of the image.
        width: of the image.
        side: K.
    """
    raised = _dome(points, height, width, side) if len(points) == FIVE else _relief(points, height, width, side)
    return (raised / max(float(raised.max()), 1e-6)).astype(np.float32)


def _dome(points: NDArray[np.float64], height: int, width: int, side: int) -> NDArray[np.float64]:
    centres = (np.arange(side) + 0.5) / side
    y, x = np.meshgrid(centres * height - 0.5, centres * width - 0.5, indexing="ij")
    along, across = _frame(points, y, x)
    dome = np.sqrt(np.clip(1 - (along / HALF_HEIGHT) ** 2 - (across / HALF_WIDTH) ** 2, 0, None))
    nose_along, nose_across = _frame(points, *(points[2:3, k] for k in (1, 0)))
    distance = (along - nose_along) ** 2 + (across - nose_across) ** 2
    return np.asarray(dome * (1 + _NOSE * np.exp(-distance / (2 * _NOSE**2))))


def _relief(mesh: NDArray[np.float64], height: int, width: int, side: int) -> NDArray[np.float64]:
    """How much nearer the face is than its farthest point, as a share of its depth, in means over the map's cells."""
    z = mesh[:, 2]
    raised = (z.max() - z) / max(float(np.ptp(z)), 1e-6)
    seen = cover(mesh[:, :2], topology.topology().triangles, z, height, width)
    picture = np.zeros(height * width)
    picture[seen.pixels] = seen.of(raised)
    return np.asarray(cv2.resize(picture.reshape(height, width), (side, side), interpolation=cv2.INTER_AREA))


def untouched(region: Region, points: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """P0: (height, width), 1 where an attack of this region must not be taken for a replacement, else 0.

    Args:
        region: what the attack may replace.
        points: as above.
        height: of the image.
        width: of the image.
    """
    if region == "whole":
        return np.ones((height, width), np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    landmarks, band = points, _EYE_BAND
    if len(points) == FIVE:
        along, across = _frame(points, y, x)
        inside = (along / HALF_HEIGHT) ** 2 + (across / HALF_WIDTH) ** 2 <= 1
    else:
        known = topology.topology()
        landmarks = topology.five(points)
        along, _ = _frame(landmarks, y, x)
        inside = np.zeros((height, width), np.bool_)
        inside.flat[cover(points[:, :2], known.triangles, points[:, 2], height, width).pixels] = True
        # As far below the eyes as the brows reach above them.
        brows, _ = _frame(landmarks, *(points[known.brows.ravel(), k] for k in (1, 0)))
        band = float(np.abs(brows + 0.5).max())
    if region == "eyes":
        inside &= np.abs(along + 0.5) <= band
    elif region == "mouth":
        inside &= along >= _frame(landmarks, *(landmarks[2:3, k] for k in (1, 0)))[0]
    return (~inside).astype(np.float32)


def mirrored(points: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Landmarks of the mirror image, left and right named anew."""
    if len(points) != FIVE:
        return topology.mirrored(points, width)
    flipped = points[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped
