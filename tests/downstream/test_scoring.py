"""A trained detector scores other shards as it scored its own, whatever lies among them that is damaged."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors import safe_open

from fasgen.cli import main
from fasgen.downstream.config import Experiment
from fasgen.downstream.detector import load_detector
from fasgen.downstream.scores import read_scores
from fasgen.downstream.scoring import DAMAGED, MISFIT, NOT_FINITE, of_videos, score_shards
from fasgen.downstream.train import run_experiments
from fasgen.errors import ConfigError, WeightsError
from tests.downstream.conftest import sample, write

CPU = torch.device("cpu")


def experiment(shards: Path, out: Path, **more: Any) -> Experiment:
    tree: dict[str, Any] = {
        "out": str(out),
        "data": {"shards": [str(shards)], "size": 32, "cues": ["residual"]},
        "protocol": {"targets": ["c"]},
        "model": {"use": "two_branch", "backbone": "resnet18-tiny", "cue_backbone": "resnet18-tiny", "embedding": 8},
        "loop": {"steps": 2, "batch": 12, "warmup": 0},
        "scoring": {"bootstrap": 0},
        **more,
    }
    return Experiment.model_validate_json(json.dumps(tree))


@pytest.fixture(scope="module")
def runs(three: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each kind of detector."""
    out = tmp_path_factory.mktemp("runs")
    kinds: dict[str, dict[str, Any]] = {
        "ssdg": {},
        "rq": {"loss": {"kind": "rq"}},
        "dlif": {
            "method": "dlif",
            "model": {"backbone": "resnet18-tiny"},
            "dlif": {"subjects": 2, "live": 2, "spoof": 2},
        },
    }
    for name, more in kinds.items():
        run_experiments({name: experiment(three, out / name, **more)}, CPU, lambda line: None)
    return {name: out / name for name in kinds}


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


@pytest.mark.parametrize("kind", ["ssdg", "rq", "dlif"])
def test_a_run_scores_again_what_it_tested(runs: dict[str, Path], three: Path, tmp_path: Path, kind: str) -> None:
    done = call(runs[kind], three, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    wanted = {row.sample: row for row in read_scores(runs[kind] / "scores.csv").rows if row.split == "test"}
    got = {row.sample: row for row in read_scores(tmp_path / "s.csv").rows}
    assert len(wanted) == 36 and len(got) == 126
    for name, row in wanted.items():
        assert got[name].score == pytest.approx(row.score, abs=1e-5)
        assert (got[name].label, got[name].method) == (row.label, row.method)
    with (tmp_path / "s.csv").open() as file:
        assert {line["higher"] for line in csv.DictReader(file)} == {"live"}
    assert "higher is more live" in done.output
    assert "leak: the detector has learnt from" in done.output


def test_features_come_with_their_ids(runs: dict[str, Path], three: Path, tmp_path: Path) -> None:
    detector = load_detector(runs["ssdg"], CPU)
    found = score_shards(detector, [three], features=True)
    assert found.features is not None and found.features.shape == (126, 8)
    for suffix in ("npz", "safetensors"):
        assert call(runs["ssdg"], three, "--out", tmp_path / "s.jsonl", "--features", tmp_path / f"f.{suffix}").exit_code == 0
        assert not list(tmp_path.glob("drawn*"))
    assert call(runs["ssdg"], three, "--out", tmp_path / "s.jsonl", "--scatter", tmp_path / "in" / "drawn.pca").exit_code == 0
    svg = (tmp_path / "in" / "drawn.pca.svg").read_text()
    assert svg.count("<polygon") > 126 and "ssdg, leave out c, seed 0" in svg
    assert (tmp_path / "in" / "drawn.pca.pdf").read_bytes().startswith(b"%PDF")
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    stored = np.load(tmp_path / "f.npz")
    assert stored["sample"].tolist() == [line["sample"] for line in lines]
    assert np.allclose(stored["features"], found.features, atol=1e-6)
    with safe_open(tmp_path / "f.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["sample"]) == stored["sample"].tolist()
        assert np.array_equal(file.get_tensor("features"), stored["features"])


def damaged() -> Iterator[tuple[dict[str, Any], dict[str, bytes]]]:
    """Four good samples, and among them one without its cue, one that is no picture, one of another shape, one without JSON."""
    for number in range(4):
        yield sample("d", "s1", number % 2, number)
    record, members = sample("d", "lost1", 1, 4)
    yield record, {name: data for name, data in members.items() if name != "residual.npy"}
    record, members = sample("d", "torn1", 0, 5)
    yield record, {**members, "png": b"no picture"}
    record, members = sample("d", "flat1", 1, 6)
    stream = BytesIO()
    np.save(stream, np.zeros((32, 32, 1), np.int16))
    yield record, {**members, "residual.npy": stream.getvalue()}
    record, members = sample("d", "mute1", 1, 7)
    yield record, {**members, "json": b"{"}


def test_a_bad_sample_has_its_reason_and_costs_no_other(runs: dict[str, Path], tmp_path: Path) -> None:
    shards = write(tmp_path / "pack", list(damaged()))
    other = write(tmp_path / "torn", [sample("e", "s1", 1, number) for number in range(3)])
    tar = other / "fas-000000.tar"
    with tarfile.open(tar) as opened:
        last = opened.getmembers()[-1]
    tar.write_bytes(tar.read_bytes()[: last.offset])
    done = call(runs["ssdg"], shards, other, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["score"]) for row in rows) == 6
    reasons = {row["sample"]: row["reason"] for row in rows if not row["score"]}
    assert reasons == {
        "d-lost1-1-4": DAMAGED,
        "d-torn1-0-5": DAMAGED,
        "d-flat1-1-6": MISFIT,
        "d-mute1-1-7": DAMAGED,
        "fas-000000.tar": DAMAGED,
    }
    assert {row["label"] for row in rows if row["sample"] in ("d-lost1-1-4", "d-flat1-1-6")} == {"live"}
    assert "scored 6 of 11, 4 damaged, 1 misfit" in done.output
    # The metrics take the table as it is.
    assert len(read_scores(tmp_path / "s.csv")) == 6
    said = CliRunner().invoke(main, ["eval", str(tmp_path / "s.csv"), "--bootstrap", "0"])
    assert "5 rows have a reason in place of a score" in said.output


def test_what_is_no_number_is_no_score(runs: dict[str, Path], three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = load_detector(runs["ssdg"], CPU)
    real = detector.net.score
    monkeypatch.setattr(detector.net, "score", lambda image, cue: real(image, cue).index_fill(0, torch.tensor([1]), torch.nan))
    found = score_shards(detector, [three], features=True)
    bad = [one.reason for one in found.rows if one.reason]
    assert bad == [NOT_FINITE] * 2 and found.features is not None and len(found.features) == 124


def test_a_video_is_the_mean_of_its_frames(runs: dict[str, Path], tmp_path: Path) -> None:
    made = []
    for number in range(6):
        record, members = sample("v", "s1", 1, number)
        record |= {"frame": number % 3, "path": f"clip-{number // 3}.mp4"}
        made.append((record, {**members, "json": json.dumps(record).encode()}))
    made[0][1]["png"] = b""
    rows = score_shards(load_detector(runs["ssdg"], CPU), [write(tmp_path / "pack", made)]).rows
    first, second = of_videos(rows)
    scores = [one.row.score for one in rows]
    assert (first["video"], first["frames"], first["without_score"]) == ("clip-0.mp4", 3, 1)
    assert first["score"] == pytest.approx(np.mean(scores[1:3])) and second["score"] == pytest.approx(np.mean(scores[3:]))
    call(runs["ssdg"], tmp_path / "pack", "--out", tmp_path / "s.csv")
    assert len(read_scores(tmp_path / "s-videos.csv")) == 2


def test_strict_writes_nothing_of_what_was_seen(runs: dict[str, Path], three: Path, tmp_path: Path) -> None:
    done = call(runs["ssdg"], three, "--out", tmp_path / "s.csv", "--strict")
    assert done.exit_code == 2 and "--strict: the detector has learnt from" in done.output
    assert not (tmp_path / "s.csv").exists()
    strange = write(tmp_path / "pack", [sample("z", "q9", 1, number) for number in range(3)])
    done = call(runs["ssdg"], strange, "--out", tmp_path / "s.csv", "--strict")
    assert done.exit_code == 0 and (tmp_path / "s.csv").exists()


def test_runs_that_cannot_score_are_refused_in_words(runs: dict[str, Path], three: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds 3 detectors: name one of"):
        load_detector(runs["ssdg"].parent, CPU)
    with pytest.raises(ConfigError, match="no finished run"):
        load_detector(tmp_path, CPU)
    done = call(runs["ssdg"], three, "frames=5")
    assert done.exit_code == 2 and "shards are scored as they are" in done.output
    done = call(runs["ssdg"], tmp_path / "nowhere")
    assert done.exit_code == 2 and "is not there: name shards" in done.output
    (picture := tmp_path / "one.png").write_bytes(b"")
    done = call(runs["ssdg"], picture)
    assert done.exit_code == 2 and "score shards instead" in done.output


def test_a_run_whose_files_do_not_fit_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(load_detector(runs["ssdg"], CPU).folder, run)
    about = json.loads((run / "detector.json").read_text())
    (run / "detector.json").write_text(json.dumps({**about, "shape": {**about["shape"], "domains": 5}}))
    with pytest.raises(WeightsError, match="are not the weights of this run"):
        load_detector(run, CPU)
    (run / "detector.json").unlink()
    with pytest.raises(WeightsError, match="train it again"):
        load_detector(run, CPU)
