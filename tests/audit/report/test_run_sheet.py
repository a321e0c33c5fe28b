"""The sheet of a run is made from what is committed and what the plans say of it, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fasgen.audit.report.run_sheet import write_sheet
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import Column, Reason

COLUMNS = [Column("size", "float32", "mean of the cue")]
PHOTOS = {"lanes": ["photographed"]}
PLANS: dict[str, dict[str, Any]] = {
    "cut": {**PHOTOS, "picture": "face"},
    "first": {**PHOTOS, "cues": [{"name": "rest", "one": 127.5, "leaves": "bare"}], "scores": [["size", "spoof"]]},
    "other": {**PHOTOS, "cues": [{"name": "map", "one": 32767}]},
    "made": {"lanes": ["made"], "picture": "face", "roster": True},
}


def plan(store: Path, *stages: str) -> dict[str, Path]:
    for stage in stages:
        write_plan(store / stage, {"stage": stage, **PLANS[stage]})
    return {stage: store / stage for stage in stages}


def row(unit: int, number: int, variant: int = 0) -> Row:
    known = {"label": "spoof", "attack_type": "print"} if variant else {"label": "live"}
    return Row(f"{unit:08x}{number:08x}", number, 0, variant, provenance=known)


def commit(store: Path, unit: int, rows: int, *, cues: bool = True) -> None:
    rng = np.random.default_rng(unit)
    with UnitWriter(store / "cut", unit, columns=[], arrays={}, plan_hash="a", weights="") as cut:
        for number in range(rows):
            cut.ok(row(unit, number), images={"face": rng.integers(0, 256, (32, 32, 3), np.uint8)})
        cut.commit(rows)
    if not cues:
        return
    with UnitWriter(store / "first", unit, columns=COLUMNS, arrays={"rest": "int16"}, plan_hash="d", weights="w") as writer:
        writer.reject(row(unit, 0), Reason.NOT_FINITE, "")
        for number in range(1, rows):
            writer.ok(row(unit, number), arrays={"rest": np.zeros((32, 32, 3), np.int16)}, values={"size": 1.5})
        writer.commit(rows)


def test_samples_come_from_all_units_up_to_the_limit(tmp_path: Path) -> None:
    for unit in range(3):
        commit(tmp_path, unit, 5)
    commit(tmp_path, 3, 5, cues=False)
    folders = plan(tmp_path, "cut", "first")
    assert write_sheet(folders, tmp_path / "out" / "sheet.png", limit=6) == 6
    first = (tmp_path / "out" / "sheet.png").read_bytes()
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR) is not None
    assert write_sheet(folders, tmp_path / "again.png", limit=6) == 6 and (tmp_path / "again.png").read_bytes() == first
    assert write_sheet(folders, tmp_path / "all.png", limit=100) == 12


def test_every_cue_has_a_column_of_its_own(tmp_path: Path) -> None:
    commit(tmp_path, 0, 3)
    with UnitWriter(tmp_path / "other", 0, columns=[], arrays={"map": "int16"}, plan_hash="l", weights="w") as writer:
        for number, variant in ((0, 0), (1, 0), (1, 1), (2, 0)):
            # Half of the full scale, with a gain of 2, is white.
            cue = np.full((32, 32, 3), 32767 // 2 if variant == 0 else 0, np.int16)
            writer.ok(row(0, number, variant), arrays={"map": cue})
        writer.commit(4)
    folders = plan(tmp_path, "cut", "first", "other")
    assert write_sheet({name: folders[name] for name in ("cut", "first")}, tmp_path / "without.png") == 2
    assert write_sheet(folders, tmp_path / "with.png") == 3
    without, shown = (cv2.imread(str(tmp_path / name)) for name in ("without.png", "with.png"))
    assert without is not None and shown is not None and shown.shape[1] - without.shape[1] == 2 * 166
    # Face, what the first cue leaves, that cue, and the map: the last of the second sample, which has all, is white.
    left = 6 + 166 * 4 + 12 + 166 * 3
    assert shown[60:120, left + 20 : left + 140].min() >= 254


def test_spoofs_stand_beside_the_face_that_they_were_made_of(tmp_path: Path) -> None:
    commit(tmp_path, 0, 2, cues=False)
    with UnitWriter(tmp_path / "made", 0, columns=[], arrays={}, plan_hash="m", weights="") as writer:
        for variant in (1, 2):
            writer.ok(row(0, 1, variant), images={"face": np.full((32, 32, 3), 80 * variant, np.uint8)})
        writer.commit(2)
    assert write_sheet(plan(tmp_path, "cut", "made"), tmp_path / "sheet.png") == 1
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert [int(sheet[100, 6 + 166 * place + 80, 0]) for place in (1, 2)] == [80, 160]


def test_without_cues_and_spoofs_nothing_is_written(tmp_path: Path) -> None:
    commit(tmp_path, 0, 2, cues=False)
    folders = plan(tmp_path, "cut", "first")
    assert write_sheet(folders, tmp_path / "sheet.png") == 0
    assert write_sheet({}, tmp_path / "sheet.png") == 0
    assert not (tmp_path / "sheet.png").exists()
    commit(tmp_path, 0, 2)
    (tmp_path / "first" / "plan.json").unlink()
    with pytest.raises(StoreError, match=r"plan\.json"):
        write_sheet(folders, tmp_path / "sheet.png")
