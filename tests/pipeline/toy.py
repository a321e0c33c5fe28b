"""Three stages of NumPy only, a source of small pictures, and ways to die at a chosen moment.

``shrink`` reads sources, ``noisy`` reads shrink, ``join`` reads both and is shipped. Faults come from environment variables,
so that they enter no plan hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from fasgen.pipeline.engine import Engine
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import RunResult
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.run import run
from fasgen.records import Column, Reason
from fasgen.seeds import normal_noise
from fasgen.sources.config import Limits, SourceConfig
from fasgen.stages.stage import ArrayField, Product, Reads, Reject, Sample, StageConfig, StageSpec

SIDE = 20
KILLER = 251
"""A picture whose first level is this kills its worker while ``TOY_KILLER`` is set, and hangs while ``TOY_HANGER`` is."""


class ShrinkConfig(StageConfig):
    factor: int = Field(2, ge=1)
    batch: int = 4


class NoisyConfig(StageConfig):
    strength: float = 3.0


class JoinConfig(StageConfig):
    pass


def die_once(stage: str, sample: Sample) -> None:
    """SIGKILL, once, at the sample whose first level is in ``TOY_DIE_AT`` (stage:level:marker file)."""
    wish = os.environ.get("TOY_DIE_AT", "")
    if not wish:
        return
    name, level, marker = wish.split(":", 2)
    picture = next(iter(sample.images.values()))
    if name == stage and int(picture[0, 0, 0]) == int(level) and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)


class Shrink:
    def __init__(self, config: ShrinkConfig, device: Any) -> None:
        self.factor = config.factor

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
        return [self.one(sample) for sample in batch]

    def one(self, sample: Sample) -> Product | Reject:
        image = sample.images["image"]
        die_once("shrink", sample)
        if os.environ.get("TOY_KILLER") and image[0, 0, 0] == KILLER:
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ.get("TOY_HANGER") and image[0, 0, 0] == KILLER:
            time.sleep(600)
        if image[0, 0, 0] == 7:
            return Reject(Reason.NO_FACE, "level 7")
        if image[0, 0, 0] == 9:
            raise ValueError("level 9")
        small = np.ascontiguousarray(image[:: self.factor, :: self.factor])
        return Product(images={"small": small}, values={"mean": float(small.mean())})


class Noisy:
    def __init__(self, config: NoisyConfig, device: Any) -> None:
        self.strength = config.strength

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [self.one(sample) for sample in batch]

    def one(self, sample: Sample) -> Product | Reject:
        die_once("noisy", sample)
        small = sample.images["small"]
        if small[0, 0, 0] == 11:
            return Product(values={"slot": 0, "spread": float("nan")})
        noise = (self.strength * normal_noise(sample.seed, small.shape)).astype(np.int16)
        return Product(arrays={"noise": noise}, values={"slot": sample.slot, "spread": float(noise.std())})


class Join:
    def __init__(self, config: JoinConfig, device: Any) -> None:
        pass

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [
            Product(
                files={
                    "png": sample.files["small"],
                    "npy": sample.arrays["noise"].tobytes(),
                    "json": json.dumps([sample.values["mean"], sample.values["label"]]).encode(),
                }
            )
            for sample in batch
        ]


SHRINK = StageSpec(
    "shrink",
    "smaller",
    1,
    (),
    ShrinkConfig,
    "toy:Shrink",
    columns=(Column("mean", "float64", "mean level"),),
    images=("small",),
    picture="small",
    batch=lambda config: config.batch,
    remedies={Reason.NO_FACE: "mend the pictures"},
)
NOISY = StageSpec(
    "noisy",
    "noise",
    1,
    (Reads("shrink", images=("small",)),),
    NoisyConfig,
    "toy:Noisy",
    columns=(Column("slot", "int32", "slot"), Column("spread", "float64", "spread")),
    arrays=(ArrayField("noise", "int16", "H x W x 3"),),
    batch=lambda config: 3,
)
JOIN = StageSpec(
    "join",
    "both",
    1,
    (Reads("shrink", encoded=("small",), columns=("mean",)), Reads("noisy", arrays=("noise",))),
    JoinConfig,
    "toy:Join",
    tar="toy-{unit:06d}.tar",
    shipped=True,
)
TARGETS = {"shrink": "toy:SHRINK", "noisy": "toy:NOISY", "join": "toy:JOIN"}


def terms(folder: Path) -> Any:
    """What asks nothing of workers but a word in ``folder``."""
    nothing = {"store": str(folder), "folder": str(folder), "threads": 1, "stages": {}, "weights": {}, "sources": {}}
    return {kind: {**nothing, "accelerator": False} for kind in ("accelerator", "cpu")}


class Pages:
    """A ledger kept in memory."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.document: dict[str, Any] = {}

    def event(self, kind: str, **fields: object) -> None:
        self.events.append({"event": kind, **fields})

    def summary(self, summary: Any) -> None:
        self.document = dict(summary)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def make_source(folder: Path, count: int = 22) -> SourceConfig:
    """``count`` pictures whose first level is their number times 2 (7, 9, 11 at 3, 4, 5), one empty file, one that is text."""
    folder.mkdir(parents=True)
    levels = {3: 7, 4: 9, 5: 11}
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[0, 0] = levels.get(number, 20 + 2 * number)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    (folder / "010-empty.png").write_bytes(b"")
    (folder / "011-text.jpg").write_text("no picture")
    return SourceConfig(name="toys", path=folder, label="live", limits=Limits(min_side=4))


def configure(source: SourceConfig, **changes: Any) -> Any:
    stages = {"shrink": ShrinkConfig(), "noisy": NoisyConfig(), "join": JoinConfig()}
    return SimpleNamespace(**({"seed": 1, "unit_rows": 8, "sources": [source]} | stages | changes))


def plan(config: Any, store: Path, wanted: Sequence[str] = ("all",), cpus: int = 1) -> Plan:
    return build_plan(config, wanted, store, resources=Resources(0, cpus), targets=TARGETS)


def go(made: Plan, engine: Any, options: RunOptions | None = None) -> tuple[RunResult, Pages, Silent]:
    pages, silent = Pages(), Silent()
    make: Any = engine if callable(engine) else (lambda: engine)
    result = run(made, make, silent, pages, options)
    return result, pages, silent


_MOMENTS = {"runs", "current.json", "believed.json"}
"""What says when something was so, and is never the same twice."""


def content(store: Path) -> dict[str, str]:
    """Digest of every file but the timings, the history of runs, and the dates of generations."""
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
        and not {path.relative_to(store).parts[0], path.name} & _MOMENTS
        and not path.name.endswith(".timing.parquet")
    }


def engines(made: Plan) -> Engine:
    from fasgen.pipeline.local_engine import LocalEngine

    return LocalEngine(made.staff)
