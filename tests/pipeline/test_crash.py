"""Killed at every write, flush, rename and removal of every stage's commit, by a kill or by a loss of power: then resumed."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import mixing
import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.manifests.plan_file import sweep
from fasgen.manifests.unit import committed_units
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import Key
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.worker import Worker
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig
from tests.disk import Disk, Fault, broken, in_child

ROWS = 8

BELOW = {"shrink": ("noisy", "join"), "noisy": ("join",), "join": (), "mix": ("compare", "collect"), "compare": ("collect",)}
"""Stages that lack their upstream while a stage has no unit."""

STAGES = (*(("toys", stage) for stage in toy.TARGETS), *(("mixed", stage) for stage in ("mix", "compare", "collect")))
"""Every stage of the one graph; of the other those with a roster, with variants, and with a lane of either kind."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", ROWS - 2)


def plan_of(graph: str, source: SourceConfig, store: Path) -> Plan:
    if graph == "toys":
        return toy.plan(toy.configure(source), store)
    config = toy.configure(source, mix=mixing.MixConfig(), compare=StageConfig(), collect=StageConfig())
    return build_plan(config, ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)


@pytest.fixture(scope="module")
def references(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for graph in ("toys", "mixed"):
        made[graph] = tmp_path_factory.mktemp(graph)
        plan = plan_of(graph, source, made[graph])
        assert toy.go(plan, LocalEngine(plan.resources, depth=1))[0].outcome is Outcome.FINISHED
    return made


def without(reference: Path, stage: str, store: Path) -> None:
    """A copy of the reference in which the unit of ``stage``, and its roster, were never made."""
    shutil.copytree(reference, store)
    for path in store.glob(f"spare/{stage}-*/roster*"):
        path.unlink()
    (folder,) = store.glob(f"{stage}-*")
    for path in folder.iterdir():
        if path.name not in {"plan.json", "index.json", "README.md", "croissant.json", "networks.json"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def task_of(source: SourceConfig, store: Path, stage: str) -> UnitTask:
    return plan_of("toys", source, store).task(Assign(0, Key(stage, 0)), store / "runs")


@pytest.mark.parametrize(("graph", "stage"), STAGES)
@pytest.mark.parametrize("fault", ["kill", "power"])
def test_every_operation_of_a_commit(
    source: SourceConfig, references: dict[str, Path], tmp_path: Path, graph: str, stage: str, fault: Fault
) -> None:
    wanted = toy.content(references[graph])
    worker = Worker()

    def commit(store: Path) -> UnitTask:
        plan = plan_of(graph, source, store)
        plan.prepare(stage)
        task = plan.task(Assign(0, Key(stage, 0)), store / "runs")
        worker.run(task)
        return task

    whole = tmp_path / "whole"
    without(references[graph], stage, whole)
    with broken(Disk(whole, "count")) as counted:
        commit(whole)
    assert toy.content(whole) == wanted
    names = {line.partition(" ")[0] for line in counted.log}
    assert {"open", "write", "fsync", "replace", "mkdir"} <= names
    assert any("roster" in line for line in counted.log) == (stage == "mix")
    half = 0
    for at in range(1, counted.count + 1):
        store = tmp_path / f"{at}"
        without(references[graph], stage, store)

        def work(store: Path = store, at: int = at) -> None:
            with broken(Disk(store, fault, at)):
                commit(store)

        assert in_child(work) == -signal.SIGKILL, f"{fault} at {at}, {counted.log[at - 1]}"
        (folder,) = store.glob(f"{stage}-*")
        committed = committed_units(folder)
        half += not committed
        # What is visible is whole: no error, whatever is left lying about.
        below = BELOW.get(stage, ())
        found = [
            one for one in verify(store) if one.severity == "error" and not Path(one.where).parent.name.startswith(below or "-")
        ]
        assert not found, f"{fault} at {at}, {counted.log[at - 1]}: {found}"
        if not committed:
            commit(store)
        sweep(store)
        assert toy.content(store) == wanted, f"{fault} at {at}, {counted.log[at - 1]}"
        assert not [one for one in verify(store) if one.severity == "error"]
        shutil.rmtree(store)
    assert half > counted.count / 2


@pytest.mark.parametrize("graph", ["toys", "mixed"])
@pytest.mark.parametrize("fault", ["kill", "power"])
def test_a_whole_run_killed_at_moments_over_all_of_it(
    source: SourceConfig, references: dict[str, Path], tmp_path: Path, graph: str, fault: Fault
) -> None:
    wanted = toy.content(references[graph])

    def run(store: Path) -> None:
        made = plan_of(graph, source, store)
        assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED

    (tmp_path / "whole").mkdir()
    with broken(Disk(tmp_path / "whole", "count")) as counted:
        run(tmp_path / "whole")
    assert toy.content(tmp_path / "whole") == wanted
    # Either fault at every other moment; what one leaves out, the other has.
    step = counted.count // (16 if graph == "toys" else 8)
    for at in range(1 if fault == "kill" else 1 + step, counted.count, 2 * step):
        store = tmp_path / str(at)
        store.mkdir()

        def work(store: Path = store, at: int = at) -> None:
            with broken(Disk(store, fault, at)):
                run(store)

        ended = in_child(work)
        # Heartbeats of the lock count too, so the very last moments may not come.
        assert ended == -signal.SIGKILL or (ended == 0 and at > 0.9 * counted.count), f"{fault} at {at}"
        assert not [one for one in verify(store) if one.severity == "error"], f"{fault} at {at}, {counted.log[at - 1]}"
        run(store)
        assert toy.content(store) == wanted, f"{fault} at {at}, {counted.log[at - 1]}"
        assert verify(store) == []
        shutil.rmtree(store)
