"""Estimates: rows of stages that draw theirs, probes that are not repeated, batches that cost as much half empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mixing
import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.manifests.places_file import begun_with
from fasgen.pipeline import estimate as module
from fasgen.pipeline import roster
from fasgen.pipeline.estimate import Probe, calls, estimate, total_seconds
from fasgen.pipeline.listing import LARGEST, SHARED, SMALLEST, fitting, take
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.roster import foresee
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig
from fasgen.stages.synth.config import ROSTER, SynthConfig


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(module, "cache_home", lambda: folder)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> SourceConfig:
    return toy.make_source(tmp_path / "in")


def plan(source: SourceConfig, store: Path, strength: float = 3.0) -> Plan:
    stages: dict[str, Any] = {"mix": mixing.MixConfig(), "compare": StageConfig(), "collect": StageConfig()}
    config = toy.configure(source, noisy=toy.NoisyConfig(strength=strength), **stages)
    return build_plan(config, ["all"], store, resources=Resources(0, 2), targets=mixing.TARGETS)


def attacked(folder: Path, lives: int, spoofs: int) -> SourceConfig:
    """A source with so many spoofs for each live face."""
    for number in range(lives):
        for kind in ["live", *(f"spoof-{n}" for n in range(spoofs))]:
            path = folder / kind.partition("-")[0] / f"p{number:03}" / f"{kind}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"none is opened")
    return SourceConfig(name="own", path=folder, pattern=r"^(?P<label>live|spoof)/(?P<subject>[^/]+)/", attack_type="print")


@pytest.mark.parametrize("limit", [20_000, 100])
def test_rows_that_are_drawn_are_foreseen_from_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(roster, "FORESEEN", limit)
    rows = take([attacked(tmp_path / "faces", 60, 4)], 64)
    found = foresee(ROSTER, SynthConfig(variants=2, unseen="mark"), 0, rows)
    assert len(rows.rows) == 300 and sum(found.entries.values()) == pytest.approx(120, rel=0 if limit > 300 else 0.1)
    assert not found.rejected and set(found.entries) <= set(rows.numbers)
    # Nobody of another split: every face says so.
    strict = foresee(ROSTER, SynthConfig(pool="real", unseen="reject"), 0, rows)
    assert set(strict.rejected) == {"unknown_style"} and sum(strict.rejected.values()) * strict.scale == pytest.approx(
        60, rel=0.1
    )


def test_a_probe_is_kept_and_not_repeated(source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    probe = module.probe

    def counted(*arguments: Any, **more: Any) -> Iterator[Probe]:
        asked.append(1)
        return probe(*arguments, **more)

    monkeypatch.setattr(module, "probe", counted)
    first = estimate(plan(source, tmp_path / "store"))
    assert [one.basis for one in first] == ["probe"] * len(first) and len(asked) == 1
    again = estimate(plan(source, tmp_path / "other"), probing=False)
    assert again == first and len(asked) == 1
    # Another setting, and another picture, are others.
    estimate(plan(source, tmp_path / "store", strength=2.0))
    assert len(asked) == 2
    picture = next(source.path.glob("000*"))
    os.utime(picture, ns=(1, 1))
    assert not any(one.basis == "probe" for one in estimate(plan(source, tmp_path / "store"), probing=False))


def test_a_cache_that_is_damaged_or_cannot_be_written_costs_a_probe_alone(
    source: SourceConfig, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "probes.json").write_text("[no json")
    assert estimate(plan(source, tmp_path / "store"))[0].basis == "probe"
    monkeypatch.setattr(module, "cache_home", lambda: cache / "probes.json" / "below")
    assert estimate(plan(source, tmp_path / "store"))[0].basis == "probe"


@pytest.mark.parametrize(
    "rows, places, call, made",
    [
        (7, 7, 1, 7),  # each row takes its own time
        (32, 32, 16, 2),
        (33, 33, 16, 3),
        (7, 7, 16, 1),
        (0, 32, 16, 0),
        (16, 32, 16, 2),  # of half of the rows, no call is spared
        (12, 64, 16, 4),
        (1, 64, 16, 1),
        (20, 16, 16, 2),  # more than might have come were drawn from a sample
    ],
)
def test_a_call_is_made_for_the_places_that_rows_keep(rows: int, places: int, call: int, made: int) -> None:
    assert calls(rows, places, call) == pytest.approx(made, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 10**6))
def test_calls_are_those_of_rows_that_are_spread_at_random(places: int, call: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, places + 1))
    drawn = [len({place // call for place in rng.permutation(places)[:rows]}) for _ in range(200)]
    found = rows if call == 1 else calls(rows, places, call)
    assert found == pytest.approx(np.mean(drawn), rel=0.1, abs=0.15)


def test_the_lanes_of_a_stage_have_one_model(source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe has it at hand when it comes to the second lane; a worker may come to that one first."""
    made = plan(source, tmp_path / "store")
    assert all(one.expected and one.expected.again is None for one in estimate(made))
    monkeypatch.setattr(module, "_builds", lambda plan, rates: {stage.spec.name: [4.0, 0.25] for stage in plan.stages.values()})
    for one in estimate(made):
        assert one.expected and (one.expected.build, one.expected.again) == (4.0, 0.25)
        assert one.expected.model == made.stages[one.stage].spec.name


def test_the_whole_takes_as_long_as_its_longest_way(source: SourceConfig, tmp_path: Path) -> None:
    made = plan(source, tmp_path / "store")
    found = estimate(made)
    total = total_seconds(made, found)
    assert total is not None and total >= module.START
    assert total <= module.START + sum((one.work or 0) + 3 * (one.expected.build if one.expected else 0) for one in found) * 2
    toy.go(made, toy.engines(made))
    done = plan(source, tmp_path / "store")
    assert total_seconds(done, estimate(done)) == 0.0


@given(st.integers(0, 2_000_000))
def test_units_suit_the_number_of_rows(rows: int) -> None:
    size = fitting(rows)
    assert SMALLEST <= size <= LARGEST and size & (size - 1) == 0
    # Sixteen units or more, unless they would be too small for a batch.
    assert size == SMALLEST or -(-rows // size) >= SHARED
    assert size == LARGEST or -(-rows // (2 * size)) < 2 * SHARED or rows // (2 * size) < SHARED


def test_a_store_keeps_the_units_that_it_was_begun_with(tmp_path: Path) -> None:
    few, store = attacked(tmp_path / "faces", 3, 2), tmp_path / "store"
    begun = take([few], None, store=store)
    assert begun.unit_rows == SMALLEST and begun_with(store) is None
    begun.write(store)
    more = take([attacked(tmp_path / "faces", 200, 2)], None, store=store)
    assert len(more.rows) == 600 and more.unit_rows == SMALLEST == begun_with(store)
    assert take([few], None).unit_rows == fitting(600) == 32
    # What is asked for by number goes before.
    take([few], 100, store=store).write(store)
    assert take([few], 100, store=store).unit_rows == 100


def test_the_units_of_the_last_run_are_gone_on_with(source: SourceConfig, tmp_path: Path) -> None:
    for rows in (5, 9, None):
        made = toy.plan(toy.configure(source, unit_rows=rows), tmp_path / "store")
        assert made.listing.unit_rows == (rows or 9)
        toy.go(made, toy.engines(made))
    assert not made.todo
