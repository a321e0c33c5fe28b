"""Area-averaged resampling of one image from its summed-area table: any level, any crop, each pixel read once.

The averages are those of adaptive average pooling: output cell i of n over s pixels is the mean of pixels
``floor(i s / n)`` to ``ceil((i + 1) s / n)``. Sums are exact integers, so the same image gives the same values in whatever
order they are asked for (Crow, *Summed-area tables for texture mapping*, 1984).
"""

from __future__ import annotations

from functools import lru_cache

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
    """The summed-area table of an H x W x 3 uint8 image on ``device``.

    A cell of the table holds a fourth number that is not used: so it fills 16 bytes, which are read at once.
    """

    def __init__(self, image: RGB, device: torch.device) -> None:
        self.height, self.width = image.shape[:2]
        depth = cv2.CV_32S if self.height * self.width < _EXACT else cv2.CV_64F
        padded = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2RGBA)
        self._table = torch.from_numpy(cv2.integral(padded, sdepth=depth)).to(device)
        self._device = device

    def level(self, out: torch.Tensor) -> None:
        """Write the whole image, resized to h x w and brought to [-1, 1], into ``out`` (h, w, 3) float32."""
        height, width = out.shape[:2]
        top, bottom, tall = _bins(height, self.height, 1, self._device)
        left, right, wide = _bins(width, self.width, 4, self._device)
        bands = _taken(self._table, bottom, 0).sub_(_taken(self._table, top, 0))
        sums = _taken(bands, right, 1).sub_(_taken(bands, left, 1))
        _write_means(sums, wide, tall[:, None], out)

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
        share = 1.0 / (high - low)
        stride = self.width + 1
        top, bottom = low[:, 1, :, None] * stride, high[:, 1, :, None] * stride
        left, right = low[:, 0, None, :], high[:, 0, None, :]
        flat = self._table.view(-1, 4)

        def corner(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
            return _taken(flat, (rows + columns).view(-1), 0)

        sums = corner(bottom, right).sub_(corner(top, right)).sub_(corner(bottom, left)).add_(corner(top, left))
        crops = torch.empty(len(corners), side, side, 3, device=self._device)
        wide, tall = share[:, 0].repeat_interleave(4, 1)[:, None], share[:, 1, :, None]
        _write_means(sums.view(-1, side, side, 4), wide, tall, crops)
        return crops.permute(0, 3, 1, 2)


@lru_cache(maxsize=512)
def _bins(cells: int, size: int, repeats: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """First and one past the last pixel of each of ``cells`` output cells over ``size`` pixels, and a pixel's share of a cell.

    The shares are repeated in place ``repeats`` times.
    """
    cell = torch.arange(cells, device=device)
    low, high = cell * size // cells, -((-(cell + 1) * size) // cells)
    return low, high, (1.0 / (high - low)).repeat_interleave(repeats)


def _taken(table: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    """``table.index_select(axis, index)``; numpy's is three times as fast on a CPU, for entries of 16 bytes."""
    if table.device.type != "cpu":
        return table.index_select(axis, index)
    return torch.from_numpy(np.take(table.numpy(), index.numpy(), axis))


def _write_means(sums: torch.Tensor, wide: torch.Tensor, tall: torch.Tensor, out: torch.Tensor) -> None:
    """Write the means of cells, in [-1, 1], into ``out``.

    Args:
        sums: (..., h, w, 4) sums of levels.
        wide: (..., 4 w) shares of a pixel in its cell across, broadcast against (..., h, 4 w).
        tall: (..., h, 1) shares down.
        out: (..., h, w, 3) float32.
    """
    means = (sums.flatten(-2) * wide).mul_(tall * _UNIT).sub_(1.0 - _UNIT / 2).to(torch.float32)
    if out.device.type == "cpu":
        # It takes two axes and a fourth of colours, so windows lie one below the other.
        flat = (-1, *sums.shape[-2:])
        cv2.cvtColor(means.view(flat).numpy(), cv2.COLOR_RGBA2RGB, dst=out.view(-1, *out.shape[-2:]).numpy())
    else:
        out.copy_(means.view(sums.shape)[..., :3])
