"""Rows of one reason tried again: an added unit, and nothing that was there is changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mixing
import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import read_added
from fasgen.manifests.roster_file import rosters
from fasgen.manifests.unit import committed_units
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.addition import additions
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.replay import choose, of_sample, replay
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.retry import plan_retry
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig


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
    was = toy.configure(source)
    config = toy.configure(source, shrink=toy.ShrinkConfig(factor=factor))
    return plan_retry(toy.plan(was, store), was, config, reason, targets=toy.TARGETS)


def whole_run(config: Any, store: Path) -> int:
    """As `fasgen run` does: the generations, then what was added to them; units that were made."""
    base = toy.plan(config, store)
    units = toy.go(base, LocalEngine(base.resources))[0].units
    found, left = additions(toy.plan(config, store), config, targets=toy.TARGETS)
    assert not left
    for number in range(len(found)):
        one = additions(toy.plan(config, store), config, targets=toy.TARGETS)[0][number]
        result, _, _ = toy.go(one, LocalEngine(one.resources))
        assert result.outcome is Outcome.FINISHED and result.remaining == 0
        units += result.units
    return units


def delivered(store: Path, folder: Path) -> list[str]:
    """Paths of all that the shards of a delivery hold."""
    found = [row for unit in committed_units(folder) for row in UnitReader(folder, unit, "toy-{unit:06d}.tar").rows]
    return sorted(str(row["path"]) for row in found if row["status"] == "ok")


def test_an_added_unit_and_no_other_is_changed(source: SourceConfig, store: Path) -> None:
    before = toy.content(store)
    plan = again(source, store)
    assert plan.todo == 3 and plan.listing.numbers == (3,)
    result, _, _ = toy.go(plan, LocalEngine(plan.resources))
    assert result.outcome is Outcome.FINISHED and result.ok == 3
    after = toy.content(store)
    index = next(name for name in before if name.endswith("index.json"))
    delivery = {index.replace("index.json", name) for name in ("index.json", "README.md", "croissant.json")}
    assert {name for name in before if before[name] != after[name]} == delivery, "the delivery has one shard more"
    assert json.loads((store / index).read_text())["shards"][-1]["name"] == "toy-000003.tar"
    (row,) = UnitReader(plan.stages["join"].folder, 3).rows
    assert row["status"] == "ok" and row["path"] == "003.png" and row["plan_hash"] == plan.stages["join"].plan_hash
    (first,) = [row for row in UnitReader(plan.stages["shrink"].folder, 0).rows if row["path"] == "003.png"]
    (shrunk,) = UnitReader(plan.stages["shrink"].folder, 3).rows
    assert first["reason"] == "no_face" and shrunk["seed"] == first["seed"]
    assert verify(store) == []
    (added,) = read_added(store)
    assert added.reason == "no_face" and added.numbers == range(3, 4)
    # An ordinary run has nothing to do.
    assert whole_run(toy.configure(source), store) == 0
    assert toy.content(store) == after and verify(store) == []


def test_a_later_configuration_delivers_them_too(source: SourceConfig, store: Path) -> None:
    plan = again(source, store)
    toy.go(plan, LocalEngine(plan.resources))
    other = toy.configure(source, noisy=toy.NoisyConfig(strength=2.0))
    # Two stages of three units, and the added one.
    assert whole_run(other, store) == 8
    made = toy.plan(other, store)
    (row,) = UnitReader(made.stages["join"].folder, 3).rows
    assert row["status"] == "ok" and row["plan_hash"] not in {plan.stages["join"].plan_hash, made.stages["join"].plan_hash}
    assert "003.png" in delivered(store, made.stages["join"].folder)
    assert verify(store) == [] and whole_run(other, store) == 0
    # Where the change is the configuration's own, the earlier unit delivers them, and the added one does not.
    assert whole_run(toy.configure(source, shrink=toy.ShrinkConfig(factor=3)), store) == 12
    made = toy.plan(toy.configure(source, shrink=toy.ShrinkConfig(factor=3)), store)
    (row,) = UnitReader(made.stages["join"].folder, 3).rows
    assert (row["status"], row["reason"]) == ("filtered", "duplicate")
    assert delivered(store, made.stages["join"].folder).count("003.png") == 1
    assert verify(store) == []


def test_what_was_healed_and_then_mended_is_delivered_once(source: SourceConfig, tmp_path: Path, store: Path) -> None:
    folder = tmp_path.parent / f"{tmp_path.name}-in"
    shutil.copytree(source.path, folder)
    source = source.model_copy(update={"path": folder})
    whole_run(toy.configure(source), store)
    plan = again(source, store)
    toy.go(plan, LocalEngine(plan.resources))
    join = plan.stages["join"].folder
    assert delivered(store, join).count("003.png") == 1
    good = (folder / "003.png").read_bytes()
    shutil.copyfile(folder / "006.png", folder / "003.png")
    base = toy.plan(toy.configure(source), store)
    toy.go(base, LocalEngine(base.resources))
    assert committed_units(join) == [0, 1, 2], "the added unit is taken back before the index is written"
    (stale,) = verify(store)
    assert stale.severity == "warning" and stale.where == str(plan.stages["shrink"].folder / "00003.parquet")
    assert whole_run(toy.configure(source), store) == 3
    assert delivered(store, join).count("003.png") == 1 and verify(store) == []
    (folder / "003.png").write_bytes(good)
    assert whole_run(toy.configure(source), store) == 6
    assert delivered(store, join).count("003.png") == 1 and verify(store) == []
    (folder / "003.png").unlink()
    whole_run(toy.configure(source), store)
    assert delivered(store, join).count("003.png") == 0 and verify(store) == []


def test_generations_that_are_not_finished_are_refused(source: SourceConfig, store: Path) -> None:
    (shrink,) = store.glob("shrink-*")
    (shrink / "00001.parquet").unlink()
    with pytest.raises(StoreError, match="give `fasgen run` first"):
        again(source, store)


def test_interrupted_it_goes_on_where_it_was(source: SourceConfig, store: Path) -> None:
    plan = again(source, store)
    toy.go(plan, LocalEngine(plan.resources))
    wanted = toy.content(store)
    (plan.stages["join"].folder / "00003.parquet").unlink()
    (plan.stages["noisy"].folder / "00003.parquet").unlink()
    resumed = again(source, store)
    assert resumed.listing.numbers == (3,) and resumed.todo == 2
    toy.go(resumed, LocalEngine(resumed.resources))
    assert toy.content(store) == wanted


def test_a_second_retry_adds_after_the_first(source: SourceConfig, store: Path) -> None:
    plan = again(source, store, factor=4)
    toy.go(plan, LocalEngine(plan.resources))
    with pytest.raises(StoreError, match="have been tried with these settings"):
        again(source, store, factor=4)
    other = again(source, store, factor=5)
    assert other.listing.numbers == (4,)
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
    path.write_bytes(good)
    mine = plan.stages["shrink"].folder / "plan-00003.json"
    mine.write_bytes(mine.read_bytes().replace(b'"factor": 3', b'"factor": 4'))
    assert any(finding.where == str(mine) for finding in verify(store) if finding.severity == "error")
    assert whole_run(toy.configure(source), store) == 0
    assert verify(store) == []


def mixed(source: SourceConfig, **changes: Any) -> Any:
    stages = {"mix": mixing.MixConfig(), "compare": StageConfig(), "collect": StageConfig()}
    return toy.configure(source, **stages | changes)


def mixed_plan(config: Any, store: Path) -> Plan:
    return build_plan(config, ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)


@pytest.fixture
def mixed_store(source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(toy, "Shrink", Lenient)
    made = mixed_plan(mixed(source), tmp_path)
    assert toy.go(made, LocalEngine(made.resources))[0].outcome is Outcome.FINISHED
    return tmp_path


def mixed_again(source: SourceConfig, store: Path, reason: str = "no_face", **changes: Any) -> Plan:
    config = mixed(source, **{"shrink": toy.ShrinkConfig(factor=3)} | changes)
    return plan_retry(mixed_plan(mixed(source), store), mixed(source), config, reason, targets=mixing.TARGETS)


def rows(plan: Plan, stage: str, unit: int) -> list[Any]:
    with UnitReader(plan.stages[stage].folder, unit, plan.stages[stage].spec.tar) as reader:
        return reader.rows


def test_spoofs_are_made_of_a_face_that_is_found_at_last(
    source: SourceConfig, mixed_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing.Mix, "one", _mixed)
    before = toy.content(mixed_store)
    plan = mixed_again(source, mixed_store)
    assert list(plan.stages) == list(mixing.TARGETS) and plan.todo == 5
    result, _, _ = toy.go(plan, LocalEngine(plan.resources))
    assert result.outcome is Outcome.FINISHED and result.failed == 0
    after = toy.content(mixed_store)
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed == {"index.json", "README.md", "croissant.json"}
    made = rows(plan, "mix", 3)
    assert [(row["path"], row["variant"], row["status"]) for row in made] == [("003.png", 1, "ok"), ("003.png", 2, "ok")]
    assert {row["plan_hash"] for row in made} == {plan.stages["mix"].plan_hash}
    delivered = rows(plan, "collect", 3)
    assert [(row["variant"], row["synthetic"], row["status"]) for row in delivered] == [
        (0, False, "ok"), (1, True, "ok"), (2, True, "ok"),
    ]  # fmt: skip
    (own, added) = rosters(plan.stages["mix"].folder)
    assert (own.name, added.name) == ("roster.parquet", "00003.parquet")
    assert verify(mixed_store) == []
    # A unit that is lost is made again from the same roster; so are rows that are replayed.
    (plan.stages["mix"].folder / "00003.parquet").unlink()
    resumed = mixed_again(source, mixed_store)
    assert resumed.todo == 1
    toy.go(resumed, LocalEngine(resumed.resources))
    assert toy.content(mixed_store) == after
    added.write_bytes(added.read_bytes()[:-1] + b"x")
    assert next(finding.where for finding in verify(mixed_store) if finding.severity == "error") == str(added)


def _mixed(self: Any, sample: Any) -> Any:
    """Mixes pictures of any two sizes: the added ones were shrunk less."""
    small, guide = sample.images["small"], sample.images["guide_small"]
    side = min(len(small), len(guide))
    sample.images |= {"small": small[:side, :side], "guide_small": guide[:side, :side]}
    return _MIX(self, sample)


_MIX = mixing.Mix.one


def test_a_face_that_has_its_spoofs_gets_no_others(source: SourceConfig, mixed_store: Path) -> None:
    plan = mixed_again(source, mixed_store, "not_finite", shrink=toy.ShrinkConfig(), noisy=toy.NoisyConfig(strength=4.0))
    assert toy.go(plan, LocalEngine(plan.resources))[0].outcome is Outcome.FINISHED
    (row,) = rows(plan, "shrink", 3)
    assert row["path"] == "005.png" and row["status"] == "ok"
    assert rows(plan, "mix", 3) == [] and rows(plan, "compare", 3) == []
    assert verify(mixed_store) == []


def test_without_synthesis_in_the_store_photographs_alone_are_tried(source: SourceConfig, tmp_path: Path) -> None:
    off = mixed(source, mix=mixing.MixConfig(variants=0))
    made = mixed_plan(off, tmp_path)
    toy.go(made, LocalEngine(made.resources))
    again = mixed(source, shrink=toy.ShrinkConfig(factor=4))
    plan = plan_retry(mixed_plan(off, tmp_path), off, again, "no_face", targets=mixing.TARGETS)
    assert list(plan.stages) == ["shrink", "noisy", "collect"]
    assert toy.go(plan, LocalEngine(plan.resources))[0].outcome is Outcome.FINISHED
    assert verify(tmp_path) == []


def test_added_rows_are_replayed_under_the_settings_that_were_recorded(
    source: SourceConfig, mixed_store: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing.Mix, "one", _mixed)
    plan = mixed_again(source, mixed_store)
    toy.go(plan, LocalEngine(plan.resources))
    base = mixed_plan(mixed(source), mixed_store)
    found, left = additions(base, mixed(source), targets=mixing.TARGETS)
    assert [one.listing.numbers for one in found] == [(3,)] and left == []
    assert found[0].stages["shrink"].config == toy.ShrinkConfig(factor=3)
    plans = [base, *found]
    picks = [pick for pick in choose(plans, 10_000, 0) if pick.unit == 3]
    assert {(pick.stage, pick.variant) for pick in picks} >= {("shrink", 0), ("noisy", 0), ("mix", 1), ("collect", 2)}
    verdicts = list(replay(plans, picks, tmp_path_factory.mktemp("scratch")))
    assert {one.verdict for one in verdicts} == {"identical"}, verdicts
    (row,) = rows(plan, "shrink", 3)
    assert {pick.unit for pick in of_sample(plans, row["sample_id"], 0)} == {0, 3}
    # Another version of a stage makes other rows.
    monkeypatch.setattr(mixing, "MIX", replace(mixing.MIX, version=2))
    (found,), _ = additions(base, mixed(source), targets=mixing.TARGETS)
    assert found.stages["shrink"].committed and not found.stages["mix"].committed
    (_, ((added, why),)) = additions(replace(base, listing=replace(base.listing, unit_rows=4)), mixed(source))
    assert added.first == 3 and "was added to units of 8 rows" in why
