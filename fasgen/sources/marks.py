"""Face boxes and eye positions that a data set ships beside its files: a line of numbers a frame."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from fasgen.records import Scalar
from fasgen.sources.paths import unescape

_SEPARATORS = re.compile(r"[\s,;]+")
_LARGEST = 1 << 24


def read_marks(root: str, path: str, spelt: str, frame: int | None, size: tuple[int, int]) -> dict[str, Scalar]:
    """The box and the eyes of one picture.

    Args:
        root: the source's folder.
        path: escaped relative path of the text file.
        spelt: its columns, as `fasgen.sources.adapters.table.Marks.spelt` writes them.
        frame: decoded index in the video, which the column ``frame`` names, or, without one, the line counts from 0; None
            for a still: the first line.
        size: width and height of the upright picture, px.

    Returns:
        ``shipped_box`` and ``shipped_eyes``, as far as the file has them for this frame, px of the picture. Coordinates may
        lie outside of it. What is missing, empty, no number, or a box without area is left out: a shipped mark is a help and
        its lack no fault of the picture.
    """
    columns, grid = _format(spelt)
    try:
        with open(os.path.join(root, unescape(path)), encoding="utf-8-sig", errors="replace") as stream:  # noqa: PTH118, PTH123
            lines = stream.read(_LARGEST).splitlines()
    except (OSError, ValueError):
        return {}
    values = _values(lines, columns, frame)
    if values is None:
        return {}
    across, down = (size[0] / grid, size[1] / grid) if grid else (1.0, 1.0)
    return {**_box(values, across, down), **_eyes(values, across, down)}


def turn_marks(marks: Mapping[str, Scalar], turns: int, size: tuple[int, int]) -> dict[str, Scalar]:
    """Marks of a picture for the same picture after ``turns`` quarter turns clockwise.

    Args:
        marks: what `read_marks` gave.
        turns: quarter turns.
        size: width and height before turning, px.
    """
    turned = dict(marks)
    width, height = size
    for _ in range(turns % 4):
        for name, values in turned.items():
            if isinstance(values, list):
                x0, y0, x1, y1 = map(float, values)
                # A box's corners change places: its lower left one becomes its upper left one. Eyes stay who they are.
                box = name == "shipped_box"
                turned[name] = [height - y1, x0, height - y0, x1] if box else [height - y0, x0, height - y1, x1]
        width, height = height, width
    return turned


def _format(spelt: str) -> tuple[list[str], int | None]:
    words = spelt.split()
    if words and words[-1].startswith("@"):
        return words[:-1], int(words[-1][1:])
    return words, None


def _values(lines: list[str], columns: list[str], frame: int | None) -> dict[str, float] | None:
    """The numbers of the frame's line by column, or None."""
    by_name = "frame" in columns and frame is not None
    number = -1
    for line in lines:
        words = [word for word in _SEPARATORS.split(line) if word]
        if not words or words[0].startswith("#"):
            continue
        number += 1
        if not by_name and number < (frame or 0):
            continue
        try:
            numbers = [float(word) for word in words[: len(columns)]]
        except ValueError:
            # A heading, or damage: neither is a frame.
            number -= 1
            continue
        if len(numbers) < len(columns):
            return None
        values = dict(zip(columns, numbers, strict=True))
        if not by_name or values["frame"] == frame:
            return values
    return None


def _box(values: dict[str, float], across: float, down: float) -> dict[str, Scalar]:
    if not {"x", "y"} <= values.keys():
        return {}
    x, y = values["x"], values["y"]
    right = values["right"] if "right" in values else x + values.get("w", 0)
    bottom = values["bottom"] if "bottom" in values else y + values.get("h", 0)
    box = [x * across, y * down, right * across, bottom * down]
    return {"shipped_box": box} if right > x and bottom > y and all(abs(one) < 1e6 for one in box) else {}


def _eyes(values: dict[str, float], across: float, down: float) -> dict[str, Scalar]:
    names = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
    if not set(names) <= values.keys() or not any(values[name] for name in names):
        return {}
    eyes = [values[name] * scale for name, scale in zip(names, (across, down, across, down), strict=True)]
    return {"shipped_eyes": eyes} if all(abs(one) < 1e6 for one in eyes) else {}
