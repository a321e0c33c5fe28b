"""Small units for the tests of manifests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit import UnitSummary
from fasgen.records import Column, Reason, Scalar

COLUMNS = (
    Column("brisque", "float64", "BRISQUE score", "[0, 100]"),
    Column("box", "list<float32>", "face box", "px"),
    Column("kept", "bool", "whether it was kept"),
)
ARRAYS = {"cue": "int16", "embedding": "float32"}
REJECTED = 2


def plan_hash(stage: str) -> str:
    """A hash of the right shape, different for every stage."""
    return (stage.encode().hex() * 64)[:64]


def image(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, (9, 11, 3), np.uint8)


def cue(row: int) -> np.ndarray:
    return np.random.default_rng(1000 + row).integers(-255, 256, (9, 11, 3)).astype(np.int16)


def row(number: int, dataset: str = "toy", variant: int = 0, said: Mapping[str, Scalar] = MappingProxyType({})) -> Row:
    provenance = {"dataset": dataset, "path": f'a folder/it\'s "{number}"\n\\xff.jpg', "label": "live", **said}
    return Row(f"{number:016x}", number, seed=number * 2**40 + 5, variant=variant, provenance=provenance)


def write_unit(
    folder: Path,
    order: Iterable[int] = range(6),
    unit: int = 0,
    plan: str = "p" * 64,
    said: Mapping[str, Scalar] = MappingProxyType({}),
) -> UnitSummary:
    """Six rows of which row 2 is rejected; even rows also have an embedding."""
    numbers = list(order)
    with UnitWriter(folder, unit, columns=COLUMNS, arrays=ARRAYS, plan_hash=plan, weights="w" * 64) as writer:
        for number in numbers:
            if number % 100 == REJECTED:
                writer.reject(row(number, said=said), Reason.NO_FACE, "no face above 0.9 in 'a\udcff.jpg'")
                continue
            arrays: dict[str, np.ndarray] = {"cue": cue(number)}
            if number % 2 == 0:
                arrays["embedding"] = np.full(4, number, np.float32)
            writer.ok(
                row(number, said=said),
                images={"crop": image(number)},
                arrays=arrays,
                files={"json": json.dumps({"row": number}).encode()},
                values={"brisque": np.float32(number * 10), "box": [0.5, 1.0, 2.0, np.float32(3.0)], "kept": True},
            )
        return writer.commit(len(numbers), {"compute_s": 0.5})


def write_stage(
    store: Path,
    stage: str,
    upstream: dict[str, str] | None = None,
    rows: Iterable[int] = range(6),
    said: Mapping[str, Scalar] = MappingProxyType({}),
) -> Path:
    """A generation with a plan and one unit."""
    digest = plan_hash(stage)
    folder = store / f"{stage}-{digest[:8]}"
    write_unit(folder, rows, plan=digest, said=said)
    write_plan(folder, {"stage": stage, "plan_hash": digest, "upstream": upstream or {"sources": "0" * 64}})
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, sidecars of timings left out."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".timing." not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
