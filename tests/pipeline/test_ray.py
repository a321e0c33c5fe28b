"""Whole runs on Ray: the same bytes as in this process, workers killed in the middle, samples that kill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from fasgen.errors import ResourceError
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline import ray_rehearsal
from fasgen.pipeline.events import Doing, Done, Joined, Key, State
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.ray_connection import connect
from fasgen.pipeline.ray_engine import RayEngine
from fasgen.pipeline.ray_rehearsal import rehearse
from fasgen.pipeline.rehearsal import Rehearsal
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.schedule import Assign
from fasgen.sources.config import SourceConfig

HERE = str(Path(__file__).parent)


def engine(cpus: int, **environment: str) -> RayEngine:
    path = os.pathsep.join((HERE, str(Path.cwd()), os.environ.get("PYTHONPATH", "")))
    return RayEngine(Resources(0, cpus), environment={"PYTHONPATH": path, **environment}, keep=True)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """One Ray for all tests here; four logical cores, whatever the machine has."""
    have = connect(resources=Resources(0, 4))
    assert (have.gpus, have.cpus) == (0, 4)
    yield
    import ray

    ray.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


@pytest.fixture(scope="module")
def reference(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("reference")
    made = toy.plan(toy.configure(source), store)
    toy.go(made, LocalEngine(made.resources))
    return store


def test_nothing_listens_beyond_this_machine() -> None:
    import ray

    assert ray.nodes()[0]["NodeManagerAddress"] == "127.0.0.1"
    sockets = _ray_sockets()
    listening: dict[str, list[int]] = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A" and int(fields[9]) in sockets:
                listening.setdefault(address, []).append(int(port, 16))
    assert listening
    # 127.0.0.1 and ::ffff:127.0.0.1, as the kernel writes them.
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}, listening


def _ray_sockets() -> set[int]:
    """Inodes of the sockets that Ray's own processes hold."""
    inodes: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray" not in (folder / "cmdline").read_bytes():
                continue
            for link in (folder / "fd").iterdir():
                target = str(link.readlink())
                if target.startswith("socket:["):
                    inodes.add(int(target[8:-1]))
        except OSError:
            continue
    return inodes


def test_a_worker_killed_in_the_middle_changes_no_byte(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    marker = tmp_path / "died"
    store = tmp_path / "store"
    made = toy.plan(toy.configure(source), store, cpus=2)
    result, pages, _ = toy.go(made, lambda: engine(2, TOY_DIE_AT=f"noisy:{20 + 2 * 12}:{marker}"))
    assert marker.exists() and result.deaths == 1 and pages.of("died") and pages.of("retry")
    assert result.outcome is Outcome.FINISHED and result.units == 9
    # Two came, of whom one died, and a third if it was up in time; what they took for that is in the account.
    assert result.use is not None and result.use.workers == len(pages.of("worker")) and result.use.start > 0
    assert 2 <= result.use.workers == len(pages.of("joined")) <= 3
    assert toy.content(store) == toy.content(reference)


def test_workers_say_what_they_do_and_never_hold_anybody_up(source: SourceConfig, tmp_path: Path) -> None:
    import time

    made = toy.plan(toy.configure(source), tmp_path / "store")
    made.write()
    workers = engine(1, TOY_SLEEP="3")
    try:
        workers.begin(toy.terms(tmp_path))
        while not (joining := [event for event in workers.wait(1) if isinstance(event, Joined)]):
            pass
        (joined,) = joining
        key = Key("shrink", 0)
        workers.submit(joined.worker, made.task(Assign(joined.worker, key), tmp_path))
        states: list[State] = []
        longest, finished = 0.0, False
        while not finished:
            began = time.monotonic()
            for event in workers.wait(0.1):
                states += [event.state] if isinstance(event, Doing) else []
                finished |= isinstance(event, Done)
            longest = max(longest, time.monotonic() - began)
            assert len(workers._asked) <= 1
        # It answers while a unit is in the stage, and a question takes no time however long that lasts.
        assert State(key, "computing") in states and longest < 2
        actor, _ = workers._actors[joined.worker]
        import ray

        ray.kill(actor)
        workers._ask_at = 0.0
        for _ in range(10):
            assert workers.wait(0.05) == [], "a death of an idle worker is no event"
    finally:
        workers.close()


def test_a_worker_whose_disk_hangs_is_told_from_those_that_are_still_coming(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "driver")
    workers = engine(1)
    try:
        workers.begin({"cpu": {**toy.terms(tmp_path)["cpu"], "seconds": 1.0}})
        while not (arrived := [event for event in workers.wait(1) if isinstance(event, Joined)]):
            pass
        (came,) = arrived
        assert "has waited 1 s for the store" in came.said["error"] and came.said["node_id"]
        workers.dismiss(came.worker)
        assert workers.expects("cpu") == "", "nobody is hired again on that node"
    finally:
        workers.close()


def test_a_node_that_is_unfit_is_said_once_however_many_workers_come_up_there(tmp_path: Path) -> None:
    import ray

    # More than there is room for.
    workers = engine(6)
    try:
        workers.begin(toy.terms(tmp_path))
        first = set(workers._actors)
        # Two are up before anybody is looked at.
        assert len(ray.wait(list(workers._greeted), num_returns=2, timeout=120)[0]) == 2
        (came,) = workers.wait(1)
        assert isinstance(came, Joined)
        workers.dismiss(came.worker)
        waiting = set(workers._actors) - first
        assert len(waiting) == 3, "those for whom there was no room, and the one that was let go, are asked for anew"
        assert workers.expects("cpu") == ""
        while first & set(workers._actors):
            assert workers.wait(1) == []
        ready, _ = ray.wait(list(workers._greeted), num_returns=1, timeout=2)
        assert len(workers._greeted) == 6 and not ready, "nobody comes up on that node"
    finally:
        workers.close()


def rehearsed(**environment: str) -> dict[int, float]:
    import spinning

    path = os.pathsep.join((HERE, str(Path.cwd()), os.environ.get("PYTHONPATH", "")))
    job = Rehearsal("spinning:SPIN", spinning.SpinConfig(), 24)
    return rehearse(job, "Fake GPU", gpus=0, environment={"PYTHONPATH": path, **environment})


def test_a_batch_is_measured_on_a_worker_of_the_cluster() -> None:
    assert sorted(rehearsed()) == [16, 32, 64]
    with pytest.raises(ResourceError, match="no such weights"):
        rehearsed(SPIN_FAILS="1")


@pytest.mark.parametrize("seconds", [0.0, 4.0])
def test_a_measurement_that_takes_too_long_is_ended_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Before its process is there, and about when it has an answer."""
    with monkeypatch.context() as patch:
        patch.setattr(ray_rehearsal, "LIMIT", seconds)
        with pytest.raises(ResourceError):
            rehearsed(SPIN_FAILS="1")
    assert rehearsed()


def with_a_bad_one(source: SourceConfig, folder: Path) -> SourceConfig:
    from PIL import Image

    folder.mkdir()
    for path in source.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with Image.open(folder / "012.png") as opened:
        picture = opened.copy()
    picture.putpixel((0, 0), (toy.KILLER, 0, 0))
    picture.save(folder / "012.png")
    return source.model_copy(update={"path": folder})


def test_a_sample_that_never_ends_is_found_and_failed(source: SourceConfig, tmp_path: Path) -> None:
    config = toy.configure(with_a_bad_one(source, tmp_path / "in"), shrink=toy.ShrinkConfig(batch=1))
    made = toy.plan(config, tmp_path / "store", ["shrink"])
    result, pages, _ = toy.go(made, lambda: engine(1, TOY_HANGER="1"), RunOptions(retries=0, time_limit=4.0))
    assert result.outcome is Outcome.FINISHED, result.error
    assert result.deaths == 3 and pages.of("retry")[-1]["late"] == pages.of("retry")[-1]["excluded"]
    rows = {str(row["path"]): row for unit in range(3) for row in UnitReader(made.stages["shrink"].folder, unit).rows}
    assert rows["012.png"]["reason"] == "time_limit" and rows["012.png"]["status"] == "failed"
    assert sum(row["reason"] == "time_limit" for row in rows.values()) == 1
    assert not list((tmp_path / "store" / "runs").rglob("*.late"))


def test_a_sample_that_kills_its_workers_is_rejected_alone(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(with_a_bad_one(source, tmp_path / "in")), tmp_path / "store", ["shrink"])
    result, pages, _ = toy.go(made, lambda: engine(1, TOY_KILLER="1"), RunOptions(retries=0))
    assert result.outcome is Outcome.FINISHED, result.error
    # Once outside quarantine, once with its batch in hand, once alone.
    assert result.deaths == 3 and pages.of("retry")[-1]["excluded"]
    by_path = {str(row["path"]): row for unit in range(3) for row in UnitReader(made.stages["shrink"].folder, unit).rows}
    assert by_path["012.png"]["reason"] == "worker_died" and by_path["012.png"]["status"] == "failed"
    (before,) = reference.glob("shrink-*")
    undisturbed = {str(row["path"]): row for unit in range(3) for row in UnitReader(before, unit).rows}
    for path, row in by_path.items():
        if path != "012.png":
            assert row["payload_digest"] == undisturbed[path]["payload_digest"]
    assert not list((tmp_path / "store" / "runs").rglob("*.json")), "no word of rows in hand is left behind"


def test_an_error_of_no_sample_is_told_as_it_is(source: SourceConfig, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path / "store", ["shrink"])
    away = source.path.with_name("away")
    source.path.rename(away)
    try:
        result, _, _ = toy.go(made, lambda: engine(1))
    finally:
        away.rename(source.path)
    assert result.outcome is Outcome.ERROR and "is not there" in result.error
