"""Killed at every write, flush, rename and removal of every stage's commit, by a kill or by a loss of power: then resumed."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import toy

from fasgen.manifests.shard import committed_units
from fasgen.manifests.verify import verify
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.run import Outcome
from fasgen.pipeline.schedule import Assign, Key
from fasgen.pipeline.worker import Worker
from fasgen.sources.config import SourceConfig
from tests.disk import Disk, Fault, broken, in_child

ROWS = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", ROWS - 2)


@pytest.fixture(scope="module")
def reference(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("reference")
    made = toy.plan(toy.configure(source), store)
    assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED
    return store


def without(reference: Path, stage: str, store: Path) -> None:
    """A copy of the reference in which the unit of ``stage`` was never made."""
    shutil.copytree(reference, store)
    (folder,) = store.glob(f"{stage}-*")
    for path in folder.iterdir():
        if path.name not in {"plan.json", "index.json"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def task_of(source: SourceConfig, store: Path, stage: str) -> UnitTask:
    made: Plan = toy.plan(toy.configure(source), store)
    return made.task(Assign(0, Key(stage, 0)), store / "runs")


@pytest.mark.parametrize("stage", list(toy.TARGETS))
@pytest.mark.parametrize("fault", ["kill", "power"])
def test_every_operation_of_a_commit(source: SourceConfig, reference: Path, tmp_path: Path, stage: str, fault: Fault) -> None:
    wanted = toy.content(reference)
    whole = tmp_path / "whole"
    without(reference, stage, whole)
    task, worker = task_of(source, whole, stage), Worker()
    with broken(Disk(whole, "count")) as counted:
        worker.run(task)
    assert toy.content(whole) == wanted
    names = {line.partition(" ")[0] for line in counted.log}
    assert {"open", "write", "fsync", "replace", "mkdir"} <= names
    half = 0
    for at in range(1, counted.count + 1):
        store = tmp_path / f"{at}"
        without(reference, stage, store)
        task = task_of(source, store, stage)

        def work(store: Path = store, task: UnitTask = task, at: int = at) -> None:
            with broken(Disk(store, fault, at)):
                worker.run(task)

        assert in_child(work) == -signal.SIGKILL, f"{fault} at {at}, {counted.log[at - 1]}"
        committed = committed_units(task.folder)
        half += not committed
        # What is visible is whole: no error, whatever is left lying about.
        below = {"shrink": ("noisy", "join"), "noisy": ("join",), "join": ()}[stage]
        found = [
            one for one in verify(store) if one.severity == "error" and not Path(one.where).parent.name.startswith(below or "-")
        ]
        assert not found, f"{fault} at {at}, {counted.log[at - 1]}: {found}"
        if not committed:
            worker.run(task)
        assert toy.content(store) == wanted, f"{fault} at {at}, {counted.log[at - 1]}"
        assert not [one for one in verify(store) if one.severity == "error"]
        shutil.rmtree(store)
    assert half > counted.count / 2


@pytest.mark.parametrize("fault", ["kill", "power"])
def test_a_whole_run_killed_at_moments_over_all_of_it(
    source: SourceConfig, reference: Path, tmp_path: Path, fault: Fault
) -> None:
    wanted = toy.content(reference)

    def run(store: Path) -> None:
        made = toy.plan(toy.configure(source), store)
        assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED

    (tmp_path / "whole").mkdir()
    with broken(Disk(tmp_path / "whole", "count")) as counted:
        run(tmp_path / "whole")
    assert toy.content(tmp_path / "whole") == wanted
    for at in range(1 if fault == "kill" else 7, counted.count, counted.count // 16):
        store = tmp_path / str(at)
        store.mkdir()

        def work(store: Path = store, at: int = at) -> None:
            with broken(Disk(store, fault, at)):
                run(store)

        ended = in_child(work)
        # Heartbeats of the lock count too, so the very last moments may not come.
        assert ended == -signal.SIGKILL or (ended == 0 and at > 0.9 * counted.count), f"{fault} at {at}"
        run(store)
        assert toy.content(store) == wanted, f"{fault} at {at}, {counted.log[at - 1]}"
        assert verify(store) == []
        shutil.rmtree(store)
