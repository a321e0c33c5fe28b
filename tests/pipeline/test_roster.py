"""Stages that draw their rows: guides from any unit, variants down the line, two lanes into one shard, the same bytes."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import mixing
import numpy as np
import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.errors import ConfigError
from fasgen.manifests.roster_file import basis_of, read_roster, write_roster
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.engine import Engine
from fasgen.pipeline.estimate import estimate
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.ray_engine import RayEngine
from fasgen.pipeline.resources import Resources
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


def plan(
    source: SourceConfig,
    store: Path,
    wanted: tuple[str, ...] = ("all",),
    cpus: int = 1,
    variants: int = 2,
    unit_rows: int = 8,
) -> Plan:
    stages: dict[str, Any] = {"mix": mixing.MixConfig(variants=variants), "compare": StageConfig(), "collect": StageConfig()}
    config = toy.configure(source, **stages, unit_rows=unit_rows)
    return build_plan(config, wanted, store, resources=Resources(0, cpus), targets=mixing.TARGETS)


@pytest.fixture(scope="module")
def reference(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("reference")
    made = plan(source, store)
    assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED
    return store


def ray_engine(**environment: str) -> RayEngine:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return RayEngine(Resources(0, 2), environment={"PYTHONPATH": path, **environment}, keep=True)


def units(store: Path, stage: str) -> list[UnitReader]:
    (folder,) = store.glob(f"{stage}-*")
    tar = "fas-{unit:06d}.tar" if stage == "collect" else "{unit:05d}.tar"
    return [UnitReader(folder, unit, tar) for unit in range(3)]


def test_variants_are_made_of_their_face_and_a_guide_from_any_unit(reference: Path) -> None:
    shrink, mix, compare = (units(reference, stage) for stage in ("shrink", "mix", "compare"))
    far = 0
    for unit, reader in enumerate(mix):
        for row in reader.rows:
            if row["status"] != "ok":
                assert row["reason"] == "no_style" and row["row"] == 0 and unit == 0
                continue
            number, variant = row["row"], row["variant"]
            face = shrink[unit].image(number, "small").astype(int)
            guide = shrink[row["guide_unit"]].image(row["guide_row"], "small")
            made = reader.image(number, "small", variant)
            assert np.array_equal(made, (face + guide) // 2)
            assert row["slot"] == row["place"] % 4 and row["label"] == "spoof"
            assert row["parent_ids"][0] == row["sample_id"] == shrink[unit].rows[number]["sample_id"]
            assert row["parent_ids"][1] == shrink[row["guide_unit"]].rows[row["guide_row"]]["sample_id"]
            far += row["guide_unit"] != unit
            below = next(r for r in compare[unit].rows if (r["row"], r["variant"]) == (number, variant))
            if below["status"] == "ok":
                assert np.array_equal(compare[unit].array(number, "delta", variant), made.astype(np.int16) - face)
                assert below["own_mean"] == shrink[unit].rows[number]["mean"]
            else:
                # The guide's noise was rejected: a reason on the row, and nobody else is touched.
                assert below["reason"] == "guide" and "noisy" in below["detail"]
    assert far > 10


def test_both_lanes_reach_the_shard(reference: Path) -> None:
    collected = [row for reader in units(reference, "collect") for row in reader.rows]
    photographs = [row for reader in units(reference, "noisy") for row in reader.rows if row["status"] == "ok"]
    variants = [row for reader in units(reference, "compare") for row in reader.rows if row["status"] == "ok"]
    assert [row["variant"] for row in collected].count(0) == len(photographs)
    assert sum(row["variant"] > 0 for row in collected) == len(variants) > 20
    assert all(row["kind"] == row["variant"] for row in collected if row["status"] == "ok")
    for reader in units(reference, "collect"):
        mix = units(reference, "mix")[reader.rows[0]["unit"]]
        row = next(row for row in reader.rows if row["variant"] == 2)
        assert reader.file(row["row"], "png", 2) == mix.encoded(row["row"], "small", 2)


def test_the_store_verifies_and_a_roster_that_says_otherwise_is_named(reference: Path, tmp_path: Path) -> None:
    assert verify(reference) == []
    copy = tmp_path / "copy"
    shutil.copytree(reference, copy)
    (folder,) = copy.glob("mix-*")
    entries = [entry for unit in range(3) for entry in read_roster(folder, unit)]
    write_roster(folder, entries[:-1], mixing.OWN, basis=basis_of(folder))
    # Its unit is not made from these entries: it is named, and a run makes it again.
    (finding,) = verify(copy)
    assert finding.where.endswith(f"{folder.name}/00002.parquet") and "made from something else" in finding.what


@pytest.mark.parametrize("name", ["local", "ray"])
def test_engines_and_workers_change_no_byte(source: SourceConfig, reference: Path, tmp_path: Path, name: str) -> None:
    made = plan(source, tmp_path, cpus=2)

    def engine() -> Engine:
        return LocalEngine(made.staff) if name == "local" else ray_engine()

    assert toy.go(made, engine)[0].outcome is Outcome.FINISHED
    assert toy.content(tmp_path) == toy.content(reference)


@pytest.mark.parametrize("name", ["listdir", "scandir"])
def test_nobody_lists_a_generation_to_make_one_unit_more(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With a hundred thousand units, that would cost more than the units themselves."""
    real, listed = getattr(os, name), Counter[int]()
    for rows in (8, 2):
        made = plan(source, tmp_path / str(rows), unit_rows=rows)
        folders = {str(stage.folder) for stage in made.stages.values()}

        def listing(path: Any = ".", rows: int = rows, folders: set[str] = folders) -> Any:
            listed[rows] += str(path) in folders
            return real(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, listing)
            assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED
    assert listed[2] == listed[8], "12 units of every stage, and 3"


def test_a_killed_worker_costs_nothing(
    source: SourceConfig, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = int(units(reference, "shrink")[1].image(3, "small")[0, 0, 0])
    monkeypatch.setenv("TOY_DIE_AT", f"mix:{level}:{tmp_path / 'died'}")
    made = plan(source, tmp_path / "store", cpus=2)
    result, _, _ = toy.go(made, lambda: ray_engine(TOY_DIE_AT=os.environ["TOY_DIE_AT"]))
    assert result.outcome is Outcome.FINISHED and result.deaths == 1 and (tmp_path / "died").exists()
    assert toy.content(tmp_path / "store") == toy.content(reference)


def test_a_roster_waits_for_the_whole_of_what_it_draws_from(source: SourceConfig, tmp_path: Path) -> None:
    waiting = plan(source, tmp_path, wanted=("mix",))
    assert waiting.stages["mix"].todo == frozenset() and waiting.stages["mix"].lacks == {"shrink": 3}
    assert "fasgen run stage=shrink" in waiting.notes()[0]
    first = plan(source, tmp_path, wanted=("shrink",))
    toy.go(first, toy.engines(first))
    assert plan(source, tmp_path, wanted=("mix",)).stages["mix"].todo == {0, 1, 2}


def test_a_stage_that_is_off_leaves_the_others_alone(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    off = plan(source, tmp_path, variants=0)
    assert list(off.stages) == ["shrink", "noisy", "collect"]
    on = plan(source, tmp_path)
    assert off.stages["noisy"].plan_hash == on.stages["noisy"].plan_hash
    assert off.stages["collect"].plan_hash != on.stages["collect"].plan_hash
    with pytest.raises(ConfigError, match="mix is switched off"):
        plan(source, tmp_path, wanted=("mix",), variants=0)


def test_a_plan_estimates_variants(source: SourceConfig, tmp_path: Path) -> None:
    found = {one.stage: one for one in estimate(plan(source, tmp_path))}
    assert found["mix"].basis == "probe" and found["mix"].rows > found["noisy"].rows
    assert not any(tmp_path.iterdir())


def test_ids_of_variants_keep_to_the_store(reference: Path) -> None:
    (folder,) = reference.glob("mix-*")
    assert all(os.sep not in str(row["member"]) for row in UnitReader(folder, 1).rows)
