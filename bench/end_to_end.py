"""Units of defake from store to store, through plan, engine and worker, beside stand-ins for the stages before it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from bench.engine import ENGINES, UnitTimes
from bench.faces import identity_map, pictures, placed
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.run import run as drive
from fasgen.records import Column
from fasgen.sources.config import SourceConfig
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.stage import ArrayField, Product, Reads, Reject, Sample, StageConfig, StageSpec


def crops(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """Stands for align: the picture is the crop."""

    def one(sample: Sample) -> Product:
        image = sample.images["image"]
        return Product(images={"crop": image}, values=placed(len(image)))

    return lambda batch: [one(sample) for sample in batch]


def maps(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """Stands for identify: a map of noise."""

    def one(sample: Sample) -> Product:
        return Product(arrays={"identity_map": identity_map(sample.seed)})

    return lambda batch: [one(sample) for sample in batch]


ALIGN = StageSpec(
    "align",
    "pictures as crops",
    1,
    (),
    StageConfig,
    "bench.end_to_end:crops",
    columns=(Column("landmarks", "list<float32>", "five points"), Column("transform", "list<float32>", "identity")),
    images=("crop",),
    picture="crop",
)
IDENTIFY = StageSpec(
    "identify",
    "noise as identity",
    1,
    (Reads("align"),),
    StageConfig,
    "bench.end_to_end:maps",
    arrays=(ArrayField("identity_map", "float16", "512 x 7 x 7"),),
)
TARGETS = {
    "align": "bench.end_to_end:ALIGN",
    "identify": "bench.end_to_end:IDENTIFY",
    "defake": "fasgen.stages.defake.config:SPEC",
}


@dataclass(frozen=True)
class Way:
    """How one run of defake went.

    Attributes:
        first: seconds from the start of its engine to the first committed unit.
        rate: samples a second between the first and the last commit; the networks are built and compiled before the first.
    """

    first: float
    rate: float


class EndToEnd:
    """A store whose crops and identity maps are committed.

    Args:
        folder: an empty folder.
        config: defake's settings.
        resources: one GPU, or one CPU worker.
        side: of the crops, px.
        units: units of a run, at least two.
        rows: of a unit.
    """

    def __init__(self, folder: Path, config: DefakeConfig, resources: Resources, *, side: int, units: int, rows: int) -> None:
        import cv2

        self.rows = rows
        (folder / "in").mkdir()
        for number, image in enumerate(pictures(units * rows, side)):
            cv2.imwrite(str(folder / "in" / f"{number:04d}.png"), image)
        source = SourceConfig(name="bench", path=folder / "in")
        self._settings: dict[str, Any] = {"align": StageConfig(), "identify": StageConfig(), "defake": config}
        self._settings |= {"seed": 0, "unit_rows": rows, "sources": [source]}
        self._folder, self._resources = folder, resources
        self._drive(self._plan(["align", "identify"]), "local")

    def __call__(self, engine: Literal["local", "ray"] = "local") -> Way:
        """De-fake all units, whatever an earlier call has left."""
        shutil.rmtree(self._plan(["defake"]).stages["defake"].folder, ignore_errors=True)
        began = time.perf_counter()
        commits = self._drive(self._plan(["defake"]), engine)
        return Way(commits[0] - began, (len(commits) - 1) * self.rows / (commits[-1] - commits[0]))

    def _plan(self, wanted: list[str]) -> Plan:
        config: Any = SimpleNamespace(**self._settings)
        return build_plan(config, wanted, self._folder / "store", resources=self._resources, targets=TARGETS)

    def _drive(self, plan: Plan, engine: str) -> list[float]:
        times = UnitTimes()
        result = drive(plan, partial(ENGINES[engine], plan), Silent(), times)
        if result.ok != result.planned or result.remaining:
            raise RuntimeError(
                f"{result.ok} of {result.planned} rows are ok, {result.remaining} units are left: {result.error}"
            )
        return times.units
