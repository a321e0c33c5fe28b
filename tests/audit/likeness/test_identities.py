"""Identities of a store: subjects where there are any, clusters elsewhere, and a report of how far the two agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fasgen.audit.likeness.identities import read_embedded, write_identities
from fasgen.audit.retract import pictures
from fasgen.cli import main
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import Reason

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
FACES = (
    ("a", "a/anna", False, X),
    ("a", "a/anna", False, (0.95, 0.1, 0.0)),
    ("a", "a/ben", False, Y),
    ("b", None, False, (0.0, 0.9, 0.1)),
    ("b", None, False, Z),
    ("b", "b/clip7", True, (0.1, 0.0, 0.9)),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two units of identify, the second with a face that could not be embedded."""
    folder = tmp_path / "identify-0123abcd"
    write_plan(folder, {"stage": "identify", "lanes": ["photographed"], "arrays": ["embedding"]})
    for unit, part in enumerate((FACES[:4], FACES[4:])):
        with UnitWriter(folder, unit, plan_hash="h", weights="w", columns=(), arrays={"embedding": "float32"}) as writer:
            for number, (dataset, subject, pseudo, vector) in enumerate(part):
                known = {"dataset": dataset, "path": "p", "subject": subject, "subject_is_pseudo": pseudo, "label": "live"}
                row = Row(f"{4 * unit + number:016x}", number, 1, 0, (), known)
                writer.ok(row, arrays={"embedding": np.array(vector, np.float32) / np.float32(np.linalg.norm(vector))})
            if unit:
                lost = Row(f"{9:016x}", len(part), 1, 0, (), {"dataset": "b", "path": "p", "subject": None, "label": "live"})
                writer.reject(lost, Reason.NOT_FINITE, "lost")
            writer.commit(len(part) + unit, {})
    return tmp_path


def fasgen(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["cluster", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_subjects_stay_and_others_get_their_cluster(store: Path) -> None:
    said = fasgen(str(store), "--threshold", "0.7")
    table = pq.read_table(store / "identities" / "identify-0123abcd.parquet").to_pydict()
    assert table["sample_id"] == [f"{n:016x}" for n in range(6)]
    assert table["subject"] == ["a/anna", "a/anna", "a/ben", None, None, None]
    first = [f"cluster/{n:016x}" for n in (0, 0, 2, 2, 4, 4)]
    assert table["cluster"] == first
    assert table["identity"] == ["a/anna", "a/anna", "a/ben", *first[3:]] and table["size"] == [2] * 6
    assert min(table["similarity"]) > 0.99
    report = json.loads((store / "identities" / "identify-0123abcd.json").read_text())
    assert report["figures"]["a"]["known"]["purity"] == 1 and report["figures"]["b"] == {
        "faces": 3,
        "clusters": 2,
        "known": None,
    }
    lines = said.splitlines()
    assert lines[1].split() == ["all", "6", "3", "2", "1.000", "1.000", "1.000", "1.000"]
    assert lines[3].split() == ["b", "3", "2", "-", "-", "-", "-", "-"]


def test_made_again_it_is_the_same_and_a_removal_takes_it_away(store: Path) -> None:
    fasgen(str(store))
    path = store / "identities" / "identify-0123abcd.parquet"
    before = path.read_bytes()
    fasgen(str(store))
    assert path.read_bytes() == before
    assert {path, path.with_suffix(".json")} <= set(pictures(store))


def test_one_source_alone(store: Path) -> None:
    said = fasgen(str(store), "--source", "b")
    assert [line.split()[0] for line in said.splitlines()[1:2]] == ["b"]
    assert pq.read_table(store / "identities" / "identify-0123abcd.parquet").num_rows == 3
    with pytest.raises(StoreError, match="no face with an embedding among c"):
        read_embedded(store, ("c",))


def test_what_is_not_there_or_cannot_be_written_is_told(store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no embedding is committed yet"):
        read_embedded(tmp_path / "empty")
    (store / "identities").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        write_identities(store, read_embedded(store), np.arange(6), {})
