"""ROC, DET and score distributions, drawn with OpenCV."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.downstream.metrics import Floats, Roc

Canvas = NDArray[np.uint8]
SIDE, LEFT, TOP, BELOW, RIGHT = 420, 70, 62, 56, 24
_FONT, _INK, _GRID = cv2.FONT_HERSHEY_SIMPLEX, (60, 60, 60), (225, 225, 225)
COLOURS = ((150, 80, 20), (40, 90, 210), (70, 140, 60), (150, 60, 150), (30, 150, 200), (110, 110, 110))
"""BGR; curves take them in turn."""
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve to draw: its name in the legend and its operating points."""

    name: str
    points: Roc


def draw_roc(lines: Sequence[Line], caption: str) -> Canvas:
    """TPR over FPR, both linear."""
    ticks = [(v, f"{v:g}") for v in (0.0, 0.25, 0.5, 0.75, 1.0)]
    canvas = _frame("ROC", caption, "FPR (APCER over all attacks)", "TPR (1 - BPCER)", ticks, ticks)
    _curve(canvas, np.array([0.0, 1.0]), np.array([0.0, 1.0]), _GRID)
    for number, line in enumerate(lines):
        _curve(canvas, line.points.far, line.points.tpr, COLOURS[number % len(COLOURS)])
    _legend(canvas, [line.name for line in lines], below=True)
    return canvas


def draw_det(lines: Sequence[Line], caption: str) -> Canvas:
    """BPCER over APCER, both on normal deviates, so that Gaussian scores give straight lines."""
    ticks = [(float(_deviate(np.array([v]))[0]), f"{100 * v:g}") for v in _DET_TICKS]
    canvas = _frame("DET", caption, "APCER over all attacks, %", "BPCER, %", ticks, ticks)
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        _curve(canvas, _deviate(line.points.far), _deviate(1 - line.points.tpr), colour)
    _legend(canvas, [line.name for line in lines], below=False)
    return canvas


def draw_scores(labels: NDArray[np.int64], scores: Floats, threshold: float, caption: str) -> Canvas:
    """Histograms of live and spoof scores, each class to its own height, with the threshold."""
    low, high = float(scores.min()), float(scores.max())
    span = high - low if high > low else 1.0
    edges = np.linspace(low, low + span, 41)
    ticks = [(share, f"{low + share * span:.3g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    canvas = _frame("Scores", caption, "score, higher is more live", "share of the class's largest bin", ticks, [])
    for colour, value in ((COLOURS[0], 1), (COLOURS[1], 0)):
        counts = np.histogram(scores[labels == value], edges)[0] if (labels == value).any() else np.zeros(40)
        heights = counts / max(counts.max(), 1)
        xs, ys = np.repeat(np.linspace(0, 1, 41), 2)[1:-1], np.repeat(heights, 2)
        layer = canvas.copy()
        outline = np.concatenate([_pixels(xs, ys), _pixels(np.array([1.0, 0.0]), np.array([0.0, 0.0]))])
        cv2.fillPoly(layer, [outline], colour)
        cv2.addWeighted(layer, 0.35, canvas, 0.65, 0, dst=canvas)
        _curve(canvas, xs, ys, colour)
    at = (threshold - low) / span
    if 0 <= at <= 1:
        _curve(canvas, np.array([at, at]), np.array([0.0, 1.0]), _INK)
    _legend(canvas, ["live", "spoof"], below=False)
    return canvas


def write_png(path: Path, canvas: Canvas) -> None:
    """Write a picture."""
    ok, data = cv2.imencode(".png", canvas)
    if not ok:
        raise RuntimeError(f"{path}: OpenCV could not encode the picture")
    path.write_bytes(data.tobytes())


def _deviate(rate: Floats) -> Floats:
    """Normal deviates of rates, mapped so that 0.05 % to 99.95 % span [0, 1]; what lies outside is cut."""
    normal, edge = NormalDist(), 0.0005
    reach = normal.inv_cdf(1 - edge)
    return np.array([(normal.inv_cdf(float(np.clip(v, edge, 1 - edge))) + reach) / (2 * reach) for v in rate])


def _frame(
    title: str, caption: str, x: str, y: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
) -> Canvas:
    canvas: Canvas = np.full((TOP + SIDE + BELOW, LEFT + SIDE + RIGHT, 3), 255, np.uint8)
    for place, text in x_ticks:
        [[column, row]] = _pixels(np.array([place]), np.array([0.0]))
        cv2.line(canvas, (column, TOP), (column, row), _GRID, 1)
        _text(canvas, text, (column - 4 * len(text), row + 16), 0.38)
    for place, text in y_ticks:
        [[column, row]] = _pixels(np.array([0.0]), np.array([place]))
        cv2.line(canvas, (column, row), (column + SIDE, row), _GRID, 1)
        _text(canvas, text, (column - 8 - 8 * len(text), row + 4), 0.38)
    cv2.rectangle(canvas, (LEFT, TOP), (LEFT + SIDE, TOP + SIDE), (150, 150, 150), 1)
    _text(canvas, title, (LEFT, 18), 0.5)
    for number, line in enumerate(textwrap.wrap(caption, 88)[:2]):
        _text(canvas, line, (LEFT, 36 + 16 * number), 0.32)
    _text(canvas, x, (LEFT, TOP + SIDE + 40), 0.42)
    upright: Canvas = np.full((20, SIDE, 3), 255, np.uint8)
    _text(upright, y, (0, 14), 0.42)
    canvas[TOP : TOP + SIDE, 2:22] = np.rot90(upright)
    return canvas


def _curve(canvas: Canvas, x: Floats, y: Floats, colour: tuple[int, int, int]) -> None:
    cv2.polylines(canvas, [_pixels(x, y)], False, colour, 2, cv2.LINE_AA)


def _pixels(x: Floats, y: Floats) -> NDArray[np.int32]:
    return np.stack([LEFT + x * SIDE, TOP + (1 - y) * SIDE], 1).round().astype(np.int32)


def _legend(canvas: Canvas, names: Sequence[str], *, below: bool) -> None:
    shown = names[: len(COLOURS) * 2]
    first = TOP + SIDE - 16 * len(shown) if below else TOP + 18
    left = LEFT + SIDE - 12 - 7 * max(len(name) for name in shown) if shown else LEFT
    for number, name in enumerate(shown):
        row = first + 16 * number
        cv2.line(canvas, (left - 22, row - 4), (left - 6, row - 4), COLOURS[number % len(COLOURS)], 2, cv2.LINE_AA)
        _text(canvas, name, (left, row), 0.38)


def _text(canvas: Canvas, text: str, at: tuple[int, int], scale: float) -> None:
    # OpenCV's font knows ASCII only.
    cv2.putText(canvas, text.encode("ascii", "replace").decode(), at, _FONT, scale, _INK, 1, cv2.LINE_AA)
