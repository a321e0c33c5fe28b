"""A detector on a folder: crops and cue are made on the way as its own were, so that the same picture has the same score."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import fasgen
from fasgen.cli import main

PORTRAITS = Path(__file__).parent.parent / "fasgen" / "portraits"
QUICK = ("defake.steps=2", "defake.t=400", "unit_rows=4")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two people's portraits, as they are and darker, which count as spoofs; and a detector of its residuals."""
    root = tmp_path_factory.mktemp("score")
    faces = root / "faces"
    for number, path in enumerate(sorted(PORTRAITS.glob("*.jpg"))):
        image = cv2.imread(str(path))
        for label, factor in (("live", 1.0), ("spoof", 0.6)):
            (faces / label / f"p{number}").mkdir(parents=True)
            cv2.imwrite(str(faces / label / f"p{number}" / "one.png"), (image * factor).astype(np.uint8))
    pattern = "sources.0.pattern='^(?P<label>live|spoof)/(?P<subject>[^/]+)/'"
    arguments = (f"sources={faces}", pattern, "synth.variants=0", "score.on_fail=mark", *QUICK)
    result = fasgen.run({}, *arguments, store=root / "store", gpus=0, cpus=1, engine="local")
    assert (result.outcome, result.ok) == ("finished", 20)
    (shards,) = (root / "store").glob("pack-*")
    (root / "detector.yaml").write_text(
        json.dumps(
            {
                "out": "runs",
                "data": {"shards": [str(shards)], "size": 32, "cues": ["residual"]},
                "protocol": {"by": "subject", "targets": ["faces/p1"]},
                "model": {"use": "cue", "backbone": "resnet18-tiny", "embedding": 8},
                "loss": {"kind": "softmax"},
                "loop": {"steps": 1, "batch": 4, "warmup": 0},
                "scoring": {"bootstrap": 0},
            }
        )
    )
    done = call("experiment", root / "detector.yaml", "--device", "cpu")
    assert done.exit_code == 0, done.output
    return root


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_folders_and_files_are_scored_as_their_shards_were(place: Path, tmp_path: Path) -> None:
    """A bad file has its reason, and what the detector has learnt from is known by its content under another name."""
    shards = call("score", place / "runs", place / "store", "--out", tmp_path / "shards.csv", "--device", "cpu")
    assert shards.exit_code == 0, shards.output
    bad = place / "faces" / "live" / "p0" / "torn.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    copy = tmp_path / "elsewhere" / "live-renamed.png"
    copy.parent.mkdir()
    copy.write_bytes((place / "faces" / "live" / "p0" / "one.png").read_bytes())
    given = (place / "runs", place / "faces", copy, r"pattern='^(?P<label>live|spoof)'")
    try:
        done = call("score", *given, "--cpus", "1", "--gpus", "0", "--store", tmp_path / "store", "--out", tmp_path / "s.csv")
    finally:
        bad.unlink()
    assert done.exit_code == 0, done.output
    assert "scored 5 of 6" in done.output
    one, other = table(tmp_path / "shards.csv"), table(tmp_path / "s.csv")
    torn, renamed = other.pop("live/p0/torn.png"), other.pop("live-renamed.png")
    assert torn["reason"] and not torn["score"] and torn["label"] == "live"
    assert renamed["score"] and renamed["label"] == "live"
    assert len(one) == 4 and one.keys() == other.keys()
    for path, row in one.items():
        assert (row["sample"], row["label"]) == (other[path]["sample"], other[path]["label"])
        assert float(row["score"]) == pytest.approx(float(other[path]["score"]), abs=1e-5)
    assert "leak: the detector has learnt from 2 of the 5 tested samples" in done.output
    assert f"the files of 1 scored samples under other names, such as {renamed['sample']}" in done.output
    _settings_are_the_detectors(tmp_path / "store", place / "runs", tmp_path)


def _settings_are_the_detectors(store: Path, runs: Path, tmp_path: Path) -> None:
    """Those of the stages; where shards have others, that is said."""
    (index,) = store.glob("pack-*/index.json")
    told = json.loads(index.read_bytes())
    settings = {one["stage"]: one["config"] for one in told["stages"]}
    assert (settings["defake"]["steps"], settings["defake"]["t"]) == (2, 400)
    settings["defake"]["t"] = 300
    index.write_text(json.dumps(told))
    done = call("score", runs, index.parent, "--out", tmp_path / "s.csv", "--device", "cpu")
    assert "defake has other settings than where the detector learnt: t" in done.output, done.output


def test_weights_that_lay_elsewhere_are_asked_for_and_compared(place: Path, tmp_path: Path) -> None:
    (about,) = (place / "runs").rglob("detector.json")
    kept = about.read_text()
    told = json.loads(kept)
    for one in told["made"][0]:
        if one["stage"] == "defake":
            one["config"]["weights"], one["weights"] = "weights", dict.fromkeys(one["weights"], "0" * 64)
    about.write_text(json.dumps(told))
    picture = place / "faces" / "live" / "p0" / "one.png"
    try:
        done = call("score", place / "runs", picture, "--out", tmp_path / "s.csv")
        assert done.exit_code == 2 and "defake.weights=PATH" in done.output, done.output
        done = call("score", place / "runs", picture, "defake.weights=embedded", "--out", tmp_path / "s.csv", "--gpus", "0")
        assert done.exit_code == 2 and "are not those that made the detector's shards" in done.output, done.output
    finally:
        about.write_text(kept)
