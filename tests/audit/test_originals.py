"""Source pictures are found by the listing, and never outside their source."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fasgen.audit.originals import Originals
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.sources_file import write_sources
from fasgen.records import Reason
from fasgen.sources.config import SourceConfig


@pytest.fixture
def originals(tmp_path: Path) -> Originals:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    cv2.imwrite(str(folder / "a.png"), np.full((64, 80, 3), 90, np.uint8))
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    rows = [
        {"sample_id": name, "dataset": "toy", "path": f"{name}.png", "size": 1, "kind": "image"} for name in ("a", "b", "c")
    ]
    write_sources(tmp_path / "store", "toy", rows)
    return Originals(tmp_path / "store", [SourceConfig(name="toy", path=folder), SourceConfig(name="other", path=folder)])


def test_a_picture_comes_back_upright_and_whole(originals: Originals, tmp_path: Path) -> None:
    picture = originals.picture("toy", "a")
    assert picture is not None and picture.shape == (64, 80, 3) and (picture == 90).all()
    data = (tmp_path / "photos" / "a.png").read_bytes()
    assert originals.sha256("toy", "a.png") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("dataset", "sample"), [("toy", "b"), ("toy", "c"), ("toy", "z"), ("other", "a"), ("none", "a")])
def test_what_cannot_be_had_is_none(originals: Originals, dataset: str, sample: str) -> None:
    assert originals.picture(dataset, sample) is None


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "out.png", "x/../../secret.png", "\\q", "a.png/..", "..", "a\\x00b"]
)
def test_nothing_outside_the_source_is_read(originals: Originals, path: str) -> None:
    assert originals.file("toy", path) is None
    assert originals.sha256("toy", path) is None


@pytest.mark.parametrize(("used", "shown"), [(None, 5), (5, 5), (7, 7), (3, 3), (40, None)])
def test_of_a_video_the_frame_that_align_used_is_shown(tmp_path: Path, used: int | None, shown: int | None) -> None:
    """Frames are told apart by their grey; the listing asks for the middle one of eleven."""
    folder, store = tmp_path / "clips", tmp_path / "store"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for index in range(11):
        writer.write(np.full((48, 64, 3), 20 * index + 10, np.uint8))
    writer.release()
    row = {"sample_id": "a", "dataset": "toy", "path": "a.avi", "size": 1, "kind": "video", "frame_k": 0, "frame_n": 1}
    write_sources(store, "toy", [row])
    align = store / "align-aaaaaaaa"
    if used is not None:
        with UnitWriter(align, 0, columns=(), arrays={}, plan_hash="a" * 64, weights="") as unit:
            unit.reject(Row("a", 0, 1, provenance={"frame": used, "frame_requested": 5}), Reason.POSE, "turned away")
            unit.commit(1)
        cut = {"lanes": ["photographed"], "picture": "crop"}
        plan = {"stage": "align", "plan_hash": "a" * 64, "upstream": {"sources": "0" * 64}, "units": 1, "rows": 1}
        write_plan(align, plan | cut)
    picture = Originals(store, [SourceConfig(name="toy", path=folder, frames=1)]).picture("toy", "a")
    assert (None if picture is None else round((float(picture.mean()) - 10) / 20)) == shown
