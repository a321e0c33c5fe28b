"""Sheets of samples as pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor


def save_sheet(path: Path, columns: list[Tensor], across: int = 4) -> None:
    """Write a PNG in which each sample shows its ``columns`` side by side.

    Args:
        path: file to write.
        columns: tensors (N, 3, H, W) in [-1, 1], one a column, RGB.
        across: samples in a row of the sheet.
    """
    tiles = [((c.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy() for c in columns]
    samples = [np.concatenate([tile[i] for tile in tiles], 1) for i in range(len(tiles[0]))]
    samples = [np.pad(s, ((2, 2), (2, 2), (0, 0)), constant_values=255) for s in samples]
    blank = np.full_like(samples[0], 255)
    samples += [blank] * (-len(samples) % across)
    rows = [np.concatenate(samples[i : i + across], 1) for i in range(0, len(samples), across)]
    ok, png = cv2.imencode(".png", np.concatenate(rows)[:, :, ::-1])
    if ok:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png.tobytes())
