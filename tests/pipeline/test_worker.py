"""One unit by one worker: quarantine changes no byte, one model at a time, nothing half done is visible."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import toy

from fasgen.manifests.unit import committed_units
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.crumbs import CrumbFile, read_crumb
from fasgen.pipeline.events import Key
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.worker import Worker
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import Product, Reject, Sample


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    made = toy.plan(toy.configure(toy.make_source(tmp_path / "in", 12)), tmp_path / "store")
    made.write()
    return made


def quarantined(made: Plan, stage: str, suspects: tuple[int, ...], excluded: tuple[int, ...] = ()) -> Assign:
    (made.store / "runs").mkdir(exist_ok=True)
    return Assign(0, Key(stage, 0), 2, True, suspects, excluded)


def test_quarantine_changes_no_byte_and_leaves_no_word(made: Plan, tmp_path: Path) -> None:
    worker = Worker()
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    report = worker.run(task)
    assert report.summary.planned == 8 and report.peak_rss > 0
    assert set(report.seconds) == {"load", "build", "compile", "compute", "write", "wall"}
    assert (task.folder / "00000.timing.parquet").is_file()
    alone = replace(made.task(quarantined(made, "shrink", (0, 1, 5)), tmp_path), folder=tmp_path / "alone")
    worker.run(alone)
    assert alone.crumb is not None and not alone.crumb.exists()
    for name in ("00000.parquet", "00000.tar"):
        assert (alone.folder / name).read_bytes() == (task.folder / name).read_bytes()


def test_excluded_rows_are_rejected_unseen_and_the_others_stay_as_they_are(made: Plan, tmp_path: Path) -> None:
    worker = Worker()
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    worker.run(task)
    without = replace(made.task(quarantined(made, "shrink", (2,), (1,)), tmp_path), folder=tmp_path / "without")
    worker.run(without)
    before, after = UnitReader(task.folder, 0).rows, UnitReader(without.folder, 0).rows
    assert after[1]["reason"] == "worker_died" and after[1]["path"] == before[1]["path"]
    assert [row["payload_digest"] for row in after if row["row"] != 1] == [
        row["payload_digest"] for row in before if row["row"] != 1
    ]


def test_a_worker_swaps_models_and_serves_threads(made: Plan, tmp_path: Path) -> None:
    worker = Worker()
    tasks = [made.task(Assign(0, Key("shrink", unit)), tmp_path) for unit in range(2)]
    threads = [threading.Thread(target=worker.run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed_units(tasks[0].folder) == [0, 1]
    noisy = made.task(Assign(0, Key("noisy", 0)), tmp_path)
    assert worker.run(noisy).summary.ok > 0
    assert worker._held is not None and worker._held[0] == noisy.plan_hash


def test_a_stage_that_cannot_be_built_leaves_nothing(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(toy, "Shrink", broken)
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    before = threading.active_count()
    with pytest.raises(ImportError):
        Worker().run(task)
    assert threading.active_count() == before
    assert [path.name for path in task.folder.iterdir()] == ["plan.json"]


def test_a_frame_used_instead_stands_beside_the_one_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of level 10 i; only those with odd index are good, and 30 frames asked for six give 2, 7, 12, 17, 22, 27."""
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for index in range(30):
        writer.write(np.full((48, 64, 3), 8 * index, np.uint8))
    writer.release()

    class Odd(toy.Shrink):
        def one(self, sample: Sample) -> Product | Reject:
            level = int(np.median(sample.images["image"]))
            if round(level / 8) % 2:
                return Product(values={"mean": float(level)})
            frame, image = next(sample.nearby())
            return Product(values={"mean": float(np.median(image))}, frame=frame)

    monkeypatch.setattr(toy, "Shrink", Odd)
    (tmp_path / "in").mkdir()
    (tmp_path / "v.avi").rename(tmp_path / "in" / "v.avi")
    source = SourceConfig(name="clips", path=tmp_path / "in", label="live", frames={"policy": "uniform", "count": 6})
    made = toy.plan(toy.configure(source), tmp_path / "store")
    made.write()
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    Worker().run(task)
    rows = UnitReader(task.folder, 0).rows
    assert [row["frame_requested"] for row in rows] == [2, 7, 12, 17, 22, 27]
    assert [row["frame"] for row in rows] == [1, 7, 11, 17, 21, 27]
    assert [round(float(str(row["mean"])) / 8) for row in rows] == [1, 7, 11, 17, 21, 27]


def test_words_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "defake-00001.json"
    assert read_crumb(path) == ()
    CrumbFile(path)((3, 4))
    assert read_crumb(path) == (3, 4) and json.loads(path.read_text()) == [3, 4]
