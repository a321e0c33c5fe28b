"""The sheet of a run is made from what is committed, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fasgen.errors import StoreError
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.pipeline.sheet import write_sheet
from fasgen.records import Column, Reason

COLUMNS = [Column("residual_abs_mean", "float32", "mean absolute residual", "levels")]


def commit(store: Path, unit: int, rows: int, *, defake: bool = True) -> None:
    rng = np.random.default_rng(unit)
    with UnitWriter(store / "align", unit, columns=[], arrays={}, plan_hash="a", weights="") as align:
        for row in range(rows):
            image = rng.integers(0, 256, (32, 32, 3), np.uint8)
            align.ok(
                Row(f"{unit:08x}{row:08x}", row, 0, provenance={"label": "live"}),
                images={"crop": image},
                arrays={},
                files={},
                values={},
            )
        align.commit(rows)
    if not defake:
        return
    with UnitWriter(
        store / "defake", unit, columns=COLUMNS, arrays={"residual": "int16"}, plan_hash="d", weights="w"
    ) as writer:
        for row in range(rows):
            one = Row(f"{unit:08x}{row:08x}", row, 0, provenance={"label": "live"})
            if row == 0:
                writer.reject(one, Reason.NOT_FINITE, "")
                continue
            residual = np.zeros((32, 32, 3), np.int16)
            writer.ok(one, images={}, arrays={"residual": residual}, files={}, values={"residual_abs_mean": 1.5})
        writer.commit(rows)


def test_samples_come_from_all_units_up_to_the_limit(tmp_path: Path) -> None:
    for unit in range(3):
        commit(tmp_path, unit, 5)
    commit(tmp_path, 3, 5, defake=False)
    folders = {"align": tmp_path / "align", "defake": tmp_path / "defake", "score": tmp_path / "none"}
    assert write_sheet(folders, tmp_path / "out" / "sheet.png", limit=6) == 6
    first = (tmp_path / "out" / "sheet.png").read_bytes()
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR) is not None
    assert write_sheet(folders, tmp_path / "again.png", limit=6) == 6 and (tmp_path / "again.png").read_bytes() == first
    assert write_sheet(folders, tmp_path / "all.png", limit=100) == 12


def test_without_cues_nothing_is_written(tmp_path: Path) -> None:
    commit(tmp_path, 0, 2, defake=False)
    assert write_sheet({"align": tmp_path / "align", "defake": tmp_path / "defake"}, tmp_path / "sheet.png") == 0
    assert not (tmp_path / "sheet.png").exists()
    with pytest.raises(StoreError, match="stage=defake"):
        write_sheet({"align": tmp_path / "align"}, tmp_path / "sheet.png")
