"""Do the scores of LGSC's map and of STDN+ tell real attacks from live faces? Area under the ROC curve, domain by domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import Crops
from bench.quality.metrics import auc
from bench.quality.probe import LISTINGS, aligned
from fasgen.stages.align.template import target
from fasgen.stages.stage import Product, Reject, Sample

Stage = Callable[[Sequence[Sample]], list[Product | Reject]]


@dataclass(frozen=True)
class Row:
    """One group of pictures.

    Attributes:
        data_set: where they are from.
        group: domain or fold; empty for all together.
        live: how many live faces.
        spoof: how many attacks.
        area: chance that an attack's score lies above a live face's; None where one of both is missing.
        live_score: mean score of live faces.
        spoof_score: mean score of attacks.
    """

    data_set: str
    group: str
    live: int
    spoof: int
    area: float | None
    live_score: float
    spoof_score: float


def measure(data: Path, out: Path, stage: Stage, score: str, batch: int, *, spoof_is_high: bool, device: str) -> list[Row]:
    """Score the pictures of both data sets as the stage does.

    Args:
        data: folder of the data sets.
        out: folder that keeps the crops.
        stage: takes crops and gives the score as a value.
        score: name of that value.
        batch: samples a call.
        spoof_is_high: whether the score of attacks should be the higher one; else areas are those of its negative.
        device: torch's name of the device that aligns.
    """
    rows: list[Row] = []
    for name in LISTINGS:
        crops = aligned(data, out, name, device)
        scores = _scores(stage, crops, score, batch)
        whole = np.ones(len(scores), np.bool_)
        parts = [(str(group), crops.groups == group) for group in np.unique(crops.groups)] + [("", whole)]
        rows += [_row(name, group, scores, crops, chosen, spoof_is_high) for group, chosen in parts]
    return rows


def _scores(stage: Stage, crops: Crops, score: str, batch: int) -> NDArray[np.float64]:
    side = crops.images.shape[1]
    where: dict[str, Any] = {"landmarks": target("arcface", side).ravel().tolist(), "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    found: list[float] = []
    for first in range(0, len(crops.images), batch):
        part = crops.images[first : first + batch]
        made = stage([Sample(str(first + i), 0, i, {"crop": image}, values=dict(where)) for i, image in enumerate(part)])
        found += [float(str(one.values[score])) if isinstance(one, Product) else np.nan for one in made]
    return np.array(found)


def _row(
    name: str, group: str, scores: NDArray[np.float64], crops: Crops, chosen: NDArray[np.bool_], spoof_is_high: bool
) -> Row:
    live, spoof = scores[chosen & ~crops.spoof], scores[chosen & crops.spoof]
    area = None
    if live.size and spoof.size:
        area = auc(spoof, live) if spoof_is_high else auc(live, spoof)
    means = (float(part.mean()) if part.size else float("nan") for part in (live, spoof))
    return Row(name, group, len(live), len(spoof), area, *means)


def text(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    return "\n".join(_lines(rows))


def _lines(rows: list[Row]) -> Iterator[str]:
    yield "| data set | part | live, attacks | area under the ROC curve | mean score, live and attacks |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        area = "" if row.area is None else f"{row.area:.3f}"
        means = f"{row.live_score:.3f}, {row.spoof_score:.3f}"
        yield f"| {row.data_set} | {row.group or 'all'} | {row.live}, {row.spoof} | {area} | {means} |"
