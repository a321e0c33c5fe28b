"""Rows of one reason tried again: an added unit, and nothing that was there is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toy

from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import read_added
from fasgen.manifests.shard import UnitReader
from fasgen.manifests.verify import verify
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.retry import plan_retry
from fasgen.pipeline.run import Outcome
from fasgen.sources.config import SourceConfig


class Lenient(toy.Shrink):
    """Takes level 7 where the factor is odd."""

    def one(self, sample: Any) -> Any:
        image = sample.images["image"]
        if self.factor % 2 and int(image[0, 0, 0]) == 7:
            image = image.copy()
            image[0, 0, 0] = 8
            sample.images["image"] = image
        return super().one(sample)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


@pytest.fixture
def store(source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(toy, "Shrink", Lenient)
    made = toy.plan(toy.configure(source), tmp_path)
    assert toy.go(made, LocalEngine(made.resources))[0].outcome is Outcome.FINISHED
    return tmp_path


def again(source: SourceConfig, store: Path, reason: str = "no_face", factor: int = 3) -> Plan:
    base = toy.plan(toy.configure(source), store)
    return plan_retry(base, toy.configure(source, shrink=toy.ShrinkConfig(factor=factor)), reason, targets=toy.TARGETS)


def test_an_added_unit_and_no_other_is_changed(source: SourceConfig, store: Path) -> None:
    before = toy.content(store)
    plan = again(source, store)
    assert plan.todo == 3 and plan.listing.numbers == range(3, 4)
    result, _, _ = toy.go(plan, LocalEngine(plan.resources))
    assert result.outcome is Outcome.FINISHED and result.ok == 3
    after = toy.content(store)
    index = next(name for name in before if name.endswith("index.json"))
    assert {name for name in before if before[name] != after[name]} == {index}, "the delivery has one shard more"
    assert json.loads((store / index).read_text())["shards"][-1] == "toy-000003.tar"
    (row,) = UnitReader(plan.stages["join"].folder, 3).rows
    assert row["status"] == "ok" and row["path"] == "003.png" and row["plan_hash"] == plan.stages["join"].plan_hash
    (first,) = [row for row in UnitReader(plan.stages["shrink"].folder, 0).rows if row["path"] == "003.png"]
    (shrunk,) = UnitReader(plan.stages["shrink"].folder, 3).rows
    assert first["reason"] == "no_face" and shrunk["seed"] == first["seed"]
    assert verify(store) == []
    (added,) = read_added(store)
    assert added.reason == "no_face" and added.numbers == range(3, 4)
    # The ordinary run has nothing to do, and leaves the addition alone.
    ordinary = toy.plan(toy.configure(source), store)
    assert ordinary.todo == 0
    toy.go(ordinary, LocalEngine(ordinary.resources))
    assert verify(store) == [] and UnitReader(plan.stages["join"].folder, 3).rows


def test_interrupted_it_goes_on_where_it_was(source: SourceConfig, store: Path) -> None:
    plan = again(source, store)
    toy.go(plan, LocalEngine(plan.resources))
    wanted = toy.content(store)
    (plan.stages["join"].folder / "00003.parquet").unlink()
    (plan.stages["noisy"].folder / "00003.parquet").unlink()
    resumed = again(source, store)
    assert resumed.listing.numbers == range(3, 4) and resumed.todo == 2
    toy.go(resumed, LocalEngine(resumed.resources))
    assert toy.content(store) == wanted


def test_a_second_retry_adds_after_the_first(source: SourceConfig, store: Path) -> None:
    plan = again(source, store, factor=4)
    toy.go(plan, LocalEngine(plan.resources))
    with pytest.raises(StoreError, match="have been tried with these settings"):
        again(source, store, factor=4)
    other = again(source, store, factor=5)
    assert other.listing.numbers == range(4, 5)
    assert toy.go(other, LocalEngine(other.resources))[0].ok == 3
    assert verify(store) == []
    with pytest.raises(StoreError, match="no photograph has the reason no_face"):
        again(source, store, factor=7)


def test_what_makes_no_sense_is_refused(source: SourceConfig, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no reason 'noface'"):
        again(source, store, reason="noface")
    with pytest.raises(StoreError, match="no photograph has the reason blurred"):
        again(source, store, reason="blurred")
    with pytest.raises(ConfigError, match="the settings are those that made the rows"):
        again(source, store, factor=2)
    with pytest.raises(StoreError, match="made under this configuration"):
        again(source, tmp_path / "none")


def test_an_addition_that_was_altered_is_named(source: SourceConfig, store: Path) -> None:
    plan = again(source, store)
    toy.go(plan, LocalEngine(plan.resources))
    (path,) = (store / "added").glob("*.json")
    good = path.read_bytes()
    for bad in (good.replace(b'"no_face"', b'"blurred"'), b"{", good.replace(b'"factor":3', b'"factor":4')):
        path.write_bytes(bad)
        assert any("added" in finding.where for finding in verify(store) if finding.severity == "error")
