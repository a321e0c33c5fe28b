"""Where workers' time went: every second of every worker is in one place, and the closing lines say the same."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import toy

from fasgen.commands.run import closing
from fasgen.pipeline.events import State
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.occupancy import Occupancy
from fasgen.pipeline.outcome import RunResult
from fasgen.pipeline.progress import Counts, Doings, Silent
from fasgen.pipeline.run import run
from fasgen.stages import compiled
from fasgen.stages.stage import Product, Reject, Sample

PARTS = ("start", "build", "compile", "compute", "wait")


class Hands:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def seconds(**known: float) -> dict[str, float]:
    return {"load": 0.0, "build": 0.0, "compile": 0.0, "compute": 0.0, "write": 0.0, "wall": 0.0} | known


def test_gpu_seconds() -> None:
    hands = Hands()
    occupancy = Occupancy(hands)
    hands.now += 1
    occupancy.hired(0, "accelerator")
    occupancy.hired(1, "cpu")
    hands.now += 30
    # Its first unit began 20 s ago.
    occupancy.committed()
    occupancy.finished(0, seconds(wall=20, build=4, compile=5, compute=8, load=2, write=1))
    occupancy.finished(1, seconds(wall=29, compute=29))
    hands.now += 9
    occupancy.finished(0, seconds(wall=12, compute=8))
    occupancy.lost(0)
    hands.now += 1
    occupancy.hired(2, "accelerator")
    hands.now += 10
    occupancy.close()
    hands.now += 1000
    use = occupancy.use()
    assert use is not None and (use.kind, use.workers, use.wall) == ("accelerator", 2, 49)
    # The second never had a unit.
    assert {name: getattr(use, name) for name in PARTS} == {"start": 20, "build": 4, "compile": 5, "compute": 16, "wait": 4}
    assert (use.load, use.write) == (2, 1) and use.utilisation == pytest.approx(16 / 49)
    assert occupancy.first_unit == 31
    one, other, third = occupancy.workers()
    assert (one["worker"], one["device"], one["units"], one["start"], one["wall"]) == (0, "GPU", 2, 10, 39)
    assert (other["device"], other["start"], other["compute"], other["wall"]) == ("CPU", 1, 29, 50)
    assert (third["units"], third["start"], third["wall"], third["utilisation"]) == (0, 10, 10, 0)


def test_nobody_hired() -> None:
    occupancy = Occupancy()
    occupancy.close()
    assert occupancy.use() is None and occupancy.workers() == [] and occupancy.first_unit is None


@pytest.fixture
def made(tmp_path: Path) -> Any:
    return toy.plan(toy.configure(toy.make_source(tmp_path / "in")), tmp_path / "store")


def test_a_run_says_where_its_time_went(made: Any) -> None:
    result, pages, _ = toy.go(made, LocalEngine(made.resources))
    use = result.use
    assert use is not None and (use.kind, use.workers) == ("cpu", 1) and 0 < use.compute < use.wall
    assert sum(getattr(use, name) for name in PARTS) == pytest.approx(use.wall, rel=1e-6)
    assert result.first_unit is not None and result.first_unit > 0
    (worker,) = pages.of("worker")
    assert worker["units"] == 9 and worker["compute"] == round(use.compute, 4)
    (end,) = pages.of("end")
    assert end["use"] == pages.document["use"] == use.document()
    assert end["first_unit"] == pages.document["first_unit"] == result.first_unit
    assert pages.of("unit")[0]["seconds"].keys() == seconds().keys()


def test_closing_lines(made: Any) -> None:
    result, _, _ = toy.go(made, LocalEngine(made.resources))
    lines = closing(made, result, "fasgen run", None)
    (spent,) = (line for line in lines if line.startswith("CPU time"))
    assert "% computing of" in spent and "1 worker; lost:" in spent
    assert all(word in spent for word in ("starting", "compiling", "waiting"))
    assert any(line.startswith("first unit     after") for line in lines)
    again, pages, _ = toy.go(
        toy.plan(toy.configure(made.listing.decoding and _source(made)), made.store), LocalEngine(made.resources)
    )
    assert again.use is None and pages.document["use"] is None
    assert not any("time  " in line for line in closing(made, again, "fasgen run", None))


def _source(made: Any) -> Any:
    from fasgen.sources.config import Limits, SourceConfig

    return SourceConfig(name="toys", path=made.listing.decoding["toys"].root, label="live", limits=Limits(min_side=4))


class Looks(Silent):
    """Keeps what a run shows of its workers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def show(self, counts: Counts, doing: Doings = {}) -> None:  # noqa: B006
        super().show(counts, doing)
        self.seen += [f"{stage}: {what}" for stage, each in doing.items() for what in each]


class Compiles(toy.Shrink):
    """Compiles at its first batch."""

    done = False

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        if not Compiles.done:
            Compiles.done = True
            compiled._ACCOUNT.begin()
            time.sleep(0.6)
            compiled._ACCOUNT.end()
        return super().__call__(batch)


def test_compiling_is_shown_and_counted_apart(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compiles, "done", False)
    monkeypatch.setattr(toy, "Shrink", Compiles)
    looks, pages = Looks(), toy.Pages()
    result: RunResult = run(made, lambda: LocalEngine(made.resources), looks, pages)
    assert "shrink: compiling" in looks.seen and "noisy: compiling" not in looks.seen
    assert result.use is not None and result.use.compile >= 0.6
    units: list[Mapping[str, Any]] = pages.of("unit")
    assert sum(unit["seconds"]["compile"] > 0 for unit in units) == 1


def test_a_worker_is_idle_before_and_after(made: Any, tmp_path: Path) -> None:
    engine = LocalEngine(made.resources)
    engine.begin(toy.terms(tmp_path))
    try:
        assert [type(event).__name__ for event in engine.wait(0.1)] == ["Joined", "Doing"]
        assert engine._workers[0].state() == State(None, "idle")
        assert engine.wait(0) == [], "told once"
    finally:
        engine.close()
