"""Boxes ``(x0, y0, x1, y1)`` in pixels, and what a detector returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.stage import RGB

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces found in one image, by falling score.

    Attributes:
        boxes: (N, 4) float32, ``x0, y0, x1, y1`` in pixels of the image; may reach beyond its border.
        scores: (N,) float32 in [0, 1].
        landmarks: (N, 5, 2) float32, pixels: the eye on the image's left, the other eye, nose tip, the mouth corner on the
            image's left, the other corner.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def none() -> Faces:
        """No face."""
        return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))

    def largest(self) -> int:
        """Index of the face with the largest box; the better score wins where two are equally large."""
        width, height = self.boxes[:, 2] - self.boxes[:, 0], self.boxes[:, 3] - self.boxes[:, 1]
        return int(np.argmax(width * height))

    def scaled(self, x: float, y: float) -> Faces:
        """The same faces in an image whose sides are ``x`` and ``y`` times as long."""
        factors = np.array([x, y], np.float32)
        return Faces(self.boxes * np.tile(factors, 2), self.scores, self.landmarks * factors)


class Detector(Protocol):
    """Finds faces in one image. Images never share a forward pass, so a result cannot depend on company."""

    def __call__(self, image: RGB) -> Faces:
        """Faces of an H x W x 3 uint8 RGB image of any size."""
        ...


def suppress(boxes: Floats, scores: Floats, threshold: float, groups: Indices | None = None) -> Indices:
    """Greedy non-maximum suppression: a box goes if its IoU with a better box that stays is above ``threshold``.

    Args:
        boxes: (N, 4) corners.
        scores: (N,) above 0; equal scores keep their order.
        threshold: highest IoU that is tolerated, in [0, 1].
        groups: (N,) group of each box, 0 or more; boxes of different groups never suppress each other.

    Returns:
        indices of the boxes that stay, by falling score.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.int64)
    rectangles = boxes.astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    if groups is None:
        kept = cv2.dnn.NMSBoxes(rectangles, scores, 0.0, threshold)  # type: ignore[arg-type]
    else:
        kept = cv2.dnn.NMSBoxesBatched(rectangles, scores, groups.astype(np.int32), 0.0, threshold)  # type: ignore[arg-type]
    order = np.asarray(kept, np.int64).reshape(-1)
    return order[np.argsort(-scores[order], kind="stable")]


def suppress_contained(boxes: Floats, scores: Floats, threshold: float) -> Indices:
    """Greedy suppression that measures the intersection against the smaller box (MTCNN's last step), in whole pixels.

    A box that lies inside a better one goes, however small its IoU. Areas count both border pixels, as MTCNN does. Meant
    for the few boxes that reach the last step: it compares all pairs.

    Returns:
        indices of the boxes that stay, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_boxes = boxes[order]
    low = np.maximum(sorted_boxes[:, None, :2], sorted_boxes[None, :, :2])
    high = np.minimum(sorted_boxes[:, None, 2:], sorted_boxes[None, :, 2:])
    shared = np.clip(high - low + 1, 0, None).prod(-1)
    area = (sorted_boxes[:, 2:] - sorted_boxes[:, :2] + 1).prod(-1)
    clashes = shared > threshold * np.minimum(area[:, None], area[None, :])
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~clashes[i, i + 1 :]
    return order[alive].astype(np.int64)


def squared(boxes: Floats) -> Floats:
    """Boxes grown to squares about their centres."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(1, keepdims=True)
    low = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([low, low + side], 1)


def refined(boxes: Floats, offsets: Floats) -> Floats:
    """Boxes moved by MTCNN's regression: each corner by a fraction of the side, borders counted."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + offsets * np.tile(size, (1, 2))
