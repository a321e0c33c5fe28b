"""Rows made again are the same, and are told where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import mixing
import numpy as np
import pytest
import toy

from fasgen.errors import StoreError
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.comparison import Pick
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.replay import choose, of_sample, replay, write_sample
from fasgen.pipeline.resources import Resources
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig


def planned(source: SourceConfig, store: Path) -> Plan:
    config = toy.configure(source, mix=mixing.MixConfig(), compare=StageConfig(), collect=StageConfig())
    return build_plan(config, ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", 12)


@pytest.fixture(scope="module")
def store(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    made = planned(source, store)
    assert toy.go(made, LocalEngine(made.resources))[0].outcome is Outcome.FINISHED
    return store


def test_every_row_of_every_stage_comes_out_identical(source: SourceConfig, store: Path, tmp_path: Path) -> None:
    made = planned(source, store)
    total = sum(summary.planned for stage in made.stages.values() for summary in stage.committed.values())
    picks = choose([made], 10_000, 0)
    assert len(picks) == len(set(picks)) == total
    verdicts = list(replay([made], picks, tmp_path))
    assert {one.verdict for one in verdicts} == {"identical"}, [one for one in verdicts if one.verdict != "identical"]
    assert {one.pick.stage for one in verdicts} == set(mixing.TARGETS)


def test_the_draw_decides_which_rows(source: SourceConfig, store: Path) -> None:
    made = planned(source, store)
    assert choose([made], 5, 1) == choose([made], 5, 1) != choose([made], 5, 2)
    assert len(choose([made], 5, 1)) == 5


def test_differences_are_judged_by_the_tolerance(
    source: SourceConfig, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = planned(source, store)
    pick = next(one for one in choose([made], 10_000, 0) if one.stage == "noisy" and one.row == 0)
    real = toy.normal_noise
    for shift, verdict in ((1, "within tolerance"), (40, "different")):

        def shifted(seed: int, shape: tuple[int, ...], shift: int = shift) -> np.ndarray:
            # One value that is truncated to 0, so that the deviation of all of them hardly moves.
            noise = real(seed, shape).copy()
            noise.flat[np.abs(noise).argmin()] += np.float32(0.35 * shift)
            return noise

        monkeypatch.setattr(toy, "normal_noise", shifted)
        (found,) = replay([made], [pick], tmp_path / str(shift))
        assert found.verdict == verdict and "array noise" in found.detail


def test_a_row_that_ends_otherwise_is_different(
    source: SourceConfig, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("broken")

    made = planned(source, store)
    monkeypatch.setattr(toy.Noisy, "one", broken)
    (found,) = replay([made], [Pick("noisy", 0, 0, 0)], tmp_path)
    assert found.verdict == "different" and "was ok, is failed stage_error" in found.detail


def test_one_sample_is_written_anew_at_every_stage(source: SourceConfig, store: Path, tmp_path: Path) -> None:
    made = planned(source, store)
    row = next(row for row in UnitReader(made.stages["mix"].folder, 0).rows if row["status"] == "ok")
    sample_id, variant = str(row["sample_id"]), int(str(row["variant"]))
    picks = of_sample([made], sample_id, variant)
    assert [pick.stage for pick in picks] == ["mix", "compare", "collect"]
    out = tmp_path / "out"
    assert {one.verdict for one in write_sample([made], picks, out, tmp_path / "scratch")} == {"identical"}
    key = f"{sample_id}-{variant}"
    with UnitReader(made.stages["mix"].folder, 0) as reader:
        stored = reader.encoded(int(str(row["row"])), "small", variant)
    assert (out / "mix" / f"{key}.small.png").read_bytes() == stored
    assert np.load(out / "compare" / f"{key}.delta.npy").dtype == np.int16
    assert json.loads((out / "mix" / f"{key}.row.json").read_text())["payload_digest"] == row["payload_digest"]


def test_what_the_store_does_not_have_is_said(source: SourceConfig, store: Path, tmp_path: Path) -> None:
    made = planned(source, store)
    with pytest.raises(StoreError, match="no row of sample ffffffffffffffff"):
        of_sample([made], "f" * 16, 0)
    with pytest.raises(StoreError, match="holds nothing that was made under this configuration"):
        choose([planned(source, tmp_path / "other")], 1, 0)
