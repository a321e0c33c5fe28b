"""Figures of merit: area under the ROC curve, distributions, PSNR."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
QUANTILES = (5, 25, 50, 75, 95)


def auc(positives: Floats, negatives: Floats) -> float:
    """Probability that a positive's score is above a negative's, ties counting half (Mann and Whitney).

    Args:
        positives: scores (N,).
        negatives: scores (M,).

    Raises:
        ValueError: one of them is empty.
    """
    if not (positives.size and negatives.size):
        raise ValueError(f"an AUC needs both kinds of samples; there are {positives.size} and {negatives.size}")
    ordered = np.sort(negatives, axis=None)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).sum(dtype=np.float64) / (2 * positives.size * negatives.size))


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation and quantiles of ``count`` values."""

    count: int
    mean: float
    sd: float
    quantiles: dict[int, float]

    @classmethod
    def of(cls, values: Floats) -> Distribution:
        """Of an array of any shape.

        Raises:
            ValueError: it is empty.
        """
        if not values.size:
            raise ValueError("a distribution needs at least one value")
        levels = np.percentile(values, QUANTILES)
        found = {q: float(level) for q, level in zip(QUANTILES, levels, strict=True)}
        return cls(int(values.size), float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)), found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio (N,) in dB of two stacks (N, H, W, 3) of 8-bit images; infinite for equal ones."""
    out = np.empty(len(first))
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        error = float(np.square(a.astype(np.float32) - b.astype(np.float32)).mean(dtype=np.float64))
        out[i] = 10 * np.log10(255**2 / error) if error else np.inf
    return out


def text_table(rows: list[list[str]]) -> str:
    """Rows as aligned text: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )
