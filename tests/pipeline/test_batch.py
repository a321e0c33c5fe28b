"""A batch that is left to the device is measured once for it, and what was begun is finished as it was begun."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import spinning
import toy

from fasgen.commands.plan import describe
from fasgen.errors import ResourceError
from fasgen.manifests.added_file import Added
from fasgen.manifests.plan_file import read_plan
from fasgen.pipeline.addition import build_addition, changes
from fasgen.pipeline.batch import Batches
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.rehearsal import Rehearsal, best, in_process
from fasgen.pipeline.resources import Have, Resources, claim
from fasgen.sources.config import SourceConfig

GPU = claim(Have(1, 4, "Fake GPU", devices=("Fake GPU",)))
CPU = Resources(0, 1)
Rates = Mapping[int, float]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


class Machine:
    """Plans against one store and one user's cache; counts what is measured."""

    def __init__(self, source: SourceConfig, folder: Path) -> None:
        self.source, self.store, self.cache = source, folder / "store", folder / "home" / "batches.json"
        self.asked: list[str] = []
        self.rates: dict[str, Rates] = {"Fake GPU": {16: 100.0, 32: 190.0, 64: 300.0, 128: 305.0}}

    def config(self, unit_rows: int = 256, **spin: Any) -> Any:
        cut = spinning.CutConfig()
        stages = {"cut": cut, "spin": spinning.SpinConfig(**spin), "drawn": cut, "last": cut}
        return SimpleNamespace(seed=1, unit_rows=unit_rows, sources=[self.source], **stages)

    def measure(self, job: Rehearsal, device: str) -> Rates:
        assert job.side == 24 and isinstance(job.config, spinning.SpinConfig)
        self.asked.append(device)
        found = self.rates[device]
        if not found:
            raise ResourceError("the driver is asleep")
        return found

    def plan(self, resources: Resources = GPU, *, measuring: bool = True, config: Any = None) -> Plan:
        batches = Batches(resources, self.measure if measuring else None, self.cache)
        made = config or self.config()
        return build_plan(made, ["all"], self.store, resources=resources, targets=spinning.TARGETS, batches=batches)


@pytest.fixture
def box(source: SourceConfig, tmp_path: Path) -> Machine:
    return Machine(source, tmp_path)


def chosen(plan: Plan, stage: str = "spin") -> tuple[int, str]:
    return plan.stages[stage].batch, plan.stages[stage].batch_why


def test_a_cpu_takes_the_usual_one_and_asks_nobody(box: Machine) -> None:
    plan = box.plan(CPU)
    assert chosen(plan) == (16, "") and not box.asked and not box.cache.parent.exists()
    explicit = box.plan(CPU, config=box.config(batch=16))
    assert plan.stages["spin"].plan_hash == explicit.stages["spin"].plan_hash


def test_a_gpu_is_measured_once_and_the_number_is_part_of_the_plan(box: Machine) -> None:
    plan = box.plan()
    assert chosen(plan) == (64, "measured on Fake GPU") and chosen(plan, "cut") == (4, "")
    assert box.asked == ["Fake GPU"]
    assert chosen(box.plan(measuring=False)) == (64, "measured on Fake GPU")
    assert box.asked == ["Fake GPU"]
    record = plan.record(plan.stages["spin"])
    assert record["batch"] == 64 and record["config"]["batch"] == 64  # type: ignore[index]
    explicit = box.plan(config=box.config(batch=64))
    assert explicit.stages["spin"].plan_hash == plan.stages["spin"].plan_hash
    assert not box.store.exists(), "a plan writes nothing into the store"


def test_a_stage_has_one_batch_on_all_of_its_lanes(box: Machine) -> None:
    batches = Batches(GPU, box.measure, box.cache)
    targets = spinning.TARGETS | {"drawn": "spinning:DRAWN"}
    plan = build_plan(box.config(), ["all"], box.store, resources=GPU, targets=targets, batches=batches)
    assert chosen(plan, "spin") == chosen(plan, "drawn_spin") == (64, "measured on Fake GPU")
    assert box.asked == ["Fake GPU"]


def test_the_plan_says_which_and_why(box: Machine) -> None:
    lines = describe(box.plan(), []).splitlines()
    assert "batch    spin: 64, measured on Fake GPU" in lines
    assert not any(line.startswith("batch    cut") for line in lines)
    assert not any(line.startswith("batch") for line in describe(box.plan(CPU), []).splitlines())


def test_only_what_the_run_makes_is_measured(box: Machine) -> None:
    batches = Batches(GPU, box.measure, box.cache)
    only: Any = {"resources": GPU, "targets": spinning.TARGETS, "batches": batches}
    assert chosen(build_plan(box.config(), ["cut"], box.store, **only), "cut") == (4, "")
    # Upstream of what is made, but there is nothing of it yet.
    spun = dict(spinning.TARGETS) | {"last": "spinning:LAST"}
    build_plan(box.config(), ["last"], box.store, **only | {"targets": spun})
    assert box.asked == []


def test_another_setting_or_side_is_another_network(box: Machine) -> None:
    box.plan()
    box.plan(config=box.config(lanes=8))
    assert len(box.asked) == 2
    again = json.loads(box.cache.read_text())
    assert len(again) == 2 and all(key.startswith("spin/") for key in again)


def test_kinds_of_gpu_agree_on_the_smallest(box: Machine) -> None:
    box.rates["Old GPU"] = {16: 50.0, 32: 60.0, 64: 60.5}
    both = claim(Have(3, 8, "Fake GPU", devices=("Fake GPU", "Old GPU", "Fake GPU")))
    assert chosen(box.plan(both)) == (32, "measured on Fake GPU and Old GPU")
    assert box.asked == ["Fake GPU", "Old GPU"]
    # One worker takes the first of them.
    assert chosen(box.plan(claim(Have(3, 8, "Fake GPU", devices=("Fake GPU", "Old GPU", "Fake GPU")), 1)))[0] == 64


def test_what_was_begun_is_finished_with_its_batch_wherever(box: Machine) -> None:
    on_gpu = box.plan()
    # The bytes do not matter here, only that units are committed under the plan of the GPU.
    made = replace(on_gpu, resources=CPU)
    result, _, _ = toy.go(made, LocalEngine(CPU))
    assert result.remaining == 0
    box.cache.unlink()
    for resources, measuring in ((CPU, True), (GPU, True), (GPU, False)):
        plan = box.plan(resources, measuring=measuring)
        assert chosen(plan) == (64, "recorded in the store") and plan.todo == 0
        assert plan.stages["spin"].folder == on_gpu.stages["spin"].folder
    assert box.asked == ["Fake GPU"]
    assert read_plan(on_gpu.stages["spin"].folder)["config"]["batch"] == 64
    # Other settings have nothing in this store.
    assert chosen(box.plan(CPU, config=box.config(speed=2.0))) == (16, "")


def test_the_generation_planned_last_is_gone_on_with(box: Machine) -> None:
    for size in (16, 64):
        toy.go(box.plan(CPU, config=box.config(batch=size)), LocalEngine(CPU))
    assert chosen(box.plan(CPU))[0] == 64
    toy.go(box.plan(CPU, config=box.config(batch=16)), LocalEngine(CPU))
    assert chosen(box.plan(CPU))[0] == 16


def test_added_units_have_the_batch_of_their_generation(box: Machine) -> None:
    made = replace(box.plan(), resources=CPU)
    toy.go(made, LocalEngine(CPU))
    base = box.plan(CPU)
    sample = next(iter(base.listing.sample_ids()))
    again = Added("no_face", base.listing.unit_rows, 1, 1, (sample,), (0,), changes(base, box.config(speed=3.0)))
    assert again.changes == {"spin": {"speed": 3.0}}
    added = build_addition(base, box.config(), again, targets=spinning.TARGETS)
    assert added.stages["spin"].batch == 64 and added.stages["spin"].config.batch == 64  # type: ignore[attr-defined]


def test_a_store_that_grows_keeps_the_batch(tmp_path: Path) -> None:
    """On whatever device: the generation is the same one, so one measurement or none serves all that comes later."""
    box = Machine(toy.make_source(tmp_path / "in"), tmp_path)
    first = replace(box.plan(), resources=CPU)
    toy.go(first, LocalEngine(CPU))
    shutil.copy2(tmp_path / "in" / "000.png", tmp_path / "in" / "more.png")
    box.cache.unlink()
    for resources in (CPU, GPU):
        plan = box.plan(resources)
        assert chosen(plan) == (64, "recorded in the store")
        assert plan.stages["spin"].folder == first.stages["spin"].folder
        assert {stage.name: stage.todo for stage in plan.wanted} == dict.fromkeys(plan.stages, frozenset({1}))
    assert box.asked == ["Fake GPU"]
    # A file that changed makes every unit stale that holds it; the batch is that of the generation all the same.
    shutil.copy2(tmp_path / "in" / "001.png", tmp_path / "in" / "000.png")
    assert chosen(box.plan(CPU)) == (64, "recorded in the store")


def test_a_batch_is_no_larger_than_a_unit(box: Machine) -> None:
    assert chosen(box.plan(config=box.config(unit_rows=40)))[0] == 32
    assert chosen(box.plan(config=box.config(unit_rows=8)))[0] == 16


def test_what_cannot_be_measured_is_said_and_not_remembered(box: Machine) -> None:
    box.rates["Fake GPU"] = {}
    assert chosen(box.plan()) == (16, "could not be measured: the driver is asleep")
    assert not box.cache.exists()
    assert chosen(box.plan(measuring=False)) == (16, "not measured yet")


@pytest.mark.parametrize("damage", ["{", "[]", '{"spin/x": 3}', '{"spin/x": {"Fake GPU": "many"}}'])
def test_a_damaged_cache_costs_a_measurement(box: Machine, damage: str) -> None:
    box.cache.parent.mkdir()
    box.cache.write_text(damage)
    assert chosen(box.plan())[0] == 64 and len(box.asked) == 1
    assert chosen(box.plan())[0] == 64 and len(box.asked) == 1


def test_measured_kernels_stand_in_the_domain(box: Machine) -> None:
    plain, measured = (box.plan(CPU, config=box.config(compile=value)).stages["spin"].domain for value in ("auto", "max"))
    assert "kernels" not in plain and measured == {**plain, "kernels": "measured"}


def test_going_on_with_measured_kernels_is_noted(box: Machine) -> None:
    made = box.plan(CPU, config=box.config(compile="max", unit_rows=8))
    toy.go(made, LocalEngine(CPU))
    (made.stages["spin"].folder / "00001.parquet").unlink()
    again = box.plan(CPU, config=box.config(compile="max", unit_rows=8))
    assert any("spin.compile=max" in note for note in again.notes())
    assert not any("other library versions" in note for note in again.notes())


@pytest.mark.parametrize(
    ("rates", "size"),
    [
        ({16: 10.0}, 16),
        ({16: 10.0, 32: 10.2}, 16),
        ({16: 10.0, 32: 15.0, 64: 15.2, 128: 40.0}, 32),
        ({16: 10.0, 32: 5.0}, 16),
        ({16: 1.0, 32: 2.0, 64: 4.0, 128: 8.0}, 128),
    ],
)
def test_a_larger_batch_has_to_gain(rates: dict[int, float], size: int) -> None:
    assert best(rates) == size


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[int, float]]:
    path = os.pathsep.join((str(Path(__file__).parent), str(Path.cwd()), os.environ.get("PYTHONPATH", "")))
    monkeypatch.setenv("PYTHONPATH", path)

    def go(**spin: Any) -> dict[int, float]:
        job = Rehearsal("spinning:SPIN", spinning.SpinConfig(**spin), 24)
        return in_process(job, "Fake GPU", device="cpu")

    return go


def test_a_process_of_its_own_measures(rehearsed: Callable[..., dict[int, float]]) -> None:
    rates = rehearsed()
    assert sorted(rates) == [16, 32, 64] and best(rates) == 32
    assert 100 < rates[16] < 330 and rates[32] > 1.4 * rates[16]


def test_memory_ends_it(rehearsed: Callable[..., dict[int, float]]) -> None:
    assert sorted(rehearsed(room=32)) == [16, 32]
    with pytest.raises(ResourceError, match="not even the smallest batch"):
        rehearsed(room=8)


def test_what_a_process_said_before_it_died_holds(
    rehearsed: Callable[..., dict[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIN_DIES_AT", "32")
    assert sorted(rehearsed()) == [16]
    monkeypatch.setenv("SPIN_FAILS", "1")
    with pytest.raises(ResourceError, match="ValueError: no such weights"):
        rehearsed()
