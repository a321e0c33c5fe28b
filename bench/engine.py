"""What an engine costs: milliseconds a unit of a stage that does nothing, in a bare loop, in the local engine and on Ray."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.harness import Row, table
from fasgen.pipeline.engine import Engine
from fasgen.pipeline.events import Key
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.resources import Resources, peak_rss
from fasgen.pipeline.run import run as drive
from fasgen.pipeline.schedule import Assign
from fasgen.sources.config import Limits, SourceConfig
from fasgen.stages.stage import Product, Reads, Reject, Sample, StageConfig, StageSpec

UNITS = 100
TARGETS = {"first": "bench.engine:FIRST", "null": "bench.engine:NULL"}


def nothing(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """A stage whose products are empty."""
    return lambda batch: [Product() for _ in batch]


FIRST = StageSpec("first", "reads sources", 1, (), StageConfig, "bench.engine:nothing")
NULL = StageSpec("null", "does nothing", 1, (Reads("first"),), StageConfig, "bench.engine:nothing")


@dataclass(frozen=True)
class Overhead:
    """One way of running the null stage with one worker.

    Attributes:
        engine: its name and version.
        milliseconds: wall time a unit, in the steady state; commit with its flushes to disk included.
        start: seconds from nothing to the first committed unit.
        driver: peak resident memory of the driver so far, MiB.
        worker: the same of the largest worker, MiB.
    """

    engine: str
    milliseconds: float
    start: float
    driver: float
    worker: float


class UnitTimes:
    """A ledger that keeps when each unit was committed."""

    def __init__(self) -> None:
        self.units: list[float] = []

    def event(self, kind: str, **fields: object) -> None:
        if kind == "unit":
            self.units.append(time.perf_counter())

    def summary(self, summary: Mapping[str, object]) -> None:
        return None


def _plan(folder: Path, store: str, wanted: str) -> Plan:
    source = SourceConfig(name="null", path=folder / "in", limits=Limits(min_side=1))
    config = SimpleNamespace(seed=0, unit_rows=1, sources=[source], first=StageConfig(), null=StageConfig())
    return build_plan(config, [wanted], folder / store, resources=Resources(0, 1), targets=TARGETS)


def _sources(folder: Path) -> None:
    from PIL import Image

    (folder / "in").mkdir()
    for number in range(UNITS):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / "in" / f"{number:03d}.png")


def _local(plan: Plan) -> Engine:
    from fasgen.pipeline.local_engine import LocalEngine

    return LocalEngine(plan.resources)


def _ray(plan: Plan) -> Engine:
    from fasgen.pipeline.ray_engine import RayEngine

    # Stages of benchmarks lie here, beside whatever this process was told to find.
    paths = [str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return RayEngine(plan.resources, environment={"PYTHONPATH": os.pathsep.join(paths)})


ENGINES = {"local": _local, "ray": _ray}
"""Engines by name, made for a plan."""


def _engine(name: str, plan: Plan, make: Callable[[Plan], Engine]) -> Overhead:
    times = UnitTimes()
    began = time.perf_counter()
    result = drive(plan, partial(make, plan), Silent(), times)
    if result.ok != UNITS:
        raise RuntimeError(f"{name}: {result.ok} of {UNITS} units are ok: {result.error}")
    steady = (times.units[-1] - times.units[0]) / (len(times.units) - 1)
    return Overhead(name, steady * 1e3, times.units[0] - began, result.peak_driver / 2**20, result.peak_worker / 2**20)


def _bare(plan: Plan) -> Overhead:
    """The same units by one worker in a plain loop: what is left of an engine's figure above this one is the engine."""
    from fasgen.pipeline.worker import Worker

    plan.write()
    worker = Worker()
    began = time.perf_counter()
    ends: list[float] = []
    for unit in range(UNITS):
        worker.run(plan.task(Assign(0, Key("null", unit)), plan.store))
        ends.append(time.perf_counter())
    peak = peak_rss() / 2**20
    return Overhead("bare loop", (ends[-1] - ends[0]) / (UNITS - 1) * 1e3, ends[0] - began, peak, peak)


def measure() -> list[Overhead]:
    """Bare loop, local engine, Ray; each on a store of its own with the first stage committed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _sources(folder)
        for store in ("bare", "local", "ray"):
            first = _plan(folder, store, "first")
            drive(first, partial(_local, first), Silent(), UnitTimes())
        return [
            _bare(_plan(folder, "bare", "null")),
            _engine("local engine", _plan(folder, "local", "null"), _local),
            _engine(f"Ray {version('ray')}", _plan(folder, "ray", "null"), _ray),
        ]


def run() -> list[Row]:
    """Milliseconds a unit beside the bare loop, start-up, and peak memory of driver and worker."""
    bare, *engines = measure()
    rows: list[Row] = []
    for engine in engines:
        name = f"engine: {engine.engine}"
        ratio = bare.milliseconds / engine.milliseconds
        rows += [
            Row(f"{name}, a unit", engine.milliseconds, bare.milliseconds, "one worker in a bare loop", ratio, None, "ms"),
            Row(f"{name}, first unit after", engine.start, None, "", None, None, "s"),
            Row(f"{name}, peak memory of driver", engine.driver, None, "", None, None, "MiB"),
            Row(f"{name}, peak memory of worker", engine.worker, None, "", None, None, "MiB"),
        ]
    return rows


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(run()))
