"""What belongs together among the mesh's points, by number; right and left are the person's own."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from fasgen.errors import WeightsError
from fasgen.stages.weights import embedded

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

NOSE = 4
"""The point at the tip of the nose: the one nearest to where RetinaFace has it."""


class Topology(NamedTuple):
    """Numbers of points.

    Attributes:
        triangles: (898, 3), which cover the face without a hole, eyes and mouth included.
        mirror: (468,), the point that each becomes in a mirror image.
        oval: (36,), the rim of the face, in order round it.
        eyes: (2, 16), the lids of the right eye, then of the left one.
        brows: (2, 10), likewise.
        mouth: (2,), the right corner, then the left one.
    """

    triangles: Indices
    mirror: Indices
    oval: Indices
    eyes: Indices
    brows: Indices
    mouth: Indices


@lru_cache(maxsize=1)
def topology() -> Topology:
    """The mesh's topology, as it comes with the network.

    Raises:
        WeightsError: if this installation lacks it.
    """
    path = embedded("facemesh") / "topology.safetensors"
    try:
        return Topology(**{name: values.astype(np.int64) for name, values in load_file(path).items()})
    except (OSError, SafetensorError, TypeError) as error:
        raise WeightsError(f"{path}: not readable ({error}); install fasgen anew") from error


def five(mesh: Floats) -> Floats:
    """The five landmarks that align finds, of a mesh: (5, 2) of (468, 2 or more).

    The eye on the image's left of an upright face, the other one, tip of the nose, corner of the mouth on the left, the other.
    """
    known, xy = topology(), mesh[:, :2]
    return np.stack([*(xy[eye].mean(0) for eye in known.eyes), xy[NOSE], *xy[known.mouth]])


def mirrored(mesh: Floats, width: int) -> Floats:
    """Mesh of the mirror image of a picture of ``width`` px, points named anew."""
    flipped = mesh[topology().mirror]
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped
