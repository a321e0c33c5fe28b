"""Weights by their bytes, wherever the last run found them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from fasgen.audit.verification.weights import whereabouts
from fasgen.audit.verify import verify
from fasgen.manifests.ledger import Ledger
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.weights import digest_weights
from tests.manifests.units import plan_hash


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def store(tmp_path: Path, model: Path) -> Path:
    digests = digest_weights({"net": model})
    plan = {"stage": "defake", "plan_hash": plan_hash("defake"), "weights": digests, "upstream": {}}
    write_plan(tmp_path / "store" / f"defake-{plan_hash('defake')[:8]}", plan)
    tell(tmp_path / "store", "20260101-000000", model)
    return tmp_path / "store"


def tell(store: Path, run: str, model: Path, stage: str = "defake") -> None:
    with Ledger(store, run) as ledger:
        ledger.event("begin", stages={stage: {"plan_hash": plan_hash(stage), "weights": {"net": str(model)}}})


def test_other_bytes_in_the_same_size_and_time_are_found(store: Path, model: Path) -> None:
    assert verify(store) == []
    path = model / "model.safetensors"
    before = path.stat()
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (found,) = verify(store)
    assert found.severity == "error" and "'net' of defake" in found.what and "are others by now" in found.what


def test_of_an_older_generation_it_is_a_warning(store: Path, model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"trained further")
    newer = {"stage": "defake", "plan_hash": "f" * 64, "weights": digest_weights({"net": model}), "upstream": {}}
    write_plan(store / "defake-ffffffff", newer)
    (found,) = verify(store)
    assert found.severity == "warning" and plan_hash("defake")[:8] in found.what


def test_what_is_gone_is_a_warning_and_what_moved_is_found(store: Path, model: Path, tmp_path: Path) -> None:
    shutil.move(model, tmp_path / "elsewhere")
    (found,) = verify(store)
    assert (found.severity, found.where) == ("warning", str(model)) and "not there any more" in found.what
    tell(store, "20260102-000000", tmp_path / "elsewhere")
    assert verify(store) == []
    for path in (tmp_path / "elsewhere").iterdir():
        path.unlink()
    (found,) = verify(store)
    assert found.severity == "warning" and "is empty" in found.what


def test_a_ledger_is_believed_in_nothing(store: Path, model: Path) -> None:
    shutil.rmtree(store / "runs")
    assert whereabouts(store) == {} and verify(store) == []
    for number, stages in enumerate(([], {"a": 3}, {"a": {"weights": []}}, {"a": {"weights": {"net": 5}}})):
        with Ledger(store, f"{number}") as ledger:
            ledger.event("begin", stages=stages)
    (store / "runs" / "9").mkdir()
    (store / "runs" / "9" / "ledger.jsonl").write_bytes(b"\xff\n[]\n" + json.dumps({"event": "begin"}).encode() + b"\n")
    assert verify(store) == []
    os.mkfifo(store.parent / "pipe")
    tell(store, "A", store.parent / "pipe")
    (found,) = verify(store)
    assert found.severity == "warning" and "not there any more" in found.what
