"""Area-averaged resampling of one image from its summed-area table: any level, any crop, each pixel read once.

The averages are those of adaptive average pooling: output cell i of n over s pixels is the mean of pixels
``floor(i s / n)`` to ``ceil((i + 1) s / n)``. Sums are exact integers, so the same image gives the same values in whatever
order they are asked for (Crow, *Summed-area tables for texture mapping*, 1984).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.stages.stage import RGB

_EXACT = 2**31 // 255
"""Pixels up to which sums of 8-bit levels fit 32 bits."""

_UNIT = 1 / 128
"""Value of one level: MTCNN takes (level - 127.5) / 128."""


class Areas:
    """The summed-area table of an H x W x 3 uint8 image on ``device``."""

    def __init__(self, image: RGB, device: torch.device) -> None:
        self.height, self.width = image.shape[:2]
        depth = cv2.CV_32S if self.height * self.width < _EXACT else cv2.CV_64F
        self._table = torch.from_numpy(cv2.integral(np.ascontiguousarray(image), sdepth=depth)).to(device)
        self._device = device

    def level(self, out: torch.Tensor) -> None:
        """Write the whole image, resized to h x w and brought to [-1, 1], into ``out`` (h, w, 3) float32."""
        height, width = out.shape[:2]
        top, bottom = self._bins(height, self.height)
        left, right = self._bins(width, self.width)
        bands = self._table.index_select(0, bottom).sub_(self._table.index_select(0, top))
        sums = bands.index_select(1, right).sub_(bands.index_select(1, left))
        weight = (_UNIT / (bottom - top))[:, None, None] * (1.0 / (right - left))[None, :, None]
        torch.mul(sums, weight, out=out)
        out.sub_(1.0 - _UNIT / 2)

    def crops(self, corners: NDArray[np.int64], side: int) -> torch.Tensor:
        """Crops resized to side x side, stretched where they are not square.

        Args:
            corners: (K, 4) pixels ``x0, y0, x1, y1`` inside the image, the last two exclusive, ``x0 < x1``, ``y0 < y1``.
            side: pixels.

        Returns:
            (K, 3, side, side) float32 in [-1, 1], channels last.
        """
        box = torch.from_numpy(corners).to(self._device)
        cell = torch.arange(side, device=self._device)
        size = (box[:, 2:] - box[:, :2])[:, :, None]
        low = box[:, :2, None] + cell * size // side
        high = box[:, :2, None] - (-(cell + 1) * size) // side
        stride = self.width + 1
        top, bottom = low[:, 1, :, None] * stride, high[:, 1, :, None] * stride
        left, right = low[:, 0, None, :], high[:, 0, None, :]
        flat = self._table.view(-1, 3)

        def corner(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            return flat.index_select(0, (rows + columns).view(-1))

        sums = corner(bottom, right).sub_(corner(top, right)).sub_(corner(bottom, left)).add_(corner(top, left))
        extent = high - low
        cells = extent[:, 1, :, None, None] * extent[:, 0, None, :, None]
        means = sums.view(len(corners), side, side, 3) * (_UNIT / cells)
        return means.to(torch.float32).sub_(1.0 - _UNIT / 2).permute(0, 3, 1, 2)

    def _bins(self, cells: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """First and one past the last pixel of each of ``cells`` output cells over ``size`` pixels."""
        cell = torch.arange(cells, device=self._device)
        return cell * size // cells, -((-(cell + 1) * size) // cells)
