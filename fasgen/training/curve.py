"""The curve of a training: a JSON line a point, and a picture drawn from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTH, HEIGHT, MARGIN = 900, 420, 60
_KEPT = 64
"""Steps whose losses stay on the device; each is a small piece of its memory."""


class Curve:
    """Collects losses, appends a point to ``curve.jsonl`` and draws ``curve.png`` anew.

    Args:
        folder: the run's folder.
        say: is told every point, as a line.
    """

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines, self._picture = folder / "curve.jsonl", folder / "curve.png"
        self._say = say
        self._sums: dict[str, float] = {}
        self._waiting: dict[str, list[Tensor]] = {}
        self._count = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add one step's losses to the running means; a GPU that still computes them is not waited for."""
        for name, value in losses.items():
            self._waiting.setdefault(name, []).append(value.detach().reshape(()).to(torch.float64, copy=True))
        self._count += 1
        if self._count % _KEPT == 0:
            self._sum()

    def _sum(self) -> None:
        for name, values in self._waiting.items():
            total = self._sums.get(name, 0.0)
            for value in torch.stack(values).tolist():
                total += value
            self._sums[name] = total
        self._waiting = {}

    def point(self, step: int, seconds: float, lr: float) -> None:
        """Write the means since the last point."""
        self._sum()
        means = {name: round(total / self._count, 6) for name, total in self._sums.items()}
        self._write({"step": step, "seconds": round(seconds, 1), "lr": lr, **means})
        self._sums, self._count = {}, 0
        self.draw()

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Write figures on held-out data."""
        if figures:
            self._write({"step": step, **{f"held_out_{k}": round(float(v), 5) for k, v in figures.items()}})

    def cut(self, step: int) -> None:
        """Forget points after ``step``: a resumed run writes them again."""
        kept = [line for line in self.points() if int(line["step"]) <= step]
        self._lines.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def points(self) -> list[dict[str, float]]:
        """All points so far."""
        return [json.loads(line) for line in self._lines.read_text().splitlines()] if self._lines.exists() else []

    def draw(self) -> None:
        """Draw the loss over the steps, on a logarithmic axis where it spans more than a decade."""
        points = [(p["step"], p["loss"]) for p in self.points() if "loss" in p]
        if len(points) < 2:
            return
        ok, png = cv2.imencode(".png", _plot(np.array(points, np.float64)))
        if ok:
            self._picture.write_bytes(png.tobytes())

    def _write(self, values: Mapping[str, float]) -> None:
        with self._lines.open("a") as file:
            file.write(json.dumps(values) + "\n")
        self._say("  ".join(f"{name} {value:g}" for name, value in values.items()))


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
