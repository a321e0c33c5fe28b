"""The sheet of a run is made from what is committed, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fasgen.audit.report.run_sheet import write_sheet
from fasgen.errors import StoreError
from fasgen.manifests.shard import Row, UnitWriter
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


def test_a_further_cue_has_a_column_of_its_own(tmp_path: Path) -> None:
    commit(tmp_path, 0, 3)
    with UnitWriter(tmp_path / "lgsc", 0, columns=[], arrays={"lgsc": "int16"}, plan_hash="l", weights="w") as writer:
        for row, variant in ((0, 0), (1, 0), (1, 1), (2, 0)):
            # Half of the full scale is half of 127.5 levels: with the sheet's gain of 2 that is white.
            cue = np.full((32, 32, 3), 32767 // 2 if variant == 0 else 0, np.int16)
            one = Row(f"{0:08x}{row:08x}", row, 0, variant, provenance={"label": "live"})
            writer.ok(one, images={}, arrays={"lgsc": cue}, files={}, values={})
        writer.commit(4)
    folders = {"align": tmp_path / "align", "defake": tmp_path / "defake"}
    assert write_sheet(folders, tmp_path / "without.png") == 2
    assert write_sheet({**folders, "lgsc": tmp_path / "lgsc"}, tmp_path / "with.png") == 2
    without, shown = (cv2.imread(str(tmp_path / name)) for name in ("without.png", "with.png"))
    assert without is not None and shown is not None
    assert shown.shape[0] == without.shape[0] and shown.shape[1] - without.shape[1] == 2 * 166
    # Four columns of 160 px and a gap: the last of the first sample is the cue's.
    cue_at = shown[60:120, 6 + 3 * 166 + 20 : 6 + 3 * 166 + 140]
    assert cue_at.min() >= 254


def test_without_cues_nothing_is_written(tmp_path: Path) -> None:
    commit(tmp_path, 0, 2, defake=False)
    assert write_sheet({"align": tmp_path / "align", "defake": tmp_path / "defake"}, tmp_path / "sheet.png") == 0
    assert not (tmp_path / "sheet.png").exists()
    with pytest.raises(StoreError, match="stage=defake"):
        write_sheet({"align": tmp_path / "align"}, tmp_path / "sheet.png")
