"""Workers that do not fit, and workers that say what is not true: dismissed with the reason, while the others go on."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.errors import SourceError
from fasgen.manifests.plan_file import read_plan
from fasgen.manifests.unit import unit_facts
from fasgen.pipeline import handshake, loading
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import Done, EngineEvent, Joined, Kind
from fasgen.pipeline.handshake import Meeting, answer
from fasgen.pipeline.idle import Idle
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.resources import Resources, domain_digest, own_domain
from fasgen.remote import cache
from fasgen.remote.path import RemotePath
from fasgen.sources.config import SourceConfig

TWO = Resources(0, 2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", 14)


@pytest.fixture
def made(source: SourceConfig, tmp_path: Path) -> Plan:
    return toy.plan(toy.configure(source), tmp_path / "store")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "PATIENCE", 0.0)
    monkeypatch.setattr("fasgen.pipeline.run.PATIENCE", 0.0)


def objected(made: Plan, change: Callable[[dict[str, Any]], Mapping[str, Any]] = dict, **said: Any) -> str:
    """What is objected to a worker that is asked changed terms, or says something else than is so."""
    with Meeting(made) as meeting:
        asked = json.loads(json.dumps(meeting.terms("cpu")))
        return meeting.objection("cpu", json.loads(json.dumps(answer(change(asked)))) | said)


def test_a_worker_that_sees_and_has_the_same_fits(made: Plan) -> None:
    assert objected(made) == ""
    assert not list((made.store / "runs").iterdir()), "nothing is left of it"


def test_nothing_is_asked_of_a_kind_that_has_no_work(made: Plan) -> None:
    with Meeting(made) as meeting:
        terms = meeting.terms("accelerator")
    assert (terms["stages"], terms["weights"], terms["sources"]) == ({}, {}, {})


def test_what_does_not_fit_is_said_with_what_to_change(made: Plan, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert objected(made, lambda asked: asked | {"store": str(tmp_path / "none")}) == (
        f"does not see the store {tmp_path / 'none'}: mount the same shared disk there, under the same path"
    )
    # An empty folder where the disk should be mounted, and one to which another store is mounted.
    assert "sees another folder under" in objected(made, lambda asked: asked | {"folder": str(elsewhere / "meeting")})
    (elsewhere / "driver").write_text("another word")
    assert "sees another folder under" in objected(made, lambda asked: asked | {"folder": str(elsewhere)})
    assert "writes into another folder under" in objected(made, word="worker-that-never-wrote")
    assert "writes into another folder under" in objected(made, word="../../../etc/hostname")
    assert "does not see the source toys at /none" in objected(made, lambda asked: asked | {"sources": {"toys": "/none"}})
    assert "has fasgen 9.9.9, the driver has" in objected(made, version="9.9.9")
    stages = {"toy:SHRINK": 1, "toy:NOISY": 2, "toy:JOIN": 1}
    assert "has version 2 of stage noisy, the driver has 1" in objected(made, stages=stages)
    assert objected(made, error="does not start") == "does not start"
    why = objected(made, lambda asked: asked | {"stages": {"no_such_module:SPEC": 1}})
    assert "cannot do this run's work: No module named 'no_such_module'" in why


def test_sources_at_addresses_are_reached_and_grow(source: SourceConfig, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    there = RemotePath("memory://handshake")
    for file in sorted(Path(str(source.path)).iterdir()):
        (there / file.name).write(file)
    far = source.model_copy(update={"path": there})

    def run() -> Plan:
        made = toy.plan(toy.configure(far), tmp_path / "store")
        assert objected(made) == ""
        assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED
        return made

    made = run()
    assert not [finding for finding in verify(tmp_path / "store") if finding.severity == "error"]
    again = toy.plan(toy.configure(far), tmp_path / "store")
    assert again.listing.growth.new == again.listing.growth.changed == 0
    (there / "013.png").write((there / "012.png").read())
    grown = toy.plan(toy.configure(far), tmp_path / "store")
    assert (grown.listing.growth.new, grown.listing.growth.changed) == (0, 1)
    assert "does not reach the source toys: memory://none: nothing is there for this node" in objected(
        made, lambda asked: asked | {"sources": {"toys": "memory://none"}}
    )
    fsspec.filesystem("memory").rm("/handshake", recursive=True)
    with pytest.raises(SourceError, match="memory://handshake is not there any more, or empty"):
        loading._must_be_there("toys", there)


def test_weights_at_addresses_are_fetched_where_they_are_wanted(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setattr(cache, "cache_home", lambda: tmp_path / "driver")
    (tmp_path / "driver").mkdir()
    RemotePath("memory://nets/one.bin").write(b"one")
    monkeypatch.setattr(
        toy, "SHRINK", replace(toy.SHRINK, weights=lambda config: {"net": cache.located("memory://nets/one.bin")})
    )
    made = toy.plan(toy.configure(source), tmp_path / "store")
    with Meeting(made) as meeting:
        asked = json.loads(json.dumps(meeting.terms("cpu")))
        assert asked["weights"]["shrink"] == {"net": "memory://nets/one.bin"}
        # Another machine has a cache of its own.
        monkeypatch.setattr(cache, "cache_home", lambda: tmp_path / "worker")
        (tmp_path / "worker").mkdir()
        cache._fetched.cache_clear()
        said = answer(asked)
        assert meeting.objection("cpu", said) == "" and list((tmp_path / "worker").rglob("one.bin"))
        RemotePath("memory://nets/one.bin").write(b"two")
        cache._fetched.cache_clear()
        assert "has other weights of shrink (net)" in meeting.objection("cpu", answer(asked))
    cache._fetched.cache_clear()


def test_weights_are_compared_by_their_bytes(source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")
    monkeypatch.setattr(toy, "SHRINK", replace(toy.SHRINK, weights=lambda config: {"net": weights}))
    made = toy.plan(toy.configure(source), tmp_path / "store")
    assert objected(made) == ""
    other = tmp_path / "other.bin"
    other.write_bytes(b"two")
    why = objected(made, lambda asked: asked | {"weights": {"shrink": {"net": str(other)}}})
    assert f"has other weights of shrink (net) at {weights}" in why and "copy the same file to every node" in why
    why = objected(made, lambda asked: asked | {"weights": {"shrink": {"net": str(tmp_path / "gone")}}})
    assert "lacks weights of shrink" in why and "gone cannot be read" in why


def test_a_folder_that_cannot_be_written_is_said(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text

    def refused(path: Path, *rest: Any, **named: Any) -> int:
        if path.name.startswith("worker-"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **named)

    monkeypatch.setattr(Path, "write_text", refused)
    assert f"cannot write into the store {made.store} (Permission denied)" in objected(made)


def test_one_whose_disk_answers_nothing_says_so_in_time(made: Plan, tmp_path: Path) -> None:
    # Who opens a pipe into which nobody writes waits for ever, as before a disk whose server is gone.
    for place, what in (("driver", f"the store {made.store}"), ("net", f"the weights of shrink at {tmp_path / 'net'}")):
        os.mkfifo(tmp_path / place)

        def hung(asked: dict[str, Any], place: str = place) -> dict[str, Any]:
            changed = (
                {"folder": str(tmp_path)} if place == "driver" else {"weights": {"shrink": {"net": str(tmp_path / place)}}}
            )
            return {**asked, **changed, "seconds": 0.3}

        assert objected(made, hung) == f"has waited 0.3 s for {what} and got no answer: is the server of that disk there?"


def test_a_file_that_is_long_in_reading_is_no_disk_that_hangs(made: Plan, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net")

    def slowly() -> None:
        with (tmp_path / "net").open("wb", buffering=0) as out:
            for _ in range(10):
                out.write(bytes(1 << 20))
                time.sleep(0.3)

    threading.Thread(target=slowly, daemon=True).start()
    why = objected(made, lambda asked: {**asked, "weights": {"shrink": {"net": str(tmp_path / "net")}}, "seconds": 2.0})
    assert why == "", "three seconds in all, and never two without a step forward"


class Amiss(LocalEngine):
    """Its worker 0 answers or reports something else than is so."""

    def __init__(self, resources: Resources, said: Mapping[str, Any] | None = None, lies: str = "") -> None:
        super().__init__(resources, depth=1)
        self._said, self._lies = said or {}, lies
        self.given: list[int] = []

    def submit(self, worker: int, task: UnitTask) -> None:
        self.given.append(worker)
        super().submit(worker, task)

    def wait(self, timeout: float) -> list[EngineEvent]:
        return [self._wrong(event) if event.worker == 0 else event for event in super().wait(timeout)]

    def _wrong(self, event: EngineEvent) -> EngineEvent:
        match event:
            case Joined():
                return event._replace(node="node-b (10.0.0.2)", said={**event.said, **self._said})
            case Done(worker, report) if self._lies == "digest":
                return Done(worker, replace(report, digest="0" * 64))
            case Done(worker, report) if self._lies == "gone":
                (self.store / f"{report.key.unit:05d}.parquet").unlink()
        return event

    store = Path()


def test_one_that_does_not_fit_is_dismissed_and_the_others_go_on(made: Plan) -> None:
    engine = Amiss(TWO, {"token": "of another store"})
    result, pages, silent = toy.go(made, engine)
    assert result.outcome is Outcome.FINISHED and set(engine.given) == {1}
    (told,) = pages.of("dismissed")
    assert told["node"] == "node-b (10.0.0.2)" and told["why"].startswith("sees another folder")
    assert silent.said[0].startswith("worker 0 on node-b (10.0.0.2) is dismissed: it sees another folder")
    assert result.dismissed == (f"node-b (10.0.0.2): {told['why']}",)
    assert pages.document["dismissed"] == list(result.dismissed)
    (joined,) = pages.of("joined")
    assert joined["worker"] == 1 and joined["domain"]["threads"] == 1


def test_where_nobody_is_left_the_run_ends_with_the_reason(made: Plan) -> None:
    kinds: list[Kind] = ["cpu"]
    assert Resources(0, 1).kinds == kinds
    result, _, _ = toy.go(made, Amiss(Resources(0, 1), {"version": "0.0.1"}))
    assert result.outcome is Outcome.ERROR and result.units == 0 and result.outcome.exit_code == 2
    assert result.error.startswith("no CPU worker is left: node-b (10.0.0.2): has fasgen 0.0.1, the driver has")
    assert result.error.endswith("install the same version on every node") and result.remaining == 6


@pytest.mark.parametrize("lies", ["digest", "gone"])
def test_a_unit_is_done_when_its_manifest_is_there_as_reported(made: Plan, lies: str) -> None:
    engine = Amiss(TWO, lies=lies)
    engine.store = made.stages["shrink"].folder
    result, pages, silent = toy.go(made, engine)
    assert result.outcome is Outcome.FINISHED and result.units == 6 and verify(made.store) == []
    (told,) = pages.of("dismissed")
    assert told["units"] == [list(told["found_by"])] and engine.given.count(0) == 1
    assert ("is not there" if lies == "gone" else "has other bytes than it said") in told["why"]
    assert "given out again" in silent.said[0] and not pages.of("died") and result.deaths == 0


def test_lies_of_everybody_end_the_run(made: Plan) -> None:
    engine = Amiss(Resources(0, 1), lies="digest")
    result, _, _ = toy.go(made, engine)
    assert result.outcome is Outcome.ERROR and "has other bytes than it said" in result.error


def test_units_name_the_domain_that_their_worker_said(made: Plan) -> None:
    plain = own_domain(accelerator=False, threads=1)
    other = {**plain, "device": "another processor"}
    engine = Amiss(TWO, {"domain": other})
    result, _, _ = toy.go(made, engine)
    assert result.outcome is Outcome.FINISHED and set(engine.given) == {0, 1}
    for stage in made.stages.values():
        known = {domain_digest(each) for each in read_plan(stage.folder)["domains"]}
        named = {unit_facts(stage.folder, unit).domain for unit in range(2)}
        assert named <= known <= {domain_digest(plain), domain_digest(other)}
    again = toy.plan(toy.configure(_source(made)), made.store)
    assert again.todo == 0, "where a unit was made does not decide whether it is believed"


def test_going_on_in_another_domain_is_said(made: Plan) -> None:
    toy.go(made, LocalEngine(made.resources))
    (made.stages["shrink"].folder / "00001.parquet").unlink()
    again = toy.plan(toy.configure(_source(made)), made.store)
    other = {**own_domain(accelerator=False, threads=1), "device": "another processor"}
    _, _, silent = toy.go(again, Amiss(again.resources, {"domain": other}))
    assert any(
        said.startswith("shrink: node-b (10.0.0.2) has other library versions or another device") for said in silent.said
    )
    assert len(read_plan(again.stages["shrink"].folder)["domains"]) == 2


def test_waiting_is_said_less_and_less_often() -> None:
    now = [0.0]
    idle = Idle(lambda: now[0])
    said = []
    for second in range(1300):
        now[0] = float(second)
        if (waited := idle.due("cpu")) is not None:
            said.append(waited)
    assert said == [10, 30, 60, 120, 300, 600, 900, 1200]
    idle.over()
    assert idle.due("cpu") is None
    now[0] += 11
    assert idle.due("cpu") == 11


def _source(made: Plan) -> SourceConfig:
    from fasgen.sources.config import Limits

    return SourceConfig(name="toys", path=made.listing.decoding["toys"].root, label="live", limits=Limits(min_side=4))
