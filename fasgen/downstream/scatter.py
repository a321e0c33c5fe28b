"""Features of scored samples as a scatter plot: colours tell live and attacks, marks data sets; what was made is hollow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fasgen.downstream.drawing import Colour, Drawing, Point
from fasgen.downstream.metrics import Floats
from fasgen.downstream.pictures import COLOURS, INK, LEFT, SIDE, TOP, frame, placed
from fasgen.downstream.projection import neighbours, principal

Way = Literal["pca", "tsne"]

MOST = 5000
"""Samples that are drawn; of more a part, by their ids, which are digests."""

_WIDTH, _REACH, _MARGIN = 150.0, 2.6, 0.04
_UNKNOWN, _WHITE = (150, 150, 150), (255, 255, 255)
_ROUND = tuple((float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 12, endpoint=False))
_SHAPES: tuple[tuple[Point, ...], ...] = (
    _ROUND,
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    ((0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)),
    ((0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    *(
        tuple((x * a + y * b, x * c + y * d) for x, y in ((-1.3, -0.4), (1.3, -0.4), (1.3, 0.4), (-1.3, 0.4)))
        for a, b, c, d in ((1, 0, 0, 1), (0, 1, 1, 0))
    ),
)
"""Marks of data sets, around 0 in units of their reach; from the eighth data set on they come again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is drawn of one sample.

    Attributes:
        sample: its id.
        label: 1 live, 0 spoof, other values unknown.
        attack: attack type; empty where unknown.
        dataset: its data set.
        generated: whether it was synthesised.
    """

    sample: str
    label: int
    attack: str = ""
    dataset: str = ""
    generated: bool = False

    @property
    def kind(self) -> str:
        """What its colour tells."""
        return {1: "live", 0: self.attack or "spoof"}.get(self.label, "unknown")


def draw_features(features: NDArray[np.float32], samples: Sequence[Shown], way: Way, caption: str) -> Drawing:
    """Features in two dimensions.

    Args:
        features: (N, F), a row a sample.
        samples: N, in that order.
        way: principal components, or t-SNE.
        caption: above the picture.

    Raises:
        ConfigError: t-SNE cannot be had.
    """
    chosen = sorted(range(len(samples)), key=lambda place: (samples[place].sample, samples[place].generated, place))[:MOST]
    shown = [samples[place] for place in chosen]
    if way == "pca":
        # The axes are those of all samples, whether drawn or not.
        whole, shares = principal(features)
        points = whole[chosen]
        axes = [
            f"{name} principal component, {100 * s:.1f} % of variance"
            for name, s in zip(("first", "second"), shares, strict=True)
        ]
    else:
        points, axes = neighbours(np.asarray(features)[chosen]), ["t-SNE, no unit", "t-SNE, no unit"]
    if len(shown) < len(samples):
        caption = f"{caption}; {len(shown):,} of {len(samples):,} samples are drawn"
    page = frame({"pca": "Features, PCA", "tsne": "Features, t-SNE"}[way], caption, axes[0], axes[1], [], [], more=_WIDTH)
    kinds, sets = _colours(shown), list(dict.fromkeys(sorted(one.dataset for one in shown)))
    for one, at in zip(shown, _on_page(points), strict=True):
        _mark(page, at, sets.index(one.dataset), kinds[one.kind], one.generated)
    _legend(page, kinds, sets, any(one.generated for one in shown))
    return page


def _colours(shown: Sequence[Shown]) -> dict[str, Colour]:
    """Live first, then attacks by name, which share colours from the sixth on; what is not known is grey."""
    there = {one.kind for one in shown}
    attacks = sorted(there - {"live", "unknown"})
    found = {"live": COLOURS[0]} if "live" in there else {}
    found |= {attack: COLOURS[1:][number % (len(COLOURS) - 1)] for number, attack in enumerate(attacks)}
    return found | ({"unknown": _UNKNOWN} if "unknown" in there else {})


def _on_page(points: Floats) -> list[Point]:
    """Both axes in one scale, the middle of what there is in the middle of the frame."""
    if not len(points):
        return []
    low, high = points.min(0), points.max(0)
    span = float((high - low).max()) or 1.0
    inside = 0.5 + (points - (low + high) / 2) / span * (1 - 2 * _MARGIN)
    return placed(inside[:, 0], inside[:, 1])


def _mark(page: Drawing, at: Point, shape: int, colour: Colour, hollow: bool) -> None:
    corners = [(at[0] + _REACH * x, at[1] + _REACH * y) for x, y in _SHAPES[shape % len(_SHAPES)]]
    page.area(corners, _WHITE if hollow else colour)
    page.line([*corners, corners[0]], colour if hollow else _WHITE, 0.7 if hollow else 0.35)


def _legend(page: Drawing, kinds: dict[str, Colour], sets: Sequence[str], hollow: bool) -> None:
    left, row = LEFT + SIDE + 14, TOP + 8.0
    groups: list[list[tuple[str, int, Colour, bool]]] = [[(name, 0, colour, False) for name, colour in kinds.items()]]
    groups.append([(name or "no data set", number, INK, False) for number, name in enumerate(sets) if len(sets) > 1])
    groups.append([("generated", 0, INK, True)] if hollow else [])
    for group in groups:
        for name, shape, colour, is_hollow in group:
            if row < TOP + SIDE:
                _mark(page, (left, row - 2.5), shape, colour, is_hollow)
                page.text(name if len(name) <= 28 else f"{name[:27]}…", (left + 9, row), 7.5, INK)
            row += 12
        row += 6 if group else 0
