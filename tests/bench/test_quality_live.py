"""Live faces by data set, on made-up pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.quality.live import live_faces
from fasgen.errors import SourceError


def draw(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((112, 112, 3), level, np.uint8))


def test_wild_faces_are_those_held_out_and_known_by_their_cluster(tmp_path: Path) -> None:
    root = tmp_path / "live_wild_112"
    lines = ["path,split,set,person,cluster,age"]
    for number, split in enumerate(["heldout", "train", "heldout", "heldout"]):
        draw(root / split / "lfw" / f"{number}.png", 50 * number)
        lines.append(f"{split}/lfw/{number}.png,{split},lfw,anyone,{number % 2},30")
    (root / "faces.csv").write_text("\n".join(lines) + "\n")
    found = live_faces("wild", tmp_path, tmp_path / "out", subjects=())
    assert [name.split("/")[-1] for name in found.names] == ["0.png", "2.png", "3.png"]
    assert found.subjects.tolist() == ["0", "0", "1"] and found.crops[:, 0, 0, 0].tolist() == [0, 100, 150]
    assert len(live_faces("wild", tmp_path, tmp_path / "out", subjects=(), limit=2).crops) == 2


def test_celebrities_are_those_named_and_two_at_least(tmp_path: Path) -> None:
    for person in ("ann", "ben", "cem"):
        draw(tmp_path / "live_aligned_112" / person / "1.png", 90)
    found = live_faces("celebrities", tmp_path, tmp_path / "out", subjects=("ann", "cem"))
    assert found.subjects.tolist() == ["ann", "cem"] and found.crops.shape == (2, 112, 112, 3)
    with pytest.raises(SourceError, match="two or more"):
        live_faces("celebrities", tmp_path, tmp_path / "out", subjects=("ann",))


@pytest.mark.parametrize("name", ["wild", "london"])
def test_missing_faces_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=name):
        live_faces(name, tmp_path, tmp_path / "out", subjects=())  # type: ignore[arg-type]
