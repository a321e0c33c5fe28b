"""Head pose from five landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.align.template import Points

HEAD: Points = np.array([[-31.5, -36.0, 0.0], [31.5, -36.0, 0.0], [0.0, 0.0, -28.0], [-26.0, 36.7, -6.0], [26.0, 36.7, -6.0]])
"""A mean head in mm: eyes, nose tip, mouth corners. x to the image's right, y down, z away from the camera. Seen from the
front it is ArcFace's template, made symmetric, at 63 mm between the eyes; the depths are those of an average adult."""

_CENTRED = HEAD - HEAD.mean(0)
_INVERSE: NDArray[np.float64] = np.linalg.pinv(_CENTRED)


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles of a head in degrees; all zero looks straight into the camera.

    Attributes:
        yaw: positive where the face turns to the image's right.
        pitch: positive where it looks up.
        roll: positive where it tilts clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


def head_pose(landmarks: Points) -> Pose:
    """Pose under a scaled orthographic camera: POS, the first step of DeMenthon and Davis (*Model-based object pose in 25
    lines of code*, 1995).

    Least squares gives the 2 x 3 matrix ``A`` that projects the mean head (5 x 3) onto the landmarks; the nearest pair of
    orthonormal rows to ``A`` (by its singular value decomposition) are the first two of the rotation ``R``, their cross
    product the third. With ``R = R_y(-yaw) R_x(-pitch) R_z(roll)``, the angles are read off row 2 and column 3. People's
    proportions differ from the mean head's, so expect a few degrees of error, most of it in pitch.

    Args:
        landmarks: (5, 2) pixels, in the order of ``Faces.landmarks``.
    """
    centred = landmarks - landmarks.mean(0)
    projection = (_INVERSE @ centred).T
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    first, second = left @ right
    third = np.cross(first, second)
    yaw = np.degrees(np.arctan2(-first[2], third[2]))
    pitch = np.degrees(np.arcsin(np.clip(second[2], -1, 1)))
    roll = np.degrees(np.arctan2(second[0], second[1]))
    return Pose(float(yaw), float(pitch), float(roll))
