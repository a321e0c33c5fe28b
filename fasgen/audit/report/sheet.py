"""Contact sheets: rows of faces, their reconstructions and their cues on one picture, each row with a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.errors import FasgenError
from fasgen.manifests.images import RGB
from fasgen.records import CUE_ONE

_ONE = CUE_ONE["residual"]
_PAPER, _INK, _FAINT = 255, (20, 20, 20), (110, 110, 110)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP = 6
_LINE = 16


@dataclass(frozen=True)
class SheetRow:
    """One sample on a sheet.

    Attributes:
        pictures: by column name; a missing one leaves its place empty. An image is H x W x 3 uint8 RGB, a residual H x W x 3
            int16 in signed 8-bit levels.
        caption: lines under the row.
    """

    pictures: Mapping[str, NDArray[np.generic]]
    caption: tuple[str, ...] = ()


def residual_picture(residual: NDArray[np.generic], gain: float = 2.0) -> RGB:
    """A signed residual as a picture: grey is 0, a difference of ``127.5 / gain`` levels is black or white.

    With ``gain`` 0.5 this is ``0.5 + r / 4`` for a residual ``r`` in [-2, 2]: nothing is cut off, and little is seen.
    """
    picture: RGB = np.clip(np.rint(127.5 + gain * residual.astype(np.float32)), 0, 255).astype(np.uint8)
    return picture


def in_levels(cue: NDArray[np.generic], field: str) -> NDArray[np.generic]:
    """A cue in signed 8-bit levels, int16, whatever its own step is, so that it is shown on the scale of a residual.

    Args:
        cue: integers as stored.
        field: its array field; one that is not known as a cue is taken to be in levels.
    """
    one = CUE_ONE.get(field, _ONE)
    return cue if one == _ONE or cue.dtype != np.int16 else np.rint(cue.astype(np.float32) * (_ONE / one)).astype(np.int16)


def contact_sheet(
    rows: Sequence[SheetRow], columns: Sequence[str], *, cell: int = 160, across: int = 2, gain: float = 2.0
) -> RGB:
    """Paint a sheet.

    Args:
        rows: samples, filled in from left to right and down.
        columns: names of the pictures of a sample, from left to right.
        cell: side of a picture in px; pictures keep their proportions.
        across: samples side by side.
        gain: amplification of residuals.

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
                _paint(sheet, row.pictures[name], top, left + number * (cell + _GAP), cell, gain)
        for number, text in enumerate(row.caption):
            _write(sheet, text, left, top + cell + (number + 1) * _LINE, width, _FAINT if number else _INK)
    return sheet


def _paint(sheet: RGB, picture: NDArray[np.generic], top: int, left: int, cell: int, gain: float) -> None:
    image = picture if picture.dtype == np.uint8 else residual_picture(picture, gain)
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
