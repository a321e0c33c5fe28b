"""Contact sheets: rows of faces, their reconstructions and their cues on one picture, each row with a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.errors import FasgenError
from fasgen.manifests.images import RGB
from fasgen.manifests.products import CueFacts

GAIN = 2.0
"""Amplification of cues where none is asked for."""

_PAPER, _INK, _FAINT = 255, (20, 20, 20), (110, 110, 110)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP = 6
_LINE = 16


@dataclass(frozen=True)
class SheetRow:
    """One sample on a sheet.

    Attributes:
        pictures: by column name, H x W x 3 uint8 RGB; a missing one leaves its place empty.
        caption: lines under the row.
    """

    pictures: Mapping[str, RGB]
    caption: tuple[str, ...] = ()


def cue_picture(cue: NDArray[np.generic], facts: CueFacts, gain: float = GAIN) -> RGB:
    """A cue as a picture.

    Signed: grey is 0, and ``1 / gain`` of full scale is black or white. With ``gain`` 0.5 this is ``0.5 + r / 4`` for a
    residual ``r`` in [-2, 2]: nothing is cut off, and little is seen. Magnitude: the mean over channels of absolute values, 0
    black and ``1 / gain`` of full scale white.

    Args:
        cue: H x W x C as stored. Three channels are shown as colours; of any other number the mean is.
        facts: what its stage says of it.
        gain: amplification.
    """
    full = cue.astype(np.float32) * (gain / facts.one)
    levels = 255 * np.abs(full).mean(2, keepdims=True) if facts.drawn == "magnitude" else 127.5 + 127.5 * full
    if levels.shape[2] != 3:
        levels = levels.mean(2, keepdims=True).repeat(3, 2)
    picture: RGB = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return picture


def columns_of(rows: Sequence[SheetRow]) -> list[str]:
    """The names of all pictures, in the order of the rows that have most of them."""
    fullest = sorted(rows, key=lambda row: -len(row.pictures))
    return list(dict.fromkeys(name for row in fullest for name in row.pictures))


def contact_sheet(rows: Sequence[SheetRow], columns: Sequence[str], *, cell: int = 160, across: int = 2) -> RGB:
    """Paint a sheet.

    Args:
        rows: samples, filled in from left to right and down.
        columns: names of the pictures of a sample, from left to right.
        cell: side of a picture in px; pictures keep their proportions.
        across: samples side by side.

    Returns:
        the sheet, H x W x 3 uint8 RGB.

    Raises:
        FasgenError: there is nothing to paint.
    """
    if not rows or not columns:
        raise FasgenError("a contact sheet needs at least one sample and one column")
    across = min(across, len(rows))
    lines = max(len(row.caption) for row in rows)
    width, height = len(columns) * (cell + _GAP), cell + lines * _LINE + 2 * _GAP
    down = -(-len(rows) // across)
    sheet = np.full((_LINE + 2 * _GAP + down * height, _GAP + across * (width + 2 * _GAP), 3), _PAPER, np.uint8)
    for place in range(across):
        for number, name in enumerate(columns):
            left = _GAP + place * (width + 2 * _GAP) + number * (cell + _GAP)
            _write(sheet, name, left, _GAP + _LINE - 4, cell, _INK)
    for place, row in enumerate(rows):
        top = _LINE + 2 * _GAP + place // across * height
        left = _GAP + place % across * (width + 2 * _GAP)
        for number, name in enumerate(columns):
            if name in row.pictures:
                _paint(sheet, row.pictures[name], top, left + number * (cell + _GAP), cell)
        for number, text in enumerate(row.caption):
            _write(sheet, text, left, top + cell + (number + 1) * _LINE, width, _FAINT if number else _INK)
    return sheet


def _paint(sheet: RGB, image: RGB, top: int, left: int, cell: int) -> None:
    height, width = image.shape[:2]
    scale = cell / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = scale < 1
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    down, right = (cell - size[1]) // 2, (cell - size[0]) // 2
    sheet[top + down : top + down + size[1], left + right : left + right + size[0]] = small


def _write(sheet: RGB, text: str, left: int, baseline: int, room: int, ink: tuple[int, int, int]) -> None:
    """Write one line, cut with dots where it does not fit. OpenCV's fonts have ASCII only."""
    line = text.encode("ascii", "replace").decode("ascii")
    while len(line) > 2 and cv2.getTextSize(line, _FONT, 0.38, 1)[0][0] > room:
        line = line.removesuffix("..")[:-1] + ".."
    cv2.putText(sheet, line, (left, baseline), _FONT, 0.38, ink, 1, cv2.LINE_AA)
