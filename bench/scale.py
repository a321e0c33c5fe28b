"""What a large store costs to ask: a filter over a million rows, and the morning report of fifty thousand samples.

The stores are simulated. Manifests have all columns and are written by the same functions as real ones. The report's crops are
real faces where FASGEN_DATA names them (each used several times), else generated pictures, which pack otherwise. Each
measurement runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, table

ROWS, UNIT = 1_000_000, 512
SAMPLES, PICTURES = 50_000, 2_000
LIMIT_SECONDS, LIMIT_MEMORY = 3.0, 1024.0

FILTERS = {
    "one column": "brisque > 99.9",
    "four columns, texts": "brisque > 70 and label = 'spoof' and attack_type in ('print', 'replay') and path like '%/07%.png'",
    "nothing passes": "brisque > 1000",
}


def write_rows(store: Path) -> None:
    """One stage's manifests, ``ROWS`` rows in units of ``UNIT``, without payloads."""
    from fasgen.manifests.plan_file import write_plan

    digest = "5c" * 32
    folder = store / f"score-{digest[:8]}"
    units = write_units(folder, digest, ROWS, UNIT)
    write_plan(folder, {"stage": "score", "plan_hash": digest, "upstream": {"sources": "0" * 64}, "units": units, "rows": ROWS})


def write_units(folder: Path, digest: str, rows: int, size: int) -> int:
    """Manifests of units of ``size`` rows, by the functions that write real ones; the number of units."""
    import pyarrow as pa

    from fasgen.manifests.parquet import encode_table
    from fasgen.manifests.schema import arrow_schema
    from fasgen.manifests.unit import KEY, UnitFacts, UnitSummary, manifest_path
    from fasgen.records import Column

    own = [
        Column("brisque", "float64", "BRISQUE of the crop", "points, lower is better"),
        Column("identity_similarity", "float32", "cosine, higher is closer", "[-1, 1]"),
        Column("box", "list<float32>", "face box", "px"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    schema = arrow_schema(own)
    units = -(-rows // size)
    for unit in range(units):
        count = min(size, rows - unit * size)
        columns = _columns(rng, range(unit * size, unit * size + count), unit, digest)
        summary = UnitSummary(unit, count, count, 0, 0, {}, 0)
        facts = UnitFacts(summary, None, (), {}, digest, "ab" * 32, inputs="1" * 64, identity="2" * 64)
        arrays = [pa.array(columns.get(field.name, [None] * count), field.type) for field in schema]
        manifest = pa.Table.from_arrays(arrays, schema=schema.with_metadata({KEY: facts.encode()}))
        manifest_path(folder, unit).write_bytes(encode_table(manifest))
    return units


def _columns(rng: np.random.Generator, numbers: range, unit: int, digest: str) -> dict[str, Any]:
    count = len(numbers)
    attacks = [("print", "replay", "mask", None)[number % 4] for number in numbers]
    return {
        "sample_id": [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in numbers],
        "parent_ids": [[]] * count,
        "unit": [unit] * count,
        "row": list(range(count)),
        "variant": [0] * count,
        "status": ["ok"] * count,
        "seed": rng.integers(0, 2**63 - 1, count),
        "dataset": ["simulated"] * count,
        "path": [f"subject_{number % 5000:04d}/{number % 100:02d}{number:07d}.png" for number in numbers],
        "subject": [f"simulated/{number % 5000:04d}" for number in numbers],
        "label": ["spoof" if attack else "live" for attack in attacks],
        "attack_type": attacks,
        "domain": [f"simulated|cam|{attack or 'live'}" for attack in attacks],
        "licence": ["research-only"] * count,
        "payload_digest": [f"{value:064x}" for value in rng.integers(0, 2**63 - 1, count).tolist()],
        "payload_bytes": [0] * count,
        "array_index": list(range(count)),
        "plan_hash": [digest] * count,
        "weights": ["ab" * 32] * count,
        "brisque": rng.normal(35, 15, count),
        "identity_similarity": rng.uniform(0, 1, count).astype(np.float32),
        "box": rng.uniform(0, 500, (count, 4)).astype(np.float32).tolist(),
    }


def write_samples(store: Path) -> str:
    """Align with crops, and score, of ``SAMPLES`` samples; returns what the crops are."""
    from fasgen.manifests.images import encode_png
    from fasgen.manifests.plan_file import write_plan
    from fasgen.manifests.shard import Row as Planned
    from fasgen.manifests.shard import UnitWriter
    from fasgen.records import Column, Reason

    what, found = _pictures()
    crops = [encode_png(picture, "bench") for picture in found]
    rng = np.random.default_rng(1)
    score = [Column("brisque", "float64", "BRISQUE of the crop", "points, lower is better")]
    score += [Column(f"score_{number}", "float32", "another score", "[0, 1]") for number in range(6)]
    hashes = {"align": "a1" * 32, "score": "5c" * 32}
    folders = {name: store / f"{name}-{digest[:8]}" for name, digest in hashes.items()}
    for unit, start in enumerate(range(0, SAMPLES, UNIT)):
        numbers = range(start, min(SAMPLES, start + UNIT))
        kwargs: dict[str, Any] = {"arrays": {}, "weights": ""}
        with (
            UnitWriter(folders["align"], unit, columns=[], plan_hash=hashes["align"], **kwargs) as align,
            UnitWriter(folders["score"], unit, columns=score, plan_hash=hashes["score"], **kwargs) as scored,
        ):
            for number in numbers:
                attack = ("print", "replay", "mask", None)[number % 4]
                provenance = {
                    "dataset": f"set{number // 20_000}",
                    "path": f"subject_{number % 500:04d}/{number:07d}.png",
                    "subject": f"s{number % 500}",
                    "label": "spoof" if attack else "live",
                    "attack_type": attack,
                    "domain": f"set{number // 20_000}|cam|{attack or 'live'}",
                }
                row = Planned(f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}", number - start, number, provenance=provenance)
                align.ok(row, files={"crop.png": crops[number % len(crops)]})
                value = float(rng.normal(35, 12))
                if value > 62:
                    scored.reject(row, Reason.QUALITY, f"brisque {value:.1f} is above brisque_max 62")
                else:
                    scored.ok(row, values={"brisque": value} | {column.name: float(rng.uniform()) for column in score[1:]})
            align.commit(len(numbers))
            scored.commit(len(numbers))
    for name, upstream in (("align", {"sources": "0" * 64}), ("score", {"align": hashes["align"]})):
        plan = {
            "stage": name,
            "plan_hash": hashes[name],
            "upstream": upstream,
            "units": unit + 1,
            "rows": SAMPLES,
            "config": {},
        }
        write_plan(folders[name], plan)
    return what


def _pictures() -> tuple[str, list[NDArray[np.uint8]]]:
    import cv2

    data = os.environ.get("FASGEN_DATA")
    faces = sorted(Path(data, "live_aligned_112").rglob("*.jpg"))[::5][:PICTURES] if data else []
    if faces:
        return f"{len(faces)} real faces", [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in faces]
    rng = np.random.default_rng(2)
    made = []
    for _ in range(PICTURES // 4):
        coarse = rng.integers(0, 256, (7, 7, 3)).astype(np.float32)
        picture = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 4, (112, 112, 3))
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return f"{len(made)} generated pictures", made


def ask(store: str, filter_sql: str) -> dict[str, float]:
    """One query with every column, as ``fasgen show`` asks it."""
    from fasgen.audit.query import show
    from fasgen.pipeline.resources import peak_rss

    began, used = time.perf_counter(), time.process_time()
    rows = show(Path(store), filter_sql, None, 51).num_rows
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return {"seconds": seconds, "processor": processor, "rows": rows, "memory": peak_rss() / 2**20}


def report(store: str) -> dict[str, float]:
    """The morning report."""
    from fasgen.audit.report.morning import write_report
    from fasgen.pipeline.resources import peak_rss

    began, used = time.perf_counter(), time.process_time()
    written = write_report(Path(store), Path(store) / "out")
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return {
        "seconds": seconds,
        "processor": processor,
        "memory": peak_rss() / 2**20,
        "bytes": written.bytes,
        "thumbnails": written.thumbnails,
    }


def _apart(function: str, *arguments: str) -> dict[str, float]:
    code = f"import json, sys; from bench import scale; print(json.dumps(scale.{function}(*sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(folder: Path) -> Iterator[Row]:
    """Rows of the table, as they become known."""
    write_rows(folder / "rows")
    memory = 0.0
    for name, filter_sql in FILTERS.items():
        _apart("ask", str(folder / "rows"), filter_sql)
        found = _apart("ask", str(folder / "rows"), filter_sql)
        memory = max(memory, found["memory"])
        ratio = LIMIT_SECONDS / found["seconds"]
        yield Row(f"query of {ROWS:,} rows: {name}", found["seconds"], LIMIT_SECONDS, "the limit", ratio, 1.0, "s")
        # On a busy machine the wall clock tells of the others; this tells of the query.
        yield Row("  of it on the processor", found["processor"], None, "", None, None, "s")
    yield Row("query: peak memory", memory, LIMIT_MEMORY, "the limit", LIMIT_MEMORY / memory, 1.0, "MiB")
    what = write_samples(folder / "samples")
    found = _apart("report", str(folder / "samples"))
    name = f"report of {SAMPLES:,} samples, {what}"
    yield Row(name, found["seconds"], None, "", None, None, "s")
    yield Row("  of it on the processor", found["processor"], None, "", None, None, "s")
    yield Row("report: size", found["bytes"] / 1e6, 64.0, "its budget", 64e6 / found["bytes"], 1.0, "MB")
    yield Row("report: samples with a thumbnail", found["thumbnails"], None, "", None, None, "samples")
    yield Row("report: peak memory", found["memory"], LIMIT_MEMORY, "the limit", LIMIT_MEMORY / found["memory"], 1.0, "MiB")


def run() -> list[Row]:
    """Seconds, megabytes and memory beside their limits."""
    with tempfile.TemporaryDirectory() as name:
        return list(measure(Path(name)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table(run()))
