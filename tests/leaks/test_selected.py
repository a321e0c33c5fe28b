"""Protocols and filters choose who is synthesised of whom and what is shipped: nothing that is tested gets through."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from fasgen.audit.verify import verify
from fasgen.errors import FilterError, StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.roster_file import roster_path
from fasgen.manifests.unit import canonical_json, committed_units, manifest_path
from fasgen.pipeline.estimate import estimate
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.roster import draw_roster
from fasgen.pipeline.selecting import with_rows
from fasgen.sources.config import SourceConfig
from fasgen.stages.settings import CHOICE, Selected
from fasgen.stages.stage import StageConfig
from fasgen.stages.synth.config import ROSTER, SynthConfig
from tests.leaks.toy import PEOPLE, lay_by_hand, of, split_store

sys.path.insert(0, str(Path(__file__).parent.parent / "pipeline"))
import mixing
import toy

Rows = list[dict[str, Any]]


def plan(source: SourceConfig, store: Path, wanted: tuple[str, ...] = ("all",), **stages: StageConfig) -> Plan:
    made = {"mix": mixing.MixConfig(variants=2), "compare": StageConfig(), "collect": Selected(), **stages}
    config = toy.configure(source, **made)
    return build_plan(config, wanted, store, resources=Resources(0, 1), targets=mixing.TARGETS)


def go(made: Plan) -> int:
    result = toy.go(made, toy.engines(made))[0]
    assert result.outcome is Outcome.FINISHED, result.error
    return result.units


def rows_of(folder: Path) -> Rows:
    return [row for unit in committed_units(folder) for row in read_table(manifest_path(folder, unit)).to_pylist()]


def lay(store: Path, name: str, **sides: list[str]) -> None:
    """Row sets as `fasgen protocol` writes them."""
    for side, ids in sides.items():
        columns = {"sample_id": sorted(ids), "variant": pa.array([0] * len(ids), pa.int32()), "subject": [None] * len(ids)}
        write_atomic(store / "protocols" / name / f"{side}.parquet", encode_table(pa.table(columns)))
    write_atomic(store / "protocols" / name / "report.json", canonical_json({"protocol": name, "family": ""}) + b"\n")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in")


@pytest.fixture
def store(source: SourceConfig, tmp_path: Path) -> Path:
    """Photographs only, of which a third is tested."""
    go(plan(source, tmp_path, ("shrink", "noisy")))
    (folder,) = tmp_path.glob("shrink-*")
    ids = [row["sample_id"] for row in rows_of(folder) if row["status"] == "ok"]
    assert len(ids) > 12
    lay(tmp_path, "toy-1", train=ids[::3], dev=ids[1::3][:2], test=ids[2::3])
    return tmp_path


def sides(store: Path) -> dict[str, set[str]]:
    folder = store / "protocols" / "toy-1"
    return {side: set(read_table(folder / f"{side}.parquet")["sample_id"].to_pylist()) for side in ("train", "dev", "test")}


def test_nothing_that_is_tested_is_a_face_or_a_guide(source: SourceConfig, store: Path) -> None:
    upstream = {path: path.read_bytes() for path in store.glob("*/*.parquet")}
    made = plan(source, store, mix=mixing.MixConfig(variants=2, protocol="toy-1"))
    assert {key for key, stage in made.stages.items() if stage.todo and key in ("shrink", "noisy")} == set()
    go(made)
    (mix,) = store.glob("mix-*")
    parents = [one for row in rows_of(mix) for one in row["parent_ids"]]
    assert parents and set(parents) <= sides(store)["train"]
    entries = read_table(roster_path(mix)).to_pylist()
    assert {entry["parent_ids"][0] for entry in entries} == sides(store)["train"]
    # No listing and no stage above was made anew.
    assert upstream == {path: path.read_bytes() for path in upstream}
    assert not [one for one in verify(store) if one.severity == "error"]
    assert not plan(source, store, mix=mixing.MixConfig(variants=2, protocol="toy-1")).todo


def test_another_row_set_is_another_generation_and_the_same_is_not(source: SourceConfig, store: Path) -> None:
    config = mixing.MixConfig(variants=1, protocol="toy-1")
    first = plan(source, store, mix=config).stages["mix"].folder
    assert plan(source, store, mix=config).stages["mix"].folder == first
    known = sides(store)
    lay(store, "toy-1", **{side: sorted(ids) for side, ids in known.items()})
    assert plan(source, store, mix=config).stages["mix"].folder == first
    lay(store, "toy-1", train=sorted(known["train"])[1:])
    assert plan(source, store, mix=config).stages["mix"].folder != first
    assert plan(source, store, mix=config).stages["shrink"].folder == plan(source, store).stages["shrink"].folder


def test_a_delivery_has_the_sides_of_its_protocol_and_what_was_made_of_its_train_side(
    source: SourceConfig, store: Path
) -> None:
    go(plan(source, store, collect=Selected(protocol="toy-1")))
    (shards,) = store.glob("collect-*")
    there = sides(store)
    taken = there["train"] | there["dev"] | there["test"]
    rows = rows_of(shards)
    for row in rows:
        known = row["sample_id"] in taken if not row["variant"] else set(row["parent_ids"]) <= there["train"]
        assert row["status"] == ("ok" if known else "filtered"), row
        assert known or (row["reason"] == "not_selected" and "is not among the rows of toy-1" in row["detail"])
    assert {bool(row["variant"]) for row in rows if row["status"] == "ok"} == {False, True}
    assert any(row["variant"] and row["status"] == "filtered" for row in rows)
    assert not [one for one in verify(store) if one.severity == "error"]


def test_filters_see_the_columns_of_what_a_stage_reads(source: SourceConfig, store: Path) -> None:
    where = "mean > 125 and path < '012.png'"
    go(plan(source, store, mix=mixing.MixConfig(variants=1, where=where), collect=Selected(where="mean > 125")))
    means = {row["sample_id"]: row for folder in store.glob("shrink-*") for row in rows_of(folder)}
    (mix,), (shards,) = store.glob("mix-*"), store.glob("collect-*")
    drawn = {one for row in rows_of(mix) for one in row["parent_ids"]}
    assert drawn and all(means[one]["mean"] > 125 and means[one]["path"] < "012.png" for one in drawn)
    rows = rows_of(shards)
    bright = {sample for sample, row in means.items() if (row["mean"] or 0) > 125}
    # What reads no such column of a sample cannot let it pass: here, of what was made.
    assert {row["sample_id"] for row in rows if row["status"] == "ok"} <= bright
    assert {row["sample_id"] in bright and not row["variant"] for row in rows if row["reason"] != "not_selected"} == {True}


class Chosen(Selected):
    """Settings of a stage that makes a cue."""

    LATER: ClassVar[frozenset[str]] = CHOICE

    strength: float = 3.0


def test_a_cue_is_made_of_the_rows_of_a_protocol_and_the_others_say_so(
    source: SourceConfig, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plan(source, store, ("noisy",))
    assert plan(source, store, ("noisy",), noisy=Chosen()).stages["noisy"].folder == whole.stages["noisy"].folder, "as before"
    there = sides(store)
    taken = there["train"] | there["dev"] | there["test"]
    seen: list[str] = []
    made = toy.Noisy.one

    def one(self: Any, sample: Any) -> Any:
        seen.append(sample.sample_id)
        return made(self, sample)

    monkeypatch.setattr(toy.Noisy, "one", one)
    chosen = plan(source, store, ("noisy",), noisy=Chosen(protocol="toy-1"))
    (note,) = [line for line in chosen.notes() if line.startswith("noisy")]
    total = len(chosen.listing.rows)
    assert note == (
        f"noisy: takes the {len(taken)} of {total} rows of the sources that are of toy-1; others are rows with the reason "
        "not_selected"
    )
    (foreseen,) = estimate(chosen)
    assert foreseen.rows == len(taken), "what is foretold is what the chosen rows cost"
    seen.clear()
    go(chosen)
    assert set(seen) == taken, "of the others nothing is made"
    everything = rows_of(whole.stages["noisy"].folder)
    rows = {row["sample_id"]: row for row in rows_of(chosen.stages["noisy"].folder)}
    assert rows.keys() == {row["sample_id"] for row in everything}, "and none is missing"
    for row in everything:
        mine = rows[row["sample_id"]]
        if row["sample_id"] in taken:
            assert (mine["status"], mine["payload_digest"]) == (row["status"], row["payload_digest"]), "the very same"
        else:
            assert (mine["status"], mine["reason"]) == ("filtered", "not_selected")
            assert mine["detail"] == "is not among the rows of toy-1"
    assert not [one for one in verify(store) if one.severity == "error"]


def test_what_chooses_nothing_that_is_known_is_refused_when_it_is_planned(source: SourceConfig, store: Path) -> None:
    with pytest.raises(FilterError, match=r"mix\.where is asked of the rows of .*: there is no column 'meen'"):
        plan(source, store, mix=mixing.MixConfig(where="meen > 3"))
    with pytest.raises(FilterError, match=r"collect\.where"):
        plan(source, store, collect=Selected(where="mean >"))
    with pytest.raises(StoreError, match="`fasgen protocol toy-2"):
        plan(source, store, collect=Selected(protocol="toy-2"))


@pytest.mark.parametrize("pool", ["real", "simulated", "both"])
def test_the_roster_of_synth_holds_the_train_side_alone(tmp_path: Path, pool: str) -> None:
    """Faces and guides, of real styles and of simulated ones, which are made of live faces."""
    store = split_store(tmp_path)
    lay_by_hand(store, "toy-1", {"train": ["ann", "bob", "cid"], "test": ["dan", "eve"]})
    settings = {"variants": 3, "pool": pool, "unseen": "mark", "protocol": "toy-1"}
    config = with_rows(SynthConfig.model_validate(settings), store)
    folder, source, units = store / "synth-87654321", store / "align-12345678", range(len(PEOPLE))
    folder.mkdir()
    draw_roster(ROSTER, config, 0, source, list(units), folder, store=store)
    train = of("ann") | of("bob") | of("cid")
    parents = {one for entry in read_table(roster_path(folder)).to_pylist() for one in entry["parent_ids"]}
    assert len(parents) >= 6 and parents <= train
