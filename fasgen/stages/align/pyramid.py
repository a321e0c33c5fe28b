"""All levels of an image pyramid on a few sheets, so that a few passes of the proposal network see them all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.stages.align.areas import Areas

WINDOW, STRIDE = 12, 2
"""Field and stride of the proposal network, px."""

Copy = tuple[slice, slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Level:
    """One level and its place on its sheet (top left corner, even).

    Attributes:
        scale: level pixels per image pixel.
        height: px.
        width: px.
        y: px.
        x: px.
    """

    scale: float
    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A canvas that holds one or more levels.

    Attributes:
        height: px, even.
        width: px, even.
        levels: from the finest.
        owner: (height / 2 - 5, width / 2 - 5) int16, which level of the pyramid, counted from the finest, a proposal cell
            belongs to; -1 for cells that straddle.
    """

    height: int
    width: int
    levels: tuple[Level, ...]
    owner: NDArray[np.int16]

    def edges(self, first: int, last: int) -> list[Copy]:
        """Copies (target rows, target columns, source rows, source columns) that mend the network's first map.

        The network's pooling rounds up: on a level of odd size its last window hangs over the border, and takes the maximum
        of what is there. On the sheet it would see the gap beyond the level, so the level's last row and column are
        repeated there, which leaves the maximum as it was.

        Args:
            first: first row of the first map that is at hand.
            last: one past the last; rows are counted from ``first`` in the answer.
        """
        copies: list[Copy] = []
        for level in self.levels:
            low, high = level.y - first, level.y + level.height - 2 - first
            right = level.x + level.width - 2
            odd_rows, odd_columns = level.height % 2, level.width % 2
            rows = slice(max(low, 0), min(high, last - first))
            if odd_columns and rows.start < rows.stop:
                copies.append((rows, slice(right, right + 1), rows, slice(right - 1, right)))
            if odd_rows and 0 < high < last - first:
                columns = slice(level.x, right + odd_columns)
                copies.append((slice(high, high + 1), columns, slice(high - 1, high), columns))
        return copies

    def paint(self, areas: Areas, device: torch.device) -> torch.Tensor:
        """The sheet (1, 3, height, width) in [-1, 1], channels last."""
        canvas = torch.zeros(self.height, self.width, 3, device=device)
        for level in self.levels:
            areas.level(canvas[level.y : level.y + level.height, level.x : level.x + level.width])
        return canvas[None].permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the levels of images of one size lie.

    Attributes:
        levels: from the finest.
        sheets: between them they hold each level once.
    """

    levels: tuple[Level, ...]
    sheets: tuple[Sheet, ...]


@dataclass(slots=True)
class _Columns:
    """A sheet that is filled from the left with columns (left edge, width, height filled)."""

    height: int
    across: int
    columns: list[list[int]]
    levels: dict[int, Level]

    @property
    def width(self) -> int:
        return self.columns[-1][0] + self.columns[-1][1]

    def place(self, tall: int, wide: int) -> tuple[int, int] | None:
        """Where (y, x) a level finds room: below what a column holds, else in a new column; None if nowhere."""
        for column in self.columns:
            if wide <= column[1] and column[2] + tall <= self.height:
                column[2] += tall
                return column[2] - tall, column[0]
        x = self.width
        if tall > self.height or x + wide > self.across:
            return None
        self.columns.append([x, wide, tall])
        return 0, x

    def sheet(self) -> Sheet:
        owner = np.full((self.height // 2 - 5, self.width // 2 - 5), -1, np.int16)
        for number, level in self.levels.items():
            rows, columns = cells(level.height), cells(level.width)
            owner[level.y // 2 : level.y // 2 + rows, level.x // 2 : level.x // 2 + columns] = number
        owner.flags.writeable = False
        return Sheet(self.height, self.width, tuple(self.levels.values()), owner)


@lru_cache(maxsize=64)
def layout(height: int, width: int, min_face: float, factor: float) -> Layout | None:
    """Where the levels of a height x width image lie; null if it is too small to hold the smallest face.

    Levels go, from the finest, onto the first sheet with room, else onto a new one, none wider than the first; about a
    twentieth of the sheets stays empty.
    """
    sizes = [(scale, int(height * scale + 1), int(width * scale + 1)) for scale in scales(height, width, min_face, factor)]
    if not sizes:
        return None
    sheets: list[_Columns] = []
    for number, (scale, tall, wide) in enumerate(sizes):
        for sheet in sheets:
            if (place := sheet.place(_even(tall), _even(wide))) is not None:
                break
        else:
            place = (0, 0)
            sheet = _Columns(_even(tall), _even(sizes[0][2]), [[0, _even(wide), _even(tall)]], {})
            sheets.append(sheet)
        sheet.levels[number] = Level(scale, tall, wide, *place)
    levels = {number: level for sheet in sheets for number, level in sheet.levels.items()}
    return Layout(tuple(levels[number] for number in range(len(sizes))), tuple(sheet.sheet() for sheet in sheets))


def scales(height: int, width: int, min_face: float, factor: float) -> list[float]:
    """Scales of the pyramid: from the one at which the smallest face fills the window down to the image's short side."""
    scale = WINDOW / min_face
    side = min(height, width) * scale
    found = []
    while side >= WINDOW:
        found.append(scale)
        scale *= factor
        side *= factor
    return found


def cells(size: int) -> int:
    """Proposal cells along a side of ``size`` px; one of odd size has one whose window hangs over by a pixel."""
    return (size - WINDOW + 1) // STRIDE + 1


def _even(size: int) -> int:
    return size + size % 2
