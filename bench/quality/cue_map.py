"""Does the score of LGSC's map tell real attacks from live faces? Area under the ROC curve, domain by domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.crops import Crops
from bench.quality.metrics import auc
from bench.quality.probe import LISTINGS, aligned
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.stage import Product, Sample


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


def measure(data: Path, out: Path, config: LgscConfig, *, device: str) -> list[Row]:
    """Score the pictures of both data sets as the stage does.

    Args:
        data: folder of the data sets.
        out: folder that keeps the crops.
        config: the stage's settings.
        device: torch's name of the device.
    """
    stage = Lgsc(config, torch.device(device))
    rows: list[Row] = []
    for name in LISTINGS:
        crops = aligned(data, out, name, device)
        scores = _scores(stage, crops)
        rows += [_row(name, str(group), scores, crops, crops.groups == group) for group in np.unique(crops.groups)]
        rows.append(_row(name, "", scores, crops, np.ones(len(scores), np.bool_)))
    return rows


def _scores(stage: Lgsc, crops: Crops) -> NDArray[np.float64]:
    batch = stage.config.batch
    found: list[float] = []
    for first in range(0, len(crops.images), batch):
        part = crops.images[first : first + batch]
        made = stage([Sample(str(first + i), 0, i, {"crop": image}) for i, image in enumerate(part)])
        found += [float(str(one.values["lgsc_score"])) if isinstance(one, Product) else np.nan for one in made]
    return np.array(found)


def _row(name: str, group: str, scores: NDArray[np.float64], crops: Crops, chosen: NDArray[np.bool_]) -> Row:
    live, spoof = scores[chosen & ~crops.spoof], scores[chosen & crops.spoof]
    area = auc(spoof, live) if live.size and spoof.size else None
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
