"""Whether a unit costs more where there are many: the processor's time a unit, of 1,000 and of 100,000.

Three stages that compute nothing run on the local engine: one reads sources, one reads the first, one draws its rows beside
guides from anywhere. A unit has one row, so that what is measured is the cost of units: listing, plan, roster, schedule and
commit. The folders have the names of as many units as there are. A run is stopped after some hundred units. What came before
the first of them is shared out among all that were planned; the others are the cost of one more. The upstream units of the
second and the third stage are simulated: their manifests are written by the functions that write real ones. What counts is the
processor's time: on a busy machine the wall clock tells of the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bench.harness import Row, median_ratio, table
from fasgen.records import Column, Scalar
from fasgen.stages.stage import Product, Reads, Reject, Roster, Sample, StageConfig, StageSpec

if TYPE_CHECKING:
    from fasgen.pipeline.plan import Plan

FEW, MANY = 1_000, 100_000
LIMIT = 1.5
"""Times that a unit may cost among many what it costs among few."""

MEASURED, ROUNDS = 300, 2
GUIDE = (Column("guide_unit", "int32", "unit of the guide"), Column("guide_row", "int32", "row of the guide"))


def nothing(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """A stage whose products are empty."""
    return lambda batch: [Product() for _ in batch]


def draw(rows: Mapping[str, Any], config: StageConfig, seed: int) -> list[dict[str, Scalar]]:
    """One variant of every row, whose guide is far away."""
    count = len(rows["unit"])
    entries: list[dict[str, Scalar]] = []
    for index in range(count):
        guide = (index * 7919 + count // 2) % count
        parents = [rows["sample_id"][index], rows["sample_id"][guide]]
        where = {"unit": int(rows["unit"][index]), "row": int(rows["row"][index])}
        beside = {"guide_unit": int(rows["unit"][guide]), "guide_row": int(rows["row"][guide])}
        known = {"dataset": rows["dataset"][index], "path": rows["path"][index]}
        entries.append({**where, **beside, **known, "variant": 1, "place": where["row"], "parent_ids": parents})
    return entries


FIRST = StageSpec("first", "reads sources", 1, (), StageConfig, "bench.units:nothing")
SECOND = StageSpec("second", "reads the first", 1, (Reads("first"),), StageConfig, "bench.units:nothing")
DRAWN = StageSpec(
    "drawn",
    "draws its rows",
    1,
    (Reads("first"),),
    StageConfig,
    "bench.units:nothing",
    columns=GUIDE,
    guides=(Reads("first", prefix="guide_"),),
    roster=Roster("first", "bench.units:draw", GUIDE, lambda config: 1),
)
SPECS = {spec.name: spec for spec in (FIRST, SECOND, DRAWN)}


class Stopwatch:
    """A ledger that keeps how much of the processor's time was used at each commit, and interrupts the run in time."""

    def __init__(self) -> None:
        self.used: list[float] = []

    def event(self, kind: str, **fields: object) -> None:
        if kind == "unit":
            self.used.append(time.process_time())
            if len(self.used) == MEASURED:
                # The first Ctrl-C: units in hand are finished.
                signal.raise_signal(signal.SIGINT)

    def summary(self, document: Mapping[str, object]) -> None:
        return None


def make_files(folder: Path, count: int) -> None:
    """So many pictures of 4 x 4 pixels."""
    from PIL import Image

    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "0.png")
    data = (folder / "0.png").read_bytes()
    for number in range(count):
        (folder / f"{number}.png").write_bytes(data)


def make_plan(sources: str, store: str, stage: str) -> Plan:
    """The plan of one stage on one CPU worker."""
    from fasgen.pipeline.plan import build_plan
    from fasgen.pipeline.resources import Resources
    from fasgen.sources.config import Limits, SourceConfig

    source = SourceConfig(name="bench", path=Path(sources), limits=Limits(min_side=1))
    config: Any = SimpleNamespace(seed=0, unit_rows=1, sources=[source], **dict.fromkeys(SPECS, StageConfig()))
    targets = {name: f"bench.units:{name.upper()}" for name in SPECS}
    return build_plan(config, [stage], Path(store), resources=Resources(0, 1), targets=targets)


def commit(sources: str, store: str) -> None:
    """Commit all units of the first stage: one is made, and its manifest stands for all others with their names in it."""
    import pyarrow as pa

    from fasgen.manifests.atomic import file_digest
    from fasgen.manifests.parquet import encode_table, read_table
    from fasgen.manifests.unit import KEY, digests_path, manifest_path, unit_facts
    from fasgen.pipeline.events import Key
    from fasgen.pipeline.schedule import Assign
    from fasgen.pipeline.worker import Worker

    plan = make_plan(sources, store, "first")
    plan.write()
    folder, samples = plan.stages["first"].folder, list(plan.listing.sample_ids())
    Worker().run(plan.task(Assign(0, Key("first", 0)), folder))
    facts, made = unit_facts(folder, 0), read_table(manifest_path(folder, 0))
    for unit in plan.listing.numbers[1:]:
        own, table = {"sample_id": samples[unit], "unit": unit}, made
        for name, value in own.items():
            at = made.schema.get_field_index(name)
            table = table.set_column(at, made.schema.field(at), pa.array([value], made.schema.field(at).type))
        inputs, identity = plan.inputs(Key("first", unit)), hashlib.sha256(samples[unit].encode()).hexdigest()
        mine = replace(facts, summary=replace(facts.summary, unit=unit), inputs=inputs, identity=identity)
        path = manifest_path(folder, unit)
        path.write_bytes(encode_table(table.replace_schema_metadata({KEY: mine.encode()})))
        digests_path(folder, unit).write_text(f"{file_digest(path)}  {path.name}\n")


def empty(folder: Path, units: int) -> None:
    """Take back what an earlier round made; files beside manifests stay, and lie there as if all units had been made."""
    from fasgen.manifests.roster_file import roster_path
    from fasgen.manifests.unit import committed_units, digests_path, discard, timing_path

    if not folder.is_dir():
        folder.mkdir(parents=True)
        for unit in range(2 * MEASURED, units):
            digests_path(folder, unit).touch()
            timing_path(folder, unit).touch()
    for unit in committed_units(folder):
        discard(folder, unit)
    roster_path(folder).unlink(missing_ok=True)


def one_round(sources: str, store: str) -> dict[str, float]:
    """Milliseconds of the processor a unit by stage, and this process's peak memory in MiB."""
    import torch  # noqa: F401 - a worker would import it, in a time that has nothing to do with units

    from fasgen.pipeline.local_engine import LocalEngine
    from fasgen.pipeline.progress import Silent
    from fasgen.pipeline.resources import peak_rss
    from fasgen.pipeline.run import run as drive

    found: dict[str, float] = {}
    for stage in SPECS:
        place = f"{store}-empty" if stage == "first" else store
        count = sum(1 for _ in Path(sources).iterdir())
        empty(next(Path(place).glob(f"{stage}-*"), None) or make_plan(sources, place, stage).stages[stage].folder, count)
        watch, began = Stopwatch(), time.process_time()
        plan = make_plan(sources, place, stage)
        result = drive(plan, partial(LocalEngine, plan.staff), Silent(), watch)
        if len(watch.used) < MEASURED or result.ok != result.units:
            raise RuntimeError(f"{stage}: {result.ok} of {result.units} units are ok: {result.error}")
        steady = (watch.used[MEASURED - 1] - watch.used[0]) / (MEASURED - 1)
        found[stage] = 1e3 * (steady + (watch.used[0] - began) / plan.listing.units)
    return found | {"memory": peak_rss() / 2**20}


def _apart(function: str, *arguments: str) -> dict[str, float]:
    code = f"import json, sys; from bench import units; print(json.dumps(units.{function}(*sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> list[Row]:
    """A row a stage: what a unit costs among many beside what it may; then the memory of the process with many."""
    places = {count: (str(folder / f"in-{count}"), str(folder / f"store-{count}")) for count in (FEW, MANY)}
    for count, (sources, store) in places.items():
        make_files(Path(sources), count)
        _apart("commit", sources, store)
    rounds = [{count: _apart("one_round", *where) for count, where in places.items()} for _ in range(ROUNDS)]
    rows: list[Row] = []
    for stage, spec in SPECS.items():
        few, many = ([each[count][stage] for each in rounds] for count in (FEW, MANY))
        name = f"a unit among {MANY:,}, of a stage that {spec.summary}"
        limit = f"{LIMIT} times one among {FEW:,}"
        rows.append(
            Row(
                name, statistics.median(many), LIMIT * statistics.median(few), limit, LIMIT * median_ratio(many, few), 1.0, "ms"
            )
        )
    memory = max(each[MANY]["memory"] for each in rounds)
    return [*rows, Row(f"{MANY:,} units, peak memory of driver and worker", memory, None, "", None, None, "MiB")]


def run() -> list[Row]:
    """Milliseconds of the processor a unit, beside the limit."""
    # In memory, where there is room: disks of shared machines tell of others too.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        return measure(Path(name))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(run()))
