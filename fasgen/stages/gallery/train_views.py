"""Windows and shifts of pictures by whole pixels, many at once: nothing is interpolated, no number is asked of the device."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(x: Tensor, by: Tensor) -> Tensor:
    """Images (B, C, H, W) whose pixel at a place is that of (B, 2) rows and columns further on; beyond the edge, the edge."""
    height, width = x.shape[2:]
    return window(x, by, height, width)


def window(x: Tensor, start: Tensor, height: int, width: int) -> Tensor:
    """Of images (B, C, H, W) the (B, C, height, width) that begin at (B, 2) rows and columns; beyond the edge, the edge."""
    rows = torch.arange(height, device=x.device) + start[:, :1]
    columns = torch.arange(width, device=x.device) + start[:, 1:]
    rows, columns = rows.clamp(0, x.shape[2] - 1), columns.clamp(0, x.shape[3] - 1)
    some = x.gather(2, rows[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
    return some.gather(3, columns[:, None, None, :].expand(-1, x.shape[1], height, -1))
