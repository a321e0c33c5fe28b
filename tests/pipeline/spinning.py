"""A stage that leaves its batch to the device: with 32 samples as fast as with 16, with more slower, then too large."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Literal

import toy

from fasgen.stages.stage import PICTURE, Product, Reads, Reject, Roster, Sample, StageConfig, StageSpec


class CutConfig(StageConfig):
    size: int = 24
    batch: int = 4


class SpinConfig(StageConfig):
    batch: int | Literal["auto"] = "auto"
    compile: Literal["auto", "max"] = "auto"
    lanes: int = 32
    room: int = 1024
    speed: float = 1.0


class Cut(toy.Shrink):
    def __init__(self, config: CutConfig, device: Any) -> None:
        self.factor = 2


class Spin:
    def __init__(self, config: SpinConfig, device: Any) -> None:
        assert isinstance(config.batch, int) and str(device) == "cpu"
        if os.environ.get("SPIN_FAILS"):
            raise ValueError("no such weights")
        self.config = config

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [Product(values={"slot": sample.slot}) for sample in batch]


def rehearse(stage: Spin, side: int) -> None:
    config = stage.config
    if os.environ.get("SPIN_DIES_AT") == str(config.batch):
        os._exit(9)
    assert side == 24 and isinstance(config.batch, int)
    if config.batch > config.room:
        raise MemoryError
    time.sleep(0.05 / config.speed * (-(-config.batch // config.lanes)) ** 1.5)


def usual(config: SpinConfig) -> int:
    return 16 if config.batch == "auto" else config.batch


CUT = StageSpec(
    "cut",
    "crops",
    1,
    (),
    CutConfig,
    "spinning:Cut",
    columns=toy.SHRINK.columns,
    images=("small",),
    picture="small",
    batch=lambda config: config.batch,
)
SPIN = StageSpec(
    "spin",
    "spun",
    1,
    (Reads(PICTURE, images=("small",)),),
    SpinConfig,
    "spinning:Spin",
    columns=tuple(column for column in toy.NOISY.columns if column.name == "slot"),
    batch=usual,
    device="accelerator",
    rehearse="spinning:rehearse",
)
DRAWN = StageSpec(
    "drawn",
    "drawn from the crops",
    1,
    (Reads("cut", images=("small",)),),
    CutConfig,
    "spinning:Cut",
    images=("small",),
    picture="small",
    batch=lambda config: config.batch,
    roster=Roster("cut", "nobody:draw", (), lambda config: 1),
)
LAST = StageSpec(
    "last",
    "reads what was spun",
    1,
    (Reads("spin", columns=("slot",)),),
    CutConfig,
    "spinning:Cut",
    batch=lambda config: config.batch,
)
TARGETS = {"cut": "spinning:CUT", "spin": "spinning:SPIN"}
