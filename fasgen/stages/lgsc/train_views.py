"""What a training picture goes through, live and spoof alike, so that nothing but the attack tells them apart."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.stages.gallery.train_views import window

SMALLEST = 0.4
"""Smallest share of its side that a picture is reduced to."""

QUALITIES = (40, 96)
"""JPEG qualities that are drawn from."""


def rescaled(levels: Tensor, share: float, coin: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) uint8, a ``share`` of them reduced by up to `SMALLEST`, enlarged again and coded as JPEG.

    The number of draws is the same whatever ``share`` is.
    """
    u = torch.rand(len(levels), 3, generator=coin).tolist()
    out = levels.clone()
    for i, (hit, scale, quality) in enumerate(u):
        if hit < share:
            picture = np.ascontiguousarray(levels[i].numpy().transpose(1, 2, 0))
            out[i] = torch.from_numpy(_degraded(picture, SMALLEST + (1 - SMALLEST) * scale, quality).transpose(2, 0, 1).copy())
    return out


def _degraded(picture: NDArray[np.uint8], scale: float, u: float) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (max(8, round(width * scale)), max(8, round(height * scale))), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    quality = round(QUALITIES[0] + u * (QUALITIES[1] - QUALITIES[0]))
    _, code = cv2.imencode(".jpg", large, (cv2.IMWRITE_JPEG_QUALITY, quality))
    back: NDArray[np.uint8] = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return back


def photometric(x: Tensor, most: float, coin: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) in [-1, 1] under another gain of each channel, contrast and brightness, clamped to [-1, 1]."""
    u = 2 * torch.rand(len(x), 5, generator=coin, device=coin.device) - 1
    if not most:
        return x
    gain = (1 + most * u[:, :1]) * (1 + 0.5 * most * u[:, 1:4])
    return (x * gain[:, :, None, None] + most * u[:, 4, None, None, None]).clamp(-1, 1)


def patches(x: Tensor, side: int | None, coin: torch.Generator) -> Tensor:
    """A patch of ``side`` px at a random place of each picture (B, 3, H, W); for None, or where no larger, the whole."""
    u = torch.rand(len(x), 2, generator=coin, device=coin.device, dtype=torch.float64)
    if side is None or min(x.shape[2:]) <= side:
        return x
    places = [(u[:, axis] * (size - side + 1)).long() for axis, size in enumerate(x.shape[2:])]
    return window(x, torch.stack(places, 1), side, side)
