"""Meshes of faces whose five landmarks are known: all of a batch by one sampling and one call of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fasgen.stages.align.template import similarity
from fasgen.stages.batching import Fetched, to_device
from fasgen.stages.facemesh.network import SIDE, FaceMeshNet
from fasgen.stages.network_folder import fill_network
from fasgen.stages.weights import embedded

Floats = NDArray[np.float64]

PRESENCE = 0.5
"""Probability of a face below which no mesh is given."""

INPUT = np.array([[72.2, 73.2], [119.8, 73.2], [96.0, 100.6], [76.8, 124.6], [115.2, 124.6]])
"""Where the five landmarks lie in the network's input, px of 192.

Their mean over faces that were cut as MediaPipe tracks them: an upright square of 1.5 times the mesh. There the points depend
least on the scale of what is cut.
"""


class FaceMesh:
    """Finds meshes.

    It computes in float32 whatever a run's type is: bfloat16 would round places to half a pixel.

    Args:
        device: where the network runs.

    Raises:
        WeightsError: if this installation lacks its weights.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._network = FaceMeshNet()
        fill_network(self._network, embedded("facemesh"))
        self._network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def __call__(self, images: Tensor, points: Sequence[Floats | None]) -> list[Floats | None]:
        """Meshes of a batch, each independent of its neighbours as long as the batch has the same shape.

        What lies beyond a picture is its border again, as MediaPipe has it: crops are often tighter than what is looked at.

        Args:
            images: (B, 3, H, W) in [0, 1], on the device.
            points: of each picture, the five landmarks (5, 2), x, y in px; ``None``: there is nothing to look for.

        Returns:
            of each picture (468, 3): x, y in its px, z in the same unit, smaller nearer to the camera; ``None`` where there was
            nothing to look for, where the landmarks coincide, or where the network sees no face.
        """
        ways = [None if five is None else _way(five) for five in points]
        n = max(1, math.ceil(max(images.shape[2:]) / SIDE))
        theta = np.stack([_theta(way, *images.shape[2:]) for way in ways]).astype(np.float32)
        grid = F.affine_grid(to_device(theta, self.device), [len(ways), 3, n * SIDE, n * SIDE], align_corners=False)
        seen = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        found, logits = self._network(F.avg_pool2d(seen, n) if n > 1 else seen)
        arrays = Fetched({"points": found, "presence": torch.sigmoid(logits)})()
        return [
            None if way is None or not presence >= PRESENCE else _back(mesh.astype(np.float64), way)
            for mesh, presence, way in zip(arrays["points"], arrays["presence"], ways, strict=True)
        ]


def _way(five: Floats) -> Floats | None:
    """(2, 3) matrix from the network's input to the picture; ``None`` where the landmarks coincide or are not finite."""
    try:
        return similarity(INPUT, five) if np.ptp(five, axis=0).max() > 1 else None
    except ValueError:
        return None


def _theta(way: Floats | None, height: int, width: int) -> Floats:
    """The matrix as torch's grids take it: both pictures from -1 to 1 between their outer edges."""
    matrix = np.eye(2, 3) if way is None else way
    middle = (SIDE - 1) / 2
    scaled = np.column_stack([matrix[:, :2] * (SIDE / 2), matrix @ (middle, middle, 1) + 0.5])
    return np.asarray(scaled * 2 / np.array([[width], [height]]) - [[0, 0, 1], [0, 0, 1]])


def _back(mesh: Floats, way: Floats) -> Floats:
    """Points of the input in the picture's px."""
    scale = math.hypot(way[0, 0], way[1, 0])
    return np.column_stack([mesh[:, :2] @ way[:, :2].T + way[:, 2], mesh[:, 2] * scale])
