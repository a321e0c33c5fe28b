"""Taking a person out: in every role, from every file, and nobody else loses a byte."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import mixing
import pyarrow as pa
import pytest
import toy

from fasgen.audit.retract import retract, which, who
from fasgen.audit.verify import verify
from fasgen.errors import StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.roster_file import roster_path
from fasgen.manifests.sources_file import read_sources
from fasgen.manifests.spare import settle
from fasgen.manifests.tombstones import Retracted, read_tombstones, subject_digest
from fasgen.manifests.unit import committed_units
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig
from tests.disk import Disk, broken, in_child

SUBJECT = "toys/01"


def planned(source: SourceConfig, store: Path, **changes: Any) -> Plan:
    config = toy.configure(source, mix=mixing.MixConfig(), compare=StageConfig(), collect=StageConfig(), **changes)
    return build_plan(config, ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)


def finish(made: Plan) -> None:
    assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    plain = toy.make_source(tmp_path_factory.mktemp("faces") / "in", 22)
    return plain.model_copy(update={"pattern": r"^(?P<subject>\d\d)"})


@pytest.fixture(scope="module")
def whole(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole")
    finish(planned(source, store))
    assert verify(store) == []
    return store


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def rows(store: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for folder in sorted(store.glob("*-????????")):
        for unit in committed_units(folder):
            for row in UnitReader(folder, unit).rows:
                found[folder.name, str(row["sample_id"]), int(str(row["variant"]))] = dict(row)
    return found


def has_bytes(store: Path, wanted: list[bytes]) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file() and any(one in path.read_bytes() for one in wanted)]


def test_nobody_is_left_and_the_others_keep_every_byte(store: Path) -> None:
    before = rows(store)
    gone = Retracted([who(store, SUBJECT)])
    assert len(gone.samples) == 12
    (folder,) = store.glob("mix-*")
    with UnitReader(folder, 1) as reader:
        spoof = next(row for row in reader.rows if row["status"] == "ok" and row["parent_ids"][0] in gone.samples)
        as_content = reader.encoded(int(str(spoof["row"])), "small", int(str(spoof["variant"])))
    with UnitReader(folder, 0) as reader:
        spoof = next(row for row in reader.rows if row["status"] == "ok" and row["parent_ids"][1] in gone.samples)
        as_style = reader.encoded(int(str(spoof["row"])), "small", int(str(spoof["variant"])))
    (store / "runs" / "one").mkdir(parents=True)
    (store / "runs" / "one" / "ledger.jsonl").touch()
    (store / "runs" / "one" / "contact-sheet.png").write_bytes(b"everybody")
    for file in ("protocols/some/train.parquet", "identities/mix-12345678.parquet"):
        table = pa.table({"sample_id": ["0"], "variant": [0], "subject": [SUBJECT]})
        write_atomic(store / file, encode_table(table))
    (store / "protocols" / "some" / "report.json").write_text('{"protocol": "some", "family": "", "sides": {}}')
    assert has_bytes(store, [as_content]) and has_bytes(store, [as_style])

    done = retract(store, who(store, SUBJECT))
    assert done.done and done.removed and read_tombstones(store) == [done]
    assert verify(store) == []
    assert not has_bytes(store, [as_content, as_style, SUBJECT.encode()])
    assert not list(store.rglob("*.png"))
    assert not [*store.glob("protocols/*"), *store.glob("identities/*")]
    after = rows(store)
    for key, row in before.items():
        if not gone.touches(row):
            assert after[key]["payload_digest"] == row["payload_digest"] and after[key]["seed"] == row["seed"]
        elif key[0].startswith("shrink-"):
            assert after[key]["status"] == "filtered" and after[key]["reason"] == "retracted"
            assert after[key]["subject"] is None and after[key]["path"] is None
        else:
            assert key not in after
    listed = read_sources(store, "toys").to_pylist()
    assert sum(row["path"] is None for row in listed) == 12
    assert not any(gone.touches(entry) for entry in read_table(roster_path(folder)).to_pylist())


def test_a_later_run_makes_nothing_of_the_person(source: SourceConfig, store: Path, tmp_path: Path) -> None:
    retract(store, who(store, SUBJECT))
    content = toy.content(store)
    again = planned(source, store)
    assert again.todo == 0, "the work for the others is believed"
    finish(again)
    assert toy.content(store) == content
    # A unit that is made anew has the bytes that the removal wrote.
    (folder,) = store.glob("noisy-*")
    (folder / "00001.parquet").unlink()
    finish(planned(source, store))
    assert toy.content(store) == content
    finish(planned(source, store, shrink=toy.ShrinkConfig(factor=3)))
    assert verify(store) == []
    samples = read_tombstones(store)[0].samples
    fresh = [row for key, row in rows(store).items() if key[1] in samples]
    assert {row["reason"] for row in fresh} == {"retracted"}


@pytest.mark.parametrize("power", [False, True])
def test_killed_at_any_moment_it_is_finished_by_being_given_again(store: Path, tmp_path: Path, power: bool) -> None:
    reference = tmp_path / "reference"
    shutil.copytree(store, reference)
    with broken(Disk(reference, "count")) as counted:
        retract(reference, who(reference, SUBJECT))
    for at in range(5 if power else 1, counted.count, counted.count // 12):
        trial = tmp_path / str(at)
        shutil.copytree(store, trial)

        def work(trial: Path = trial, at: int = at) -> None:
            with broken(Disk(trial, "power" if power else "kill", at)):
                retract(trial, who(trial, SUBJECT))

        where = f"at {at} of {counted.count}, {counted.log[at - 1]}"
        # The lock's heartbeats count as operations too, and a busy machine has more of them.
        ended = in_child(work)
        assert ended == -signal.SIGKILL or (ended == 0 and at > 0.9 * counted.count), where
        told = [one for one in verify(trial) if one.severity == "error"]
        settle(trial)
        assert told or toy.content(trial) in (toy.content(store), toy.content(reference)), where
        retract(trial, who(trial, SUBJECT))
        assert toy.content(trial) == toy.content(reference), where
        assert verify(trial) == []
        shutil.rmtree(trial)


def test_verify_names_what_is_left(store: Path, whole: Path) -> None:
    retract(store, who(store, SUBJECT))
    for pattern in ("mix-*/roster.parquet", "sources/toys/00000.parquet", "noisy-*/00001.parquet"):
        (path,) = store.glob(pattern)
        good = path.read_bytes()
        (was,) = whole.glob(pattern)
        path.write_bytes(was.read_bytes())
        assert any("somebody who was taken out" in finding.what for finding in verify(store)), pattern
        path.write_bytes(good)
    assert verify(store) == []


def test_nobody_of_that_name(store: Path) -> None:
    with pytest.raises(StoreError, match="did you mean 'toys/01'"):
        who(store, "toys/1")
    assert not (store / "retracted").exists()


def test_a_tombstone_says_no_name(store: Path) -> None:
    retract(store, who(store, SUBJECT))
    (path,) = (store / "retracted").glob("*.json")
    assert path.stem == subject_digest(SUBJECT) and SUBJECT not in path.read_text()
    path.write_text("{}")
    with pytest.raises(StoreError, match="is damaged"):
        read_tombstones(store)


def test_copies_under_other_names_go_with_the_person(source: SourceConfig, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(source.path, folder)
    shutil.copy2(folder / "013.png", folder / "copy.png")
    ours = source.model_copy(update={"path": folder})
    finish(planned(ours, store))
    finish(planned(ours, store, noisy=toy.NoisyConfig(strength=2.0)))
    done = retract(store, who(store, SUBJECT, [ours]))
    assert len(done.samples) == 13 and len(done.contents) == 11, "an empty file says nothing of anybody"
    assert verify(store) == [] and planned(ours, store).todo == 0
    shutil.copy2(folder / "014.png", folder / "later.png")
    finish(planned(ours, store))
    # The older generation of noisy was not run again: faces that lost their guides have other spoofs by now.
    assert {(one.severity, Path(one.where).parent.name.partition("-")[0]) for one in verify(store)} == {
        ("warning", "compare"), ("warning", "collect"),
    }  # fmt: skip
    finish(planned(ours, store, noisy=toy.NoisyConfig(strength=2.0)))
    assert verify(store) == []
    (late,) = [row for key, row in rows(store).items() if key[0].startswith("shrink-") and row["unit"] == 4]
    assert late["reason"] == "retracted" and late["path"] is None


def test_a_file_is_taken_out_by_what_it_holds_or_by_its_name(source: SourceConfig, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(source.path, folder)
    shutil.copy2(folder / "013.png", tmp_path / "sent-by-mail.png")
    ours = source.model_copy(update={"path": folder})
    finish(planned(ours, store))
    gone = which(store, str(tmp_path / "sent-by-mail.png"), [ours])
    retract(store, gone)
    assert verify(store) == [] and len(gone.samples) == 1
    assert read_sources(store, "toys").to_pylist()[15]["path"] is None
    before = toy.content(store)
    retract(store, which(store, str(tmp_path / "sent-by-mail.png"), [ours]))
    assert toy.content(store) == before, "given again, it changes nothing"
    by_name = which(store, "toys/014.png")
    assert len(by_name.samples) == 1 and not by_name.contents
    retract(store, by_name)
    assert verify(store) == [] and planned(ours, store).todo == 0
    for unknown, what in (("toys/999.png", "no file is called so"), (__file__, "holds what it holds")):
        with pytest.raises(StoreError, match=what):
            which(store, unknown, [ours])
