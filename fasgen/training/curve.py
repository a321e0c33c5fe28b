"""The curve of a training: a JSON line a point, and a picture drawn from them."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.training.board import Board
from fasgen.training.clock import clock_time
from fasgen.training.residency import Fetch

WIDTH, HEIGHT, MARGIN = 900, 420, 60
DRAWN_EVERY = 10.0
"""Seconds from one drawing of the curve to the next; the last one is drawn whenever the training ends."""


@dataclass(frozen=True)
class _Point:
    """What a point says, with its sums still on their way from the device, by the names that were told together."""

    step: int
    seconds: float
    lr: float
    count: int
    left: float | None
    sums: Mapping[tuple[str, ...], Fetch]

    def values(self) -> dict[str, float]:
        """The line, with means over ``count`` steps."""
        totals: defaultdict[str, float] = defaultdict(float)
        for names, sums in self.sums.items():
            for name, total in zip(names, sums.read(), strict=True):
                totals[name] += total
        means = {name: round(total / self.count, 6) for name, total in totals.items()}
        return {"step": self.step, "seconds": round(self.seconds, 1), "lr": self.lr, **means}


class Curve:
    """Sums losses on their device, appends a point to ``curve.jsonl`` as soon as its sums have arrived, draws ``curve.png``.

    Args:
        folder: the run's folder.
        say: is told every point, as a line.
        board: is given every point and sheet.
    """

    def __init__(self, folder: Path, say: Callable[[str], object], board: Board | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines, self._picture = folder / "curve.jsonl", folder / "curve.png"
        self._say, self._board = say, board
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._count = 0
        self._pending: deque[_Point] = deque()
        self._drawn = -math.inf

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add one step's losses to the running means; a GPU that still computes them is not waited for."""
        names = tuple(losses)
        if names:
            values = torch.stack([value.detach().reshape(()) for value in losses.values()]).to(torch.float64)
            self._sums[names] = self._sums[names] + values if names in self._sums else values
        self._count += 1
        if self._pending:
            self.flush(wait=False)

    def point(self, step: int, seconds: float, lr: float, left: float | None = None) -> None:
        """The means since the last point, written as soon as they are here; ``left`` seconds, where known, are said only."""
        sums = {names: Fetch(values) for names, values in self._sums.items()}
        self._pending.append(_Point(step, seconds, lr, self._count, left, sums))
        self._sums, self._count = {}, 0
        self.flush(wait=False)

    def flush(self, wait: bool = True) -> None:
        """Write the points that have arrived, or wait for all and draw them."""
        while self._pending and (wait or all(sums.ready() for sums in self._pending[0].sums.values())):
            point = self._pending.popleft()
            self._write(point.values(), point.left)
            if time.monotonic() - self._drawn > DRAWN_EVERY:
                self.draw()
        if wait:
            self.draw()

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Write figures on held-out data, after all points so far."""
        self.flush()
        if figures:
            self._write({"step": step, **{f"held_out_{k}": round(float(v), 5) for k, v in figures.items()}})
        if self._board is not None:
            self._board.sheets(step)

    def close(self) -> None:
        """Write what is still waiting."""
        self.flush()
        if self._board is not None:
            self._board.close()

    def cut(self, step: int) -> None:
        """Forget points after ``step``: a resumed run writes them again."""
        kept = [line for line in self.points() if int(line["step"]) <= step]
        self._lines.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def points(self) -> list[dict[str, float]]:
        """All points so far."""
        return [json.loads(line) for line in self._lines.read_text().splitlines()] if self._lines.exists() else []

    def draw(self) -> None:
        """Draw the loss over the steps, on a logarithmic axis where it spans more than a decade."""
        self._drawn = time.monotonic()
        points = [(p["step"], p["loss"]) for p in self.points() if math.isfinite(p.get("loss", math.nan))]
        if len(points) < 2:
            return
        ok, png = cv2.imencode(".png", _plot(np.array(points, np.float64)))
        if ok:
            self._picture.write_bytes(png.tobytes())

    def _write(self, values: Mapping[str, float], left: float | None = None) -> None:
        with self._lines.open("a") as file:
            file.write(json.dumps(values) + "\n")
        if self._board is not None:
            self._board.point(values)
        told = "  ".join(f"{name} {value:g}" for name, value in values.items())
        self._say(told if left is None else f"{told}  left {clock_time(left)}")


def _plot(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    x, y = points[:, 0], points[:, 1]
    log = y.min() > 0 and y.max() > 10 * y.min()
    level = np.log10(y) if log else y
    low, high = float(level.min()), float(level.max())
    span_x, span_y = max(float(np.ptp(x)), 1e-9), max(high - low, 1e-9)
    px = MARGIN + (x - x.min()) / span_x * (WIDTH - 2 * MARGIN)
    py = HEIGHT - MARGIN - (level - low) / span_y * (HEIGHT - 2 * MARGIN)
    font, grey = cv2.FONT_HERSHEY_SIMPLEX, (110, 110, 110)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        row = int(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN))
        value = low + share * span_y
        cv2.line(canvas, (MARGIN, row), (WIDTH - MARGIN, row), (225, 225, 225), 1)
        cv2.putText(canvas, f"{10**value if log else value:.3g}", (6, row + 4), font, 0.4, grey, 1, cv2.LINE_AA)
        column = int(MARGIN + share * (WIDTH - 2 * MARGIN))
        cv2.putText(canvas, f"{x.min() + share * span_x:.0f}", (column - 12, HEIGHT - 36), font, 0.4, grey, 1, cv2.LINE_AA)
    cv2.polylines(canvas, [np.stack([px, py], 1).round().astype(np.int32)], False, (160, 80, 20), 2, cv2.LINE_AA)
    cv2.putText(
        canvas,
        f"loss{' (log)' if log else ''} by step, last {y[-1]:.4g}",
        (MARGIN, 30),
        font,
        0.5,
        (40, 40, 40),
        1,
        cv2.LINE_AA,
    )
    return canvas
