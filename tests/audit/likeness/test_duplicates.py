"""A store with a copied file, a re-coded picture and a person under two names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fasgen.audit.likeness.duplicates import find_duplicates
from fasgen.cli import main
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import Column

HASHES = (Column("phash", "uint64", "hash"), Column("source_sha256", "string", "digest"))
Face = tuple[str, str, str | None, str, int, str, tuple[float, ...]]
"""Data set, path, subject, split, hash, digest, embedding."""

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
FACES: tuple[Face, ...] = (
    ("a", "1.png", "a/1", "train", 0xFF00FF00FF00FF00, "d1", X),
    ("a", "2.png", "a/2", "train", 0x0F0F0F0F0F0F0F0F, "d2", Y),
    ("a", "3.png", "a/3", "test", 0x3333333333333333, "d3", Z),
    ("b", "copy of 1.png", "b/9", "test", 0xFF00FF00FF00FF00, "d1", X),
    ("b", "recoded 2.jpg", None, "test", 0x0F0F0F0F0F0F0F0F ^ 0b11, "d4", (0.1, 0.99, 0.0)),
    ("b", "looks like 2.jpg", "b/7", "test", 0x0F0F0F0F0F0F0F0F ^ 0b1100, "d5", (0.5, 0.0, 0.8)),
    ("c", "3 again.png", "c/3", "test", 0x5555555555555555, "d6", (0.0, 0.1, 0.99)),
)


def commit(store: Path, stage: str, faces: tuple[Face, ...], **parts: Any) -> None:
    folder = store / f"{stage}-0123abcd"
    made = {"picture": "crop"} if stage == "align" else {"arrays": ["embedding"], "primaries": ["align"]}
    write_plan(folder, {"stage": stage, "lanes": ["photographed"], **made})
    with UnitWriter(folder, 0, plan_hash="h", weights="w", **parts) as writer:
        for number, (dataset, path, subject, split, code, digest, vector) in enumerate(faces):
            video = path.rpartition("/")[0] or None
            known = {"dataset": dataset, "path": path, "subject": subject, "split": split, "label": "live", "video": video}
            row = Row(f"{number:016x}", number, 1, 0, (), known)
            if stage == "align":
                writer.ok(row, files={"png": b"x"}, values={"phash": code, "source_sha256": digest})
            else:
                writer.ok(row, arrays={"embedding": np.array(vector, np.float32) / np.float32(np.linalg.norm(vector))})
        writer.commit(len(faces), {})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    commit(tmp_path, "align", FACES, columns=HASHES, arrays={})
    return tmp_path


@pytest.fixture
def known(store: Path) -> Path:
    commit(store, "identify", FACES, columns=(), arrays={"embedding": "float32"})
    return store


def test_files_pictures_and_people(known: Path) -> None:
    report = find_duplicates(known)
    assert [(pair.kind, pair.one, pair.other, pair.leaks) for pair in report.pairs] == [
        ("same file", "a: 1.png", "b: copy of 1.png", True),
        ("near picture", "a: 2.png", "b: recoded 2.jpg", True),
        ("same person", "a: 1.png", "b: copy of 1.png", True),
        ("same person", "a: 3.png", "c: 3 again.png", False),
        ("same person", "a: 3.png", "b: looks like 2.jpg", False),
        ("same person", "b: looks like 2.jpg", "c: 3 again.png", False),
    ]
    near = report.pairs[1]
    assert near.distance == 2 and near.similarity == pytest.approx(0.9949, abs=1e-3)
    assert report.document()["leaks"] == {"near picture": 1, "same file": 1, "same person": 1}


def test_frames_of_a_video_that_lies_as_stills_are_no_copies_of_each_other(tmp_path: Path) -> None:
    code = 0xFF00FF00FF00FF00
    frames: list[Face] = [("a", f"clip/{k}.png", "a/1", "train", code ^ k, f"d{k}", X) for k in range(3)]
    other: list[Face] = [
        ("a", "other/0.png", "a/2", "test", code, "d9", Y),
        ("b", "clip/0.png", "b/1", "test", code ^ 4, "d0", Y),
    ]
    commit(tmp_path, "align", (*frames, *other), columns=HASHES, arrays={})
    found = {(pair.kind, pair.one, pair.other) for pair in find_duplicates(tmp_path).pairs}
    assert ("same file", "a: clip/0.png", "b: clip/0.png") in found
    assert not any(one.startswith("a: clip") and other.startswith("a: clip") for _, one, other in found)
    assert ("near picture", "a: clip/0.png", "a: other/0.png") in found


def test_without_embeddings_nothing_is_confirmed(store: Path) -> None:
    report = find_duplicates(store)
    assert not report.has_embeddings
    kinds = [(pair.kind, pair.other) for pair in report.pairs]
    assert kinds[0] == ("same file", "b: copy of 1.png")
    assert ("near picture", "b: looks like 2.jpg") in kinds and not any(kind == "same person" for kind, _ in kinds)
    assert find_duplicates(store, distance=0).document()["counts"] == {"same file": 1}


def test_sides_of_a_protocol_come_before_splits(known: Path) -> None:
    nobody = find_duplicates(known, sides={})
    assert nobody.leaks == () and len(nobody.pairs) == 6
    one = find_duplicates(known, sides={f"{2:016x}": "train", f"{6:016x}": "test"})
    assert [(pair.kind, pair.one, pair.other) for pair in one.leaks] == [("same person", "a: 3.png", "c: 3 again.png")]


def test_a_store_without_hashes(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is committed yet"):
        find_duplicates(tmp_path)
    commit(tmp_path, "identify", FACES, columns=(), arrays={"embedding": "float32"})
    folder = tmp_path / "align-0123abcd"
    write_plan(folder, {"stage": "align", "lanes": ["photographed"], "picture": "crop"})
    with UnitWriter(folder, 0, columns=(), arrays={}, plan_hash="h", weights="w") as writer:
        writer.ok(Row("0" * 16, 0, 1), files={"png": b"x"})
        writer.commit(1, {})
    with pytest.raises(StoreError, match="kept no hashes"):
        find_duplicates(tmp_path)


def test_the_command(known: Path) -> None:
    run = CliRunner().invoke
    done = run(main, ["duplicates", str(known)])
    assert done.exit_code == 1 and "leaks: 1 near picture, 1 same file, 1 same person" in done.output
    assert "b: recoded 2.jpg" in done.output
    document = json.loads((known / "duplicates.json").read_text())
    assert document["rows"] == 7 and len(document["pairs"]) == 6
    strict = run(main, ["duplicates", "--store", str(known), "--limit", "1", "--out", str(known / "x.json")])
    assert "and 5 more" in strict.output and (known / "x.json").is_file()
    missing = run(main, ["duplicates", str(known), "--protocol", "oulu-1"])
    assert missing.exit_code != 0 and "fasgen protocol oulu-1" in str(missing.output)
