"""Whole runs of the toy stages in this process: bytes, resume, one stage alone, bad rows, budgets, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import toy

from fasgen.errors import ConfigError, SourceError
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.schedule import Budget
from fasgen.sources.config import SourceConfig


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


@pytest.fixture(scope="module")
def reference(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one undisturbed worker wrote."""
    store = tmp_path_factory.mktemp("reference")
    made = toy.plan(toy.configure(source), store)
    result, pages, _ = toy.go(made, toy.engines(made))
    assert result.outcome is Outcome.FINISHED and result.remaining == 0
    assert result.units == 9 and result.planned == result.ok + result.filtered + result.failed
    assert pages.document["units"] == 9 and len(pages.of("unit")) == 9
    return store


def rows(store: Path, stage: str) -> list[dict[str, Any]]:
    (folder,) = store.glob(f"{stage}-*")
    return [row for unit in range(3) for row in UnitReader(folder, unit).rows]


def test_every_bad_row_has_its_reason_and_rows_go_down_in_place(reference: Path) -> None:
    shrink = rows(reference, "shrink")
    assert len(shrink) == 24
    bad = {row["path"]: row["reason"] for row in shrink if row["status"] != "ok"}
    assert bad == {
        "003.png": "no_face",
        "004.png": "stage_error",
        "010-empty.png": "empty_file",
        "011-text.jpg": "not_media",
    }
    noisy = rows(reference, "noisy")
    assert [(row["unit"], row["row"], row["sample_id"]) for row in noisy] == [
        (row["unit"], row["row"], row["sample_id"]) for row in shrink if row["status"] == "ok"
    ]
    assert all(row["slot"] == row["row"] % 3 for row in noisy if row["status"] == "ok")
    joined = {row["path"]: row for row in rows(reference, "join")}
    assert joined["005.png"]["reason"] == "not_finite" and joined["005.png"]["detail"].startswith("noisy")
    assert sum(row["status"] == "ok" for row in joined.values()) == 19


def test_shipped_stages_are_finished_with_their_plan(reference: Path) -> None:
    (folder,) = reference.glob("join-*")
    index = json.loads((folder / "index.json").read_text())
    assert [shard["name"] for shard in index["shards"]] == [f"toy-{unit:06d}.tar" for unit in range(3)]
    assert index["plan_hash"] == json.loads((folder / "plan.json").read_text())["plan_hash"]


@pytest.mark.parametrize(("cpus", "depth"), [(1, 1), (2, 2), (2, 3)])
def test_workers_and_depth_change_no_byte(source: SourceConfig, reference: Path, tmp_path: Path, cpus: int, depth: int) -> None:
    made = toy.plan(toy.configure(source), tmp_path, cpus=cpus)
    assert toy.go(made, LocalEngine(made.resources, depth=depth))[0].outcome is Outcome.FINISHED
    assert toy.content(tmp_path) == toy.content(reference)


def test_a_second_run_does_nothing(source: SourceConfig, reference: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*.parquet")}
    made = toy.plan(toy.configure(source), reference)

    def no_engine() -> Any:
        raise AssertionError("no engine is needed")

    result, _, _ = toy.go(made, no_engine)
    assert made.todo == 0 and result.units == 0 and result.outcome is Outcome.FINISHED
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*.parquet")} == before


@pytest.mark.parametrize("stage", ["shrink", "noisy"])
def test_killed_in_the_middle_and_resumed_gives_the_same_bytes(
    source: SourceConfig, reference: Path, tmp_path: Path, stage: str
) -> None:
    program = (
        "import sys; from pathlib import Path; import toy; from fasgen.sources.config import SourceConfig\n"
        "from fasgen.pipeline.local_engine import LocalEngine\n"
        "source = SourceConfig.model_validate_json(sys.argv[1])\n"
        "made = toy.plan(toy.configure(source), Path(sys.argv[2]))\n"
        "toy.go(made, LocalEngine(made.resources, depth=1))\n"
    )
    environment = os.environ | {
        "TOY_DIE_AT": f"{stage}:{20 + 2 * 12}:{tmp_path / 'died'}",
        "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}",
    }
    store = tmp_path / "store"
    killed = subprocess.run(
        [sys.executable, "-c", program, source.model_dump_json(), str(store)], env=environment, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert (tmp_path / "died").exists()
    made = toy.plan(toy.configure(source), store)
    assert 0 < made.todo < 9
    assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED
    assert toy.content(store) == toy.content(reference)


def test_a_changed_setting_makes_new_generations_from_there_on(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    before = toy.plan(toy.configure(source), reference)
    after = toy.plan(toy.configure(source, noisy=toy.NoisyConfig(strength=4.0)), reference)
    assert after.stages["shrink"].folder == before.stages["shrink"].folder and not after.stages["shrink"].todo
    for name in ("noisy", "join"):
        assert after.stages[name].folder != before.stages[name].folder
        assert len(after.stages[name].todo) == 3
    assert not after.stages["noisy"].folder.exists(), "a plan writes nothing"


def test_what_does_and_does_not_change_the_hashes(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    def hashes(config: Any, **more: Any) -> dict[str, str]:
        return {name: stage.plan_hash for name, stage in toy.plan(config, reference, **more).stages.items()}

    base = hashes(toy.configure(source))
    assert hashes(toy.configure(source), cpus=2) == base
    for change in ({"seed": 2}, {"unit_rows": 16}, {"shrink": toy.ShrinkConfig(batch=8)}):
        assert not set(hashes(toy.configure(source, **change)).values()) & set(base.values())
    moved = tmp_path / "elsewhere"
    source.path.rename(moved)
    try:
        assert hashes(toy.configure(source.model_copy(update={"path": moved}))) == base, "where a source lies is no part of it"
    finally:
        moved.rename(source.path)


def test_one_stage_runs_on_what_is_there_and_says_what_is_not(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    config = toy.configure(source)
    made = toy.plan(config, tmp_path, ["noisy"])
    assert made.todo == 0 and made.stages["noisy"].lacks == {"shrink": 3}
    assert "3 of 3 units wait for shrink" in made.notes()[0] and "fasgen run stage=shrink" in made.notes()[0]
    toy.go(toy.plan(config, tmp_path, ["shrink"]), LocalEngine(made.resources))
    (folder,) = tmp_path.glob("shrink-*")
    (folder / "00001.parquet").unlink()
    made = toy.plan(config, tmp_path, ["noisy"])
    assert sorted(made.stages["noisy"].todo) == [0, 2] and made.stages["noisy"].lacks == {"shrink": 1}
    result, _, _ = toy.go(made, LocalEngine(made.resources))
    assert result.outcome is Outcome.FINISHED and result.units == 2
    made = toy.plan(config, tmp_path)
    assert {name: len(stage.todo) for name, stage in made.stages.items()} == {"shrink": 1, "noisy": 1, "join": 3}
    toy.go(made, LocalEngine(made.resources))
    assert toy.content(tmp_path) == toy.content(reference)


def test_the_budget_ends_the_run_and_the_next_one_too(source: SourceConfig, tmp_path: Path) -> None:
    config = toy.configure(source)
    made = toy.plan(config, tmp_path)
    result, _, _ = toy.go(made, LocalEngine(made.resources, depth=1), RunOptions(Budget(max_failed=0)))
    assert result.outcome is Outcome.OVER_BUDGET and result.outcome.exit_code == 3
    assert result.units == 1 and result.remaining == 8 and "max_failed 0" in result.error
    made = toy.plan(config, tmp_path)
    assert toy.go(made, LocalEngine(made.resources), RunOptions(Budget(max_failed=0)))[0].units == 0
    assert toy.go(made, LocalEngine(made.resources), RunOptions(Budget(max_failed=10)))[0].outcome is Outcome.FINISHED
    rate = toy.go(toy.plan(config, tmp_path), LocalEngine(made.resources), RunOptions(Budget(max_rate=0.01)))[0]
    assert rate.outcome is Outcome.OVER_BUDGET, "a finished run is judged by its rate however small"


def test_ctrl_c_drains_and_the_rest_resumes(
    source: SourceConfig, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SLEEP", "0.25")
    made = toy.plan(toy.configure(source), tmp_path)

    def press() -> None:
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    result, pages, silent = toy.go(made, LocalEngine(made.resources, depth=1))
    assert result.outcome is Outcome.INTERRUPTED and result.outcome.exit_code == 130
    assert 0 < result.units < 9 and result.remaining == 9 - result.units
    assert pages.of("interrupt") and "Ctrl-C again" in silent.said[0]
    monkeypatch.delenv("TOY_SLEEP")
    made = toy.plan(toy.configure(source), tmp_path)
    assert made.todo == result.remaining
    toy.go(made, LocalEngine(made.resources))
    assert toy.content(tmp_path) == toy.content(reference)


def test_an_error_of_no_sample_commits_nothing_wrong(source: SourceConfig, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    moved = source.path.with_name("away")
    source.path.rename(moved)
    try:
        result, pages, _ = toy.go(made, LocalEngine(made.resources))
    finally:
        moved.rename(source.path)
    assert result.outcome is Outcome.ERROR and result.units == 0
    assert "is not there" in result.error and pages.of("broke")
    assert not list(tmp_path.rglob("*.tar"))


def test_what_cannot_be_planned_is_refused(source: SourceConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shrink, noisy, join"):
        toy.plan(toy.configure(source), tmp_path, ["shrunk"])
    with pytest.raises(ConfigError, match="no source"):
        toy.plan(toy.configure(source, sources=[]), tmp_path)
    with pytest.raises(ConfigError, match="two sources"):
        toy.plan(toy.configure(source, sources=[source, source]), tmp_path)
    with pytest.raises(SourceError):
        toy.plan(toy.configure(source, sources=[source.model_copy(update={"path": tmp_path / "none"})]), tmp_path)
