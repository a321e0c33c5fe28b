"""What a table's foot says of faces and frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fasgen.downstream import conditions
from fasgen.downstream.protocols import Fold
from fasgen.reader import SampleTable

CONFIG: dict[str, Any] = {"detector": "mtcnn", "mtcnn": {"min_face": 20}, "size": 224, "template": [[0.3, 0.3]] * 5}
CONFIG |= {"margin": 0.0, "border": "reflect", "face": "best"}


def test_faces_of_a_delivery(tmp_path: Path) -> None:
    rows = {"planned": 100, "ok": 93, "reasons": {"pose": 2, "no_face": 5}}
    index = {"stages": [{"stage": "a", "config": CONFIG, "rows": rows}, {"stage": "b", "config": None, "rows": None}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    faces, lost = conditions.of_shards([tmp_path, tmp_path])
    assert faces == (
        "faces by mtcnn, the best of a picture; crops of 224 px on the template of its own, padded by 0% on each side, "
        "beyond the photograph reflect"
    )
    assert lost == "7 of 100 photographs have no usable face (no_face 5, pose 2) and are on no side"
    (tmp_path / "index.json").write_text("{")
    [nothing] = conditions.of_shards([tmp_path])
    assert nothing.startswith("nothing says which detector")


def table(frames: dict[str, int], stills: int = 0) -> SampleTable:
    clips = [(path, k) for path, count in frames.items() for k in range(count)] + [(f"s{n}", None) for n in range(stills)]
    return SampleTable.of_metas({"path": path, "frame": k, "label_index": 1, "dataset": "d"} for path, k in clips)


def test_frames_of_each_side() -> None:
    nobody = table({})
    first = Fold("a", table({"x": 1, "y": 1}), nobody, table({"z": 2}))
    assert conditions.of_frames([first]) == "frames: train 1 of a clip, test 2 of a clip"
    second = Fold("b", table({"x": 3}, stills=1), table({}, 2), table({"z": 2}))
    assert conditions.of_frames([first, second]) == "frames: train 1 to 3 of a clip and stills, dev stills, test 2 of a clip"
    assert np.size(nobody.frame) == 0


def test_the_foot_lies_beside_the_scores(tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    assert conditions.beside(scores)[0].endswith("behind scores.csv, nor how many faces were not found")
    conditions.write(tmp_path, ["one", "two"])
    assert conditions.beside(scores) == ["one", "two"]


def test_stills_of_a_named_video_are_frames_of_a_clip() -> None:
    stills = [{"path": f"a/{k}.jpg", "video": "a", "label_index": 1, "dataset": "d"} for k in range(3)]
    assert conditions.of_frames([Fold("f", SampleTable.of_metas(stills), table({}), table({"b.mp4": 2}), {})]) == (
        "frames: train 3 of a clip, test 2 of a clip"
    )
