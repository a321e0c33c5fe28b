"""A stage that draws its rows: each small picture is mixed with guides from anywhere; and one that takes both lanes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import toy

from fasgen.records import Column, Reason, Scalar
from fasgen.stages.settings import Selected
from fasgen.stages.stage import PICTURE, ArrayField, Product, Reads, Reject, Roster, Sample, StageConfig, StageSpec


class MixConfig(Selected):
    variants: int = 2


def draw(rows: Mapping[str, Any], config: MixConfig, seed: int) -> list[dict[str, Scalar]]:
    """Each ok row meets those ok ones that score highest; the first picture of all is rejected unseen."""
    ok = np.flatnonzero(rows["status"] == "ok").tolist()

    def score(*names: Any) -> bytes:
        return hashlib.sha256(repr(names).encode()).digest()

    entries: list[dict[str, Scalar]] = []
    for index in ok:
        identity: dict[str, Scalar] = {"unit": int(rows["unit"][index]), "row": int(rows["row"][index])}
        known = {"label": "spoof"} | {name: rows[name][index] for name in ("dataset", "path", "frame", "subject")}
        for variant in range(1, config.variants + 1):
            face = rows["sample_id"][index]
            guide = max(ok, key=lambda one: score(face, variant, rows["sample_id"][one]))
            entry = identity | known | {"variant": variant, "place": config.variants * identity["row"] + variant - 1}
            entry |= {"parent_ids": [rows["sample_id"][index], rows["sample_id"][guide]]}
            entry |= {"guide_unit": int(rows["unit"][guide]), "guide_row": int(rows["row"][guide])}
            if rows["path"][index] == "000.png":
                entry |= {"reason": Reason.NO_STYLE.value, "detail": "the first of all", "guide_unit": None, "guide_row": None}
            entries.append(entry)
    return entries


class Mix:
    def __init__(self, config: MixConfig, device: Any) -> None:
        pass

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [self.one(sample) for sample in batch]

    def one(self, sample: Sample) -> Product:
        toy.die_once("mix", sample)
        mixed = (sample.images["small"].astype(int) + sample.images["guide_small"]) // 2
        values = {name: sample.values[name] for name in ("guide_unit", "guide_row", "place")}
        return Product(images={"small": mixed.astype(np.uint8)}, values=values | {"slot": sample.slot})


class Compare:
    """Reads a variant, its photograph and its guide's noise."""

    def __init__(self, config: StageConfig, device: Any) -> None:
        pass

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [
            Product(
                arrays={"delta": sample.images["small"].astype(np.int16) - sample.images["own_small"]},
                values={"guide_spread": float(sample.arrays["guide_noise"].std()), "own_mean": sample.values["own_mean"]},
            )
            for sample in batch
        ]


class Collect:
    def __init__(self, config: StageConfig, device: Any) -> None:
        pass

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [
            Product(files={"png": sample.files["small"]}, values={"kind": sample.variant, "synthetic": sample.variant > 0})
            for sample in batch
        ]


OWN = (
    Column("guide_unit", "int32", "unit of the guide"),
    Column("guide_row", "int32", "row of the guide"),
)
MIX = StageSpec(
    "mix",
    "mixed",
    1,
    (Reads("shrink", images=("small",)),),
    MixConfig,
    "mixing:Mix",
    columns=(*OWN, Column("place", "int32", "place"), Column("slot", "int32", "slot")),
    images=("small",),
    picture="small",
    batch=lambda config: 4,
    guides=(Reads("shrink", images=("small",), prefix="guide_"),),
    roster=Roster("shrink", "mixing:draw", OWN, lambda config: config.variants),
    off=lambda config: config.variants == 0,
)
COMPARE = StageSpec(
    "compare",
    "compared",
    1,
    (
        Reads("mix", images=("small",), columns=("guide_unit", "guide_row")),
        Reads("shrink", images=("small",), columns=("mean",), prefix="own_", parent=True),
    ),
    StageConfig,
    "mixing:Compare",
    columns=(Column("guide_spread", "float64", "spread"), Column("own_mean", "float64", "mean")),
    arrays=(ArrayField("delta", "int16", "H x W x 3"),),
    guides=(Reads("noisy", arrays=("noise",), prefix="guide_"),),
)
COLLECT = StageSpec(
    "collect",
    "both lanes",
    1,
    (Reads("noisy", lanes=("photographed",)), Reads("compare", lanes=("mix",)), Reads(PICTURE, encoded=("small",))),
    StageConfig,
    "mixing:Collect",
    columns=(Column("kind", "int32", "variant"), Column("synthetic", "bool", "whether it is a variant")),
    joins=True,
    tar="fas-{unit:06d}.tar",
    shipped=True,
)
TARGETS = {
    "shrink": "toy:SHRINK",
    "noisy": "toy:NOISY",
    "mix": "mixing:MIX",
    "compare": "mixing:COMPARE",
    "collect": "mixing:COLLECT",
}
