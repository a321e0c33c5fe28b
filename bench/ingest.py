"""What large data sets cost before the first pixel is read: listing them, planning a run over them, and resuming one.

Files are empty: names and sizes are all that is read. A hundred thousand pictures are as many rows; a hundred thousand videos
of ten frames are a million. The plan has every stage of the default configuration, and is written. To resume, each stage but
pack has committed all its units; one stage's manifests are written as real ones are, those of the others are the same but for
what they were made from. Then a hundred videos more are a thousand new rows. Each measurement runs in a process of its own, so
that peak memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Row, table

FILES, FRAMES = 100_000, 10
INGEST_SECONDS, INGEST_MEMORY = 20.0, 500.0
PLAN_SECONDS, RESUME_SECONDS, GROWTH_SECONDS, DRIVER_MEMORY = 15.0, 10.0, 15.0, 1024.0
MORE = 100
PATTERN = r"(?P<split>train|test)/(?P<label>real|attack)/(?P<subject>s\d+)/"


def make_files(root: Path, kind: str, first: int = 0, count: int = FILES) -> None:
    """Empty files, a hundred a person, in folders as data sets have them."""
    for number in range(first, first + count):
        folder = root / ("train", "test")[number % 2] / ("real", "attack")[number % 4 // 2] / f"s{number // 100:04d}"
        if number % 100 < 4:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"clip_{number:07d}.{kind}").touch()


def ingest(root: str, store: str) -> dict[str, float]:
    """What ``fasgen ingest`` does: list, and write the listing."""
    from fasgen.pipeline.listing import take
    from fasgen.sources.config import SourceConfig
    from fasgen.sources.sampling import Sampling

    began, used = time.perf_counter(), time.process_time()
    frames = Sampling(count=FRAMES)
    source = SourceConfig(name="bench", path=Path(root), pattern=PATTERN, frames=frames, licence="research-only")
    listing = take([source], 256)
    listing.write_sources(Path(store))
    return _spent(began, used) | {"rows": len(listing.rows)}


def plan(root: str, store: str) -> dict[str, float]:
    """What ``fasgen run`` does before the first unit; units that can be done are counted."""
    from fasgen.config import load
    from fasgen.pipeline.plan import build_plan

    began, used = time.perf_counter(), time.process_time()
    source = f"{{name: bench, path: {root}, pattern: '{PATTERN}', frames: {FRAMES}, licence: research-only}}"
    config = load(None, [f"sources=[{source}]", f"store={store}"])
    made = build_plan(config, ["all"], config.store)
    made.write()
    committed = sum(len(stage.committed) for stage in made.stages.values())
    kept = made.unsure + committed
    return _spent(began, used) | {"todo": made.todo, "committed": committed, "kept": kept, "new": made.listing.growth.new}


def commit(root: str, store: str) -> dict[str, float]:
    """Commit every unit of each stage but the last."""
    from bench.scale import write_units
    from fasgen.config import load
    from fasgen.manifests.inputs import roster_basis, write_judged
    from fasgen.manifests.roster_file import write_roster
    from fasgen.manifests.unit import manifest_path
    from fasgen.pipeline.events import Key
    from fasgen.pipeline.plan import build_plan

    source = f"{{name: bench, path: {root}, pattern: '{PATTERN}', frames: {FRAMES}, licence: research-only}}"
    config = load(None, [f"sources=[{source}]", f"store={store}"])
    made = build_plan(config, ["all"], config.store)
    templates = Path(store) / "templates"
    write_units(templates, "5c" * 32, FILES * FRAMES, made.listing.unit_rows)
    units = {unit: manifest_path(templates, unit).read_bytes() for unit in made.listing.numbers}
    shutil.rmtree(templates)
    states: dict[str, str] = {}
    stages = list(made.stages.values())[:-1]
    for stage in stages:
        stage.folder.mkdir(parents=True, exist_ok=True)
        if stage.spec.roster:
            source_folder = made.stages[stage.spec.roster.source].folder
            basis = roster_basis(stage.folder, 0, source_folder, made.listing.numbers, made.identities)
            write_roster(stage.folder, [], stage.spec.roster.columns, basis=basis)
        guided = bool(stage.inputs and stage.inputs.guides)
        own: dict[int, str] = {}
        for unit, data in units.items():
            # Rows of guides are looked at by real runs only; a plan believes what the last of them has noted.
            own[unit] = "0" * 64 if guided else made.inputs(Key(stage.name, unit))
            for name, value in (
                ("plan_hash", stage.plan_hash),
                ("inputs", own[unit]),
                ("identity", hashlib.sha256(f"{stage.name} {unit}".encode()).hexdigest()),
            ):
                before = {"plan_hash": "5c" * 32, "inputs": "1" * 64, "identity": "2" * 64}[name]
                data = data.replace(f'"{name}":"{before}"'.encode(), f'"{name}":"{value}"'.encode())
            manifest_path(stage.folder, unit).write_bytes(data)
        if guided and stage.inputs:
            states[stage.folder.name] = stage.inputs.state(own, made.listing.numbers)
    write_judged(config.store, states)
    return {"units": len(stages) * len(units)}


def _spent(began: float, used: float) -> dict[str, float]:
    from fasgen.pipeline.resources import peak_rss

    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return {"seconds": seconds, "processor": processor, "memory": peak_rss() / 2**20}


def _apart(function: str, *arguments: str) -> dict[str, float]:
    code = f"import json, sys; from bench import ingest; print(json.dumps(ingest.{function}(*sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> Iterator[Row]:
    """Rows of the table, as they become known."""
    for what, kind in (("pictures", "jpg"), ("videos", "mp4")):
        root = str(folder / kind)
        make_files(Path(root), kind)
        found = _apart("ingest", root, str(folder / f"{kind}-store"))
        name = f"ingest {FILES:,} {what}, {found['rows']:,.0f} rows"
        yield from _limited(name, found, INGEST_SECONDS, INGEST_MEMORY)
    store = str(folder / "store")
    yield from _limited(f"plan {FILES * FRAMES:,} rows", _apart("plan", root, store), PLAN_SECONDS, DRIVER_MEMORY)
    units = _apart("commit", root, store)["units"]
    found = _apart("plan", root, store)
    if found["committed"] != units:
        raise RuntimeError(f"{found['committed']} of {units} units were found again: the figures would mean nothing")
    yield from _limited(f"resume {FILES * FRAMES:,} rows, {units:,.0f} units", found, RESUME_SECONDS, DRIVER_MEMORY)
    make_files(Path(root), kind, FILES, MORE)
    found = _apart("plan", root, store)
    if (found["new"], found["kept"]) != (MORE * FRAMES, units):
        raise RuntimeError(
            f"{found['new']} rows are new and {found['kept']} of {units} units kept: the figures would mean nothing"
        )
    yield from _limited(f"plan {MORE * FRAMES:,} rows more", found, GROWTH_SECONDS, DRIVER_MEMORY)


def _limited(name: str, found: dict[str, float], seconds: float, memory: float) -> Iterator[Row]:
    yield Row(name, found["seconds"], seconds, "the limit", seconds / found["seconds"], 1.0, "s")
    # On a busy machine the wall clock tells of the others; this tells of the work.
    yield Row("  of it on the processor", found["processor"], None, "", None, None, "s")
    yield Row("  peak memory", found["memory"], memory, "the limit", memory / found["memory"], 1.0, "MiB")


def run() -> list[Row]:
    """Seconds and memory beside their limits."""
    with tempfile.TemporaryDirectory() as name:
        return list(measure(Path(name)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(run()))
