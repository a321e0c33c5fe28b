"""Source pictures are found by the listing, and never outside their source."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fasgen.manifests.sources_file import write_sources
from fasgen.pipeline.originals import Originals
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
