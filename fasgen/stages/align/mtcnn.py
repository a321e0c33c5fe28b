"""MTCNN: a pyramid of proposals, refined twice, in batched torch.

One image at a time goes through the cascade, so a face's numbers are the same bytes whatever else the batch holds. Nothing is
lost by that: the work of a face detector lies in the pyramid, whose levels differ in size from image to image, and small
working sets stay in the cache.

All levels and all windows are read from one summed-area table (`areas.py`), so the image is visited once; scores are
compared as logits, and box offsets are computed only where a score passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fasgen.stages.align.areas import Areas
from fasgen.stages.align.boxes import Faces, Floats, refined, squared, suppress, suppress_contained
from fasgen.stages.align.mtcnn_networks import ONet, PNet, RNet, in_chunks
from fasgen.stages.align.pyramid import STRIDE, WINDOW, Sheet, layout
from fasgen.stages.network_folder import fill_network
from fasgen.stages.stage import RGB
from fasgen.stages.weights import embedded


@dataclass(frozen=True, slots=True)
class Cascade:
    """The numbers of the cascade; the defaults are those of the common implementations.

    Attributes:
        min_face: smallest face that is looked for, px.
        factor: ratio of one pyramid level to the one before.
        thresholds: lowest face probability after the first, second and third network.
    """

    min_face: float = 20.0
    factor: float = 0.709
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)


class MTCNN:
    """The detector, with the weights of its authors' release."""

    def __init__(self, cascade: Cascade, device: torch.device) -> None:
        self.cascade = cascade
        self.device = device
        self.pnet, self.rnet, self.onet = PNet(), RNet(), ONet()
        networks = nn.ModuleDict({"pnet": self.pnet, "rnet": self.rnet, "onet": self.onet})
        fill_network(networks, embedded("mtcnn"))
        networks.requires_grad_(False).eval().to(device)
        networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Working sets that stay in the cache of a CPU; launches that fill the chip elsewhere.
        self._band_cells = 65_536 if device.type == "cpu" else 1 << 24
        # Windows a chunk, and what the number in the last one is a multiple of.
        self._chunks = ((32, 4), (8, 1)) if device.type == "cpu" else ((256, 64), (64, 16))

    @torch.inference_mode()
    def __call__(self, image: RGB) -> Faces:
        """Faces of an H x W x 3 uint8 RGB image of any size, by falling score."""
        areas = Areas(image, self.device)
        boxes = self._proposed(areas)
        boxes = self._refined(areas, boxes)
        return self._output(areas, boxes)

    def _proposed(self, areas: Areas) -> Floats:
        """First network: squares (N, 4)."""
        plan = layout(areas.height, areas.width, self.cascade.min_face, self.cascade.factor)
        if plan is None:
            return np.zeros((0, 4), np.float32)
        found = np.concatenate([part for sheet in plan.sheets for part in self._candidates(areas, sheet)])
        found = found[np.argsort(found[:, 0], kind="stable")]
        level, cell, score, offset = found[:, 0].astype(np.int64), found[:, 1:3], _sigmoid(found[:, 3]), found[:, 4:]
        table = np.array([(of.x // STRIDE, of.y // STRIDE, of.scale) for of in plan.levels], np.float32)[level]
        corner, scale = (cell - table[:, :2]) * STRIDE, table[:, 2:]
        boxes = np.concatenate([np.floor((corner + 1) / scale), np.floor((corner + WINDOW) / scale)], 1)
        kept = suppress(boxes, score, 0.5, level)
        kept = kept[suppress(boxes[kept], score[kept], 0.7)]
        boxes, offset = boxes[kept], offset[kept]
        size = boxes[:, 2:] - boxes[:, :2]
        return squared(boxes + offset * np.tile(size, (1, 2)))

    def _candidates(self, areas: Areas, sheet: Sheet) -> Iterator[Floats]:
        """Cells of a sheet that may be faces, by bands of its rows: (N, 8) of level, x, y, logit, offsets of the box."""
        canvas = sheet.paint(areas, self.device)
        limit = _logit(self.cascade.thresholds[0])
        step = max(self._band_cells // sheet.width, WINDOW)
        for first in range(0, len(sheet.owner), step):
            last = min(first + step, len(sheet.owner))
            top, bottom = first * STRIDE, (last - 1) * STRIDE + WINDOW
            logits, features = self.pnet(canvas[:, :, top:bottom], sheet.edges(top, bottom - 2))
            owner = sheet.owner[first:last].ravel()
            cell = np.flatnonzero((logits >= limit).view(-1).cpu().numpy() & (owner >= 0))
            at = torch.from_numpy(cell).to(self.device)
            features = features.reshape(-1, features.shape[-1]).index_select(0, at)
            logits = logits.reshape(-1, 1).index_select(0, at)
            y, x = np.divmod(cell, sheet.owner.shape[1])
            place = np.stack([owner[cell], x, y + first], 1, dtype=np.float32, casting="same_kind")
            yield np.concatenate([place, logits.cpu().numpy(), self.pnet.box(features).cpu().numpy()], 1)

    def _refined(self, areas: Areas, boxes: Floats) -> Floats:
        """Second network: squares (N, 4)."""
        boxes, out = self._looked_at(areas, boxes, self.rnet, self._chunks[0], self.cascade.thresholds[1])
        kept = suppress(boxes, _sigmoid(out[:, 4]), 0.7)
        return squared(refined(boxes[kept], out[kept, :4]))

    def _output(self, areas: Areas, boxes: Floats) -> Faces:
        """Third network: faces."""
        boxes, out = self._looked_at(areas, boxes, self.onet, self._chunks[1], self.cascade.thresholds[2])
        size = boxes[:, None, 2:] - boxes[:, None, :2] + 1
        points = out[:, 4:14].reshape(-1, 2, 5).transpose(0, 2, 1) * size + boxes[:, None, :2] - 1
        score = _sigmoid(out[:, 14])
        boxes = refined(boxes, out[:, :4])
        kept = suppress_contained(boxes, score, 0.7)
        return Faces(boxes[kept], score[kept], np.ascontiguousarray(points[kept]))

    def _looked_at(
        self, areas: Areas, boxes: Floats, network: RNet | ONet, chunks: tuple[int, int], threshold: float
    ) -> tuple[Floats, Floats]:
        """The boxes that a network takes for faces, and its outputs (N, ...) for them."""
        corners, inside = _pixels(boxes, areas)
        boxes, corners = boxes[inside], corners[inside]
        if len(boxes) == 0:
            return boxes, np.zeros((0, network.heads.out_features), np.float32)
        out = in_chunks(network, areas.crops(corners, network.SIDE), *chunks).cpu().numpy()
        passed = out[:, -1] > _logit(threshold)
        return boxes[passed], out[passed]


def _pixels(boxes: Floats, areas: Areas) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pixel ranges (N, 4) of boxes cut off at the image's border, and which of them hold a pixel.

    Boxes count pixels from 1 and include both ends, as in the original release.
    """
    corners = np.trunc(boxes).astype(np.int64)
    corners[:, :2] = np.maximum(corners[:, :2], 1) - 1
    corners[:, 2:] = np.minimum(corners[:, 2:], (areas.width, areas.height))
    return corners, np.asarray((corners[:, 2:] > corners[:, :2]).all(1))


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _sigmoid(logits: Floats) -> Floats:
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
