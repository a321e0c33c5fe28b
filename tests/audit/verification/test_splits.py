"""Whose style a spoof may have: the same rule for who draws the roster and for who verifies it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fasgen.audit.verification.claims import People
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit import manifest_path
from fasgen.records import may_lend

SPLITS = (None, "train", "dev", "test")
FACE, GUIDE = "0" * 15 + "1", "0" * 15 + "2"


def written(store: Path, stage: str, rows: list[Row]) -> Path:
    folder = store / f"{stage}-12345678"
    write_plan(folder, {"stage": stage, "plan_hash": "12345678" * 8})
    with UnitWriter(folder, 0, columns=(), arrays={}, plan_hash="12345678" * 8, weights="") as writer:
        for row in rows:
            writer.ok(row, images={"crop": np.zeros((8, 8, 3), np.uint8)})
        writer.commit(len(rows))
    return folder


@pytest.mark.parametrize("of_face", SPLITS)
@pytest.mark.parametrize("of_guide", SPLITS)
def test_verification_finds_who_crossed(tmp_path: Path, of_face: str | None, of_guide: str | None) -> None:
    def about(split: str | None, subject: str) -> dict[str, str | None]:
        return {"dataset": "d", "path": f"{subject}.png", "label": "live", "split": split, "subject": subject}

    rows = [Row(FACE, 0, 0, 0, (), about(of_face, "ann")), Row(GUIDE, 1, 0, 0, (), about(of_guide, "ben"))]
    people = People(written(tmp_path, "align", rows), [0])
    spoof = Row(FACE, 0, 1, 0, (FACE, GUIDE), about(of_face, "ann") | {"style_subject": "ben", "label": "spoof"})
    found = list(people.claims(manifest_path(written(tmp_path, "synth", [spoof]), 0)))
    training = {None, "train"}
    allowed = of_face == of_guide or {of_face, of_guide} <= training
    assert may_lend(of_guide, of_face) == allowed and (not found) == allowed
    # The face itself never changes its split.
    moved = Row(FACE, 0, 1, 0, (FACE, GUIDE), about("train", "ann") | {"label": "spoof"})
    crossed = list(people.claims(manifest_path(written(tmp_path / "moved", "synth", [moved]), 0)))
    assert (of_face == "train") or any(f"its parent {FACE} of {of_face}" in one for one in crossed)
