"""ROC, DET and score distributions as vector drawings."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fasgen.downstream.drawing import Colour, Drawing, Point
from fasgen.downstream.metrics import Floats, Roc

SIDE, LEFT, TOP, BELOW, RIGHT = 320.0, 52.0, 62.0, 44.0, 20.0
INK, _GRID, _FRAME = (60, 60, 60), (225, 225, 225), (150, 150, 150)
COLOURS: tuple[Colour, ...] = ((20, 80, 150), (210, 90, 40), (60, 140, 70), (150, 60, 150), (200, 150, 30), (110, 110, 110))
"""Curves take them in turn; from the seventh on they are dashed."""
_DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve to draw: its name in the legend and its operating points."""

    name: str
    points: Roc


def draw_roc(lines: Sequence[Line], caption: str) -> Drawing:
    """TPR over FPR, both linear."""
    ticks = [(v, f"{v:g}") for v in (0.0, 0.25, 0.5, 0.75, 1.0)]
    page = frame("ROC", caption, "FPR (APCER over all attacks)", "TPR (1 - BPCER)", ticks, ticks)
    _curve(page, np.array([0.0, 1.0]), np.array([0.0, 1.0]), _GRID)
    for number, line in enumerate(lines):
        _curve(page, line.points.far, line.points.tpr, *_look(number))
    _legend(page, [line.name for line in lines], below=True)
    return page


def draw_det(lines: Sequence[Line], caption: str) -> Drawing:
    """BPCER over APCER, both on normal deviates, so that Gaussian scores give straight lines."""
    ticks = [(float(_deviate(np.array([v]))[0]), f"{100 * v:g}") for v in _DET_TICKS]
    page = frame("DET", caption, "APCER over all attacks, %", "BPCER, %", ticks, ticks)
    for number, line in enumerate(lines):
        _curve(page, _deviate(line.points.far), _deviate(1 - line.points.tpr), *_look(number))
    _legend(page, [line.name for line in lines], below=False)
    return page


def draw_scores(
    labels: NDArray[np.int64], scores: Floats, thresholds: Sequence[tuple[str, float]], caption: str, names: Sequence[str]
) -> Drawing:
    """Histograms of live and spoof scores, each class to its own height.

    Args:
        labels, scores: (N,), 1 live, 0 spoof.
        thresholds: upright lines, the first full and the others dashed, with their names.
        caption: above the picture.
        names: of live and of spoof in the legend.
    """
    low, high = float(scores.min()), float(scores.max())
    span = high - low if high > low else 1.0
    edges = np.linspace(low, low + span, 41)
    ticks = [(share, f"{low + share * span:.3g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    page = frame("Scores", caption, "score, higher is more live", "share of the class's largest bin", ticks, [])
    curves = []
    for value in (1, 0):
        counts = np.histogram(scores[labels == value], edges)[0] if (labels == value).any() else np.zeros(40)
        heights = counts / max(counts.max(), 1)
        curves.append((np.repeat(np.linspace(0, 1, 41), 2)[1:-1], np.repeat(heights, 2)))
    for (xs, ys), colour in zip(curves, COLOURS, strict=False):
        outline = [*placed(xs, ys), *placed(np.array([1.0, 0.0]), np.array([0.0, 0.0]))]
        page.area(outline, _pale(colour))
    for (xs, ys), colour in zip(curves, COLOURS, strict=False):
        _curve(page, xs, ys, colour)
    drawn = []
    for number, (name, threshold) in enumerate(thresholds):
        at = (threshold - low) / span
        if 0 <= at <= 1:
            _curve(page, np.array([at, at]), np.array([0.0, 1.0]), INK, number > 0)
            drawn.append((name, number > 0))
    _legend(page, list(names), below=False, more=drawn)
    return page


def _look(number: int) -> tuple[Colour, bool]:
    """Colour of a curve, and whether it is dashed."""
    return COLOURS[number % len(COLOURS)], number >= len(COLOURS)


def _pale(colour: Colour) -> Colour:
    red, green, blue = (round(0.3 * v + 0.7 * 255) for v in colour)
    return red, green, blue


def _deviate(rate: Floats) -> Floats:
    """Normal deviates of rates, mapped so that 0.05 % to 99.95 % span [0, 1]; what lies outside is cut."""
    normal, edge = NormalDist(), 0.0005
    reach = normal.inv_cdf(1 - edge)
    return np.array([(normal.inv_cdf(float(np.clip(v, edge, 1 - edge))) + reach) / (2 * reach) for v in rate])


def frame(
    title: str,
    caption: str,
    x: str,
    y: str,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    more: float = 0.0,
) -> Drawing:
    """A page with a frame, a grid, and names; ``more`` is width to the right of it, in points."""
    page = Drawing(LEFT + SIDE + RIGHT + more, TOP + SIDE + BELOW)
    for place, text in x_ticks:
        [at, top] = placed(np.array([place, place]), np.array([0.0, 1.0]))
        page.line([top, at], _GRID)
        page.text(text, (at[0] - 2 * len(text), at[1] + 12), 8, INK)
    for place, text in y_ticks:
        [left, right] = placed(np.array([0.0, 1.0]), np.array([place, place]))
        page.line([left, right], _GRID)
        page.text(text, (left[0] - 5 - 4.5 * len(text), left[1] + 3), 8, INK)
    corners = placed(np.array([0.0, 1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0, 0.0]))
    page.line(corners, _FRAME)
    page.text(title, (LEFT, 16), 11, INK)
    for number, line in enumerate(textwrap.wrap(caption, 96 + int(more // 3.5))[:4]):
        page.text(line, (LEFT, 28 + 8.5 * number), 6.5, INK)
    page.text(x, (LEFT, TOP + SIDE + 30), 9, INK)
    page.text(y, (13, TOP + SIDE), 9, INK, upright=True)
    return page


def _curve(page: Drawing, x: Floats, y: Floats, colour: Colour, dashed: bool = False) -> None:
    page.line(placed(x, y), colour, 1.5, dashed)


def placed(x: Floats, y: Floats) -> list[Point]:
    """Points of the page for those of the unit square, which is the frame."""
    return [(float(LEFT + a * SIDE), float(TOP + (1 - b) * SIDE)) for a, b in zip(x, y, strict=True)]


def _legend(page: Drawing, names: Sequence[str], *, below: bool, more: Sequence[tuple[str, bool]] = ()) -> None:
    """Names of curves in their colours, then those of lines in ink with whether they are dashed."""
    shown = [(name, *_look(number)) for number, name in enumerate(names)] + [(name, INK, dashed) for name, dashed in more]
    shown = shown[: int(SIDE // 12) - 1]
    width = 4.1 * max((len(name) for name, _, _ in shown), default=0) + 26
    left = max(LEFT + SIDE - width - 4, LEFT + 4)
    first = TOP + SIDE - 12 * len(shown) if below else TOP + 14
    for number, (name, colour, dashed) in enumerate(shown):
        row = first + 12 * number
        page.line([(left, row - 2.5), (left + 16, row - 2.5)], colour, 1.5, dashed)
        page.text(name, (left + 20, row), 7.5, INK)
