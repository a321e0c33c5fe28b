"""A store whose people are on sides: three to train on, one to tune on, one to test, and one of whom no split is known."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import encode_table
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit import canonical_json
from fasgen.records import Column
from tests.stages.gallery.toy import picture

PEOPLE = {"ann": "train", "bob": "train", "cid": "train", "dan": "dev", "eve": "test", "fay": None}
HASH = "12345678" * 8
EACH = 2
SCORE = Column("sharpness", "float32", "sharpness of the crop")


def sample(person: str, label: str, number: int) -> str:
    return f"{(list(PEOPLE).index(person) * 100 + (label == 'spoof') * 10 + number):016x}"


def of(person: str) -> set[str]:
    return {sample(person, label, number) for label in ("live", "spoof") for number in range(EACH)}


def split_store(store: Path, size: int = 32) -> Path:
    """Live crops and prints of each person by one phone, in one unit each; sharpness rises by 1 from person to person."""
    folder = store / "align-12345678"
    plan = {"stage": "align", "plan_hash": HASH, "lanes": ["photographed"], "picture": "crop"}
    write_plan(folder, plan)
    for unit, (person, split) in enumerate(PEOPLE.items()):
        with UnitWriter(folder, unit, columns=(SCORE,), arrays={}, plan_hash=HASH, weights="w") as writer:
            for i, (label, number) in enumerate((label, n) for label in ("live", "spoof") for n in range(EACH)):
                attack = "print" if label == "spoof" else None
                provenance = {
                    "dataset": "toy", "path": f"{person}/{label}/{number}.png", "label": label, "subject": f"toy/{person}",
                    "device": "phone", "attack_type": attack, "domain": f"toy|phone|{attack or label}", "split": split,
                }  # fmt: skip
                row = Row(sample(person, label, number), i, 0, 0, (), provenance)
                writer.ok(row, images={"crop": picture(100 * unit + i, size)}, values={"sharpness": float(unit)})
            writer.commit(2 * EACH)
    return store


def lay_by_hand(store: Path, name: str, sides: dict[str, list[str]], family: str = "") -> None:
    """Row sets as `fasgen protocol` writes them: by side, people."""
    folder = store / "protocols" / name
    for side, people in sides.items():
        ids = sorted(one for person in people for one in of(person))
        who = pa.array([f"toy/{person}" for one in ids for person in people if one in of(person)], pa.string())
        columns = {"sample_id": ids, "variant": pa.array([0] * len(ids), pa.int32()), "subject": who}
        table = pa.table(columns | {"dataset": pa.array(["toy"] * len(ids), pa.string())})
        write_atomic(folder / f"{side}.parquet", encode_table(table))
    write_atomic(folder / "report.json", canonical_json({"protocol": name, "family": family}) + b"\n")
