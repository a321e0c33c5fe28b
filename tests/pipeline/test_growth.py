"""A store that grows: what is there keeps its place and its bytes, what is new is made, what has changed is made again."""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mixing
import numpy as np
import pytest
import toy
from PIL import Image

from fasgen.audit.verify import verify
from fasgen.errors import StoreError
from fasgen.manifests.images import encode_png
from fasgen.manifests.roster_file import read_roster
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import committed_units, unit_facts
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome, RunResult
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig
from tests.disk import Disk, Fault, broken, in_child

PLACES = ("unit", "row", "place", "slot", "guide_unit", "guide_row", "array_index")
"""Columns that say where a row lies."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces") / "in"
    toy.make_source(folder, 22)
    return folder


def source_at(folder: Path, **changes: Any) -> SourceConfig:
    folder.mkdir(exist_ok=True, parents=True)
    return SourceConfig(name="toys", path=folder, label="live", **changes).model_copy(update={"limits": toy.Limits(min_side=4)})


def put(pictures: Path, folder: Path, names: Sequence[str]) -> None:
    for name in names:
        shutil.copy2(pictures / name, folder / name)


def mixed(source: SourceConfig, store: Path, wanted: Sequence[str] = ("all",), **changes: Any) -> Plan:
    stages: dict[str, Any] = {"mix": mixing.MixConfig(), "compare": StageConfig(), "collect": StageConfig()}
    config = toy.configure(source, **stages | changes)
    return build_plan(config, wanted, store, resources=Resources(0, 1), targets=mixing.TARGETS)


def finish(plan: Plan) -> RunResult:
    result, _, _ = toy.go(plan, LocalEngine(plan.resources, depth=1))
    assert result.outcome is Outcome.FINISHED and result.remaining == 0, result
    return result


def made_of(store: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """All rows by stage, sample and variant, without their places."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for folder in sorted(store.glob("*-????????")):
        for unit in committed_units(folder):
            for row in UnitReader(folder, unit).rows:
                key = folder.name, str(row["sample_id"]), int(str(row["variant"]))
                assert key not in found
                found[key] = {name: value for name, value in row.items() if name not in PLACES}
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Units of which a file is another one or gone, as ``stage/number``."""
    gone = {Path(name) for name in before if before[name] != after.get(name) and "-" in Path(name).parts[0]}
    return {f"{path.parts[0].partition('-')[0]}/{path.name.partition('.')[0]}" for path in gone if path.name[:5].isdigit()}


def test_one_picture_more_makes_one_unit_a_stage(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(pictures, folder)
    source, store = source_at(folder), tmp_path / "store"
    finish(toy.plan(toy.configure(source), store))
    before = toy.content(store)
    shutil.copy2(pictures / "001.png", folder / "000-new.png")
    plan = toy.plan(toy.configure(source), store)
    assert {name: stage.todo for name, stage in plan.stages.items()} == {name: {3} for name in toy.TARGETS}
    assert str(plan.listing.growth) == "1 new, 0 changed, 0 gone; 24 kept"
    assert finish(plan).planned == 3
    assert changed(before, toy.content(store)) == set()
    (row,) = UnitReader(plan.stages["join"].folder, 3).rows
    assert row["path"] == "000-new.png" and row["unit"] == 3 and row["row"] == 0
    assert verify(store) == []
    again = toy.plan(toy.configure(source), store)
    assert again.todo == again.unsure == 0 and str(again.listing.growth) == "0 new, 0 changed, 0 gone; 25 kept"


@pytest.mark.parametrize("seed", [0, 1])
def test_in_one_go_or_in_three_growths_in_any_order(pictures: Path, tmp_path: Path, seed: int) -> None:
    whole = tmp_path / "whole"
    finish(mixed(source_at(pictures), whole))
    names = sorted(path.name for path in pictures.iterdir())
    random.Random(seed).shuffle(names)
    folder, store = tmp_path / "in", tmp_path / "store"
    source = source_at(folder)
    for some in (names[:5], names[5:16], names[16:]):
        put(pictures, folder, some)
        finish(mixed(source, store))
        assert verify(store) == []
    wanted, found = made_of(whole), made_of(store)
    assert found.keys() == wanted.keys()
    assert found == wanted


def test_new_pictures_change_only_the_entries_that_they_win(pictures: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in pictures.iterdir())
    folder, store = tmp_path / "in", tmp_path / "store"
    source = source_at(folder)
    put(pictures, folder, names[:-1])
    plan = mixed(source, store)
    finish(plan)
    mix = plan.stages["mix"].folder
    entries = {unit: read_roster(mix, unit) for unit in committed_units(mix)}
    before = toy.content(store)
    put(pictures, folder, names[-1:])
    plan = mixed(source, store)
    assert plan.stages["mix"].unsure == {0, 1, 2} and plan.stages["mix"].todo == {3}
    result = finish(plan)
    (new,) = (row["sample_id"] for row in UnitReader(plan.stages["shrink"].folder, 3).rows)
    moved = set()
    for unit, was in entries.items():
        now = {(entry["row"], entry["variant"]): entry for entry in read_roster(mix, unit)}
        for entry in was:
            other = now[entry["row"], entry["variant"]]
            if other != entry:
                assert isinstance(other["parent_ids"], list) and other["parent_ids"][1] == new
                moved.add(unit)
    touched = {int(name.partition("/")[2]) for name in changed(before, toy.content(store)) if name.startswith("mix/")}
    assert moved == touched and 0 < len(moved) < 3
    assert result.units == 5 + 3 * len(moved) and verify(store) == []


def test_a_changed_file_makes_its_unit_again_and_what_hangs_on_it(pictures: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(pictures, folder)
    source = source_at(folder)
    finish(toy.plan(toy.configure(source), store))
    before = toy.content(store)
    path = folder / "012.png"
    status = path.stat()
    shutil.copy(pictures / "013.png", path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    plan = toy.plan(toy.configure(source), store)
    assert plan.listing.growth.changed == 1 and plan.stages["shrink"].stale == plan.stages["shrink"].todo == {1}
    assert plan.stages["noisy"].unsure == {1} and plan.todo == 1
    assert finish(plan).units == 3
    assert changed(before, toy.content(store)) == {"shrink/00001", "noisy/00001", "join/00001"}
    assert verify(store) == []
    before = toy.content(store)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 2))
    plan = toy.plan(toy.configure(source), store)
    assert plan.stages["shrink"].todo == {1}
    assert finish(plan).units == 1, "the same bytes under another time: what was made from them stays"
    assert changed(before, toy.content(store)) == {"shrink/00001"}
    assert toy.plan(toy.configure(source), store).todo == 0


def test_a_file_that_goes_leaves_its_place_and_takes_it_again(pictures: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(pictures, folder)
    source = source_at(folder)
    plan = mixed(source, store)
    finish(plan)
    before = toy.content(store)
    (folder / "013.png").rename(tmp_path / "away.png")
    gone = mixed(source, store)
    assert gone.listing.growth.gone == 1
    finish(gone)
    shrink = gone.stages["shrink"].folder
    rows = [row for unit in range(3) for row in UnitReader(shrink, unit).rows]
    (row,) = (row for row in rows if row["reason"] == "gone")
    assert row["status"] == "filtered" and row["path"] is None and row["dataset"] == "toys"
    assert [row["row"] for row in rows] == [*range(8)] * 3, "nobody moves"
    assert not any(row["sample_id"] in (made["parent_ids"] or ()) for key, made in made_of(store).items() if "mix" in key[0])
    assert verify(store) == []
    (tmp_path / "away.png").rename(folder / "013.png")
    back = mixed(source, store)
    assert back.listing.growth.back == 1
    finish(back)
    assert toy.content(store) == before and verify(store) == []


def test_a_source_that_is_not_configured_leaves_the_delivery_and_comes_back(pictures: Path, tmp_path: Path) -> None:
    """What was made of it stays, so that putting it back costs the delivery alone."""
    names = sorted(path.name for path in pictures.iterdir())
    ours, theirs, store = source_at(tmp_path / "in"), source_at(tmp_path / "other"), tmp_path / "store"
    theirs = theirs.model_copy(update={"name": "others"})
    put(pictures, ours.path, names[:11])
    put(pictures, theirs.path, names[11:16])

    def planned(*sources: SourceConfig) -> Plan:
        stages = {"mix": mixing.MixConfig(), "compare": StageConfig(), "collect": StageConfig()}
        config = toy.configure(ours, sources=list(sources), **stages)
        return build_plan(config, ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)

    alone = planned(ours)
    finish(alone)
    shipped = alone.stages["collect"].folder.name
    only_ours = toy.content(store)
    both = planned(ours, theirs)
    assert both.listing.numbers == (0, 1, 2)
    finish(both)
    whole = toy.content(store)
    left = planned(ours)
    assert left.listing.numbers == (0, 1)
    assert str(left.listing.growth) == "0 new, 0 changed, 0 gone; 11 kept; 5 of sources that are not configured any more"
    finish(left)
    assert verify(store) == [] and planned(ours).todo == 0
    now = toy.content(store)
    assert {name: now[name] for name in only_ours if name.startswith(shipped)} == {
        name: digest for name, digest in only_ours.items() if name.startswith(shipped)
    }, "the delivery is as if it had never been there"
    assert not {name for name in whole if name not in now and not name.startswith(shipped)}
    back = planned(ours, theirs)
    assert back.stages["shrink"].todo == back.stages["noisy"].todo == set() and back.listing.growth.kept == 16
    finish(back)
    assert toy.content(store) == whole and verify(store) == []


def test_units_that_were_added_keep_their_numbers(pictures: Path, tmp_path: Path) -> None:
    from fasgen.pipeline.retry import plan_retry

    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(pictures, folder)
    source = source_at(folder)
    finish(toy.plan(toy.configure(source), store))
    other = toy.configure(source, noisy=toy.NoisyConfig(strength=4.0))
    was = toy.configure(source)
    retried = plan_retry(toy.plan(was, store), was, other, "not_finite", targets=toy.TARGETS)
    finish(retried)
    assert retried.listing.numbers == (3,)
    shutil.copy2(pictures / "001.png", folder / "new.png")
    plan = toy.plan(toy.configure(source), store)
    assert plan.listing.numbers == (0, 1, 2, 4) and plan.stages["shrink"].todo == {4}
    finish(plan)
    assert verify(store) == []


def test_a_damaged_unit_is_found_when_it_is_read_and_made_again(pictures: Path, tmp_path: Path) -> None:
    source, store = source_at(pictures), tmp_path / "store"
    finish(mixed(source, store))
    wanted = toy.content(store)
    for stage in ("noisy", "collect"):
        (folder,) = store.glob(f"{stage}-*")
        for unit in committed_units(folder):
            (folder / f"{unit:05d}.parquet").unlink()
    (shrink,) = store.glob("shrink-*")
    damage(shrink / "00001.tar")
    plan = mixed(source, store)
    assert plan.stages["shrink"].todo == set(), "nobody has read it yet"
    result, pages, silent = toy.go(plan, LocalEngine(plan.resources, depth=1))
    assert result.outcome is Outcome.FINISHED and result.remaining == 0
    (event,) = pages.of("rotten")
    assert (event["stage"], event["unit"]) == ("shrink", 1) and any("shrink unit 1" in said for said in silent.said)
    assert toy.content(store) == wanted and verify(store) == []


def test_a_damaged_unit_of_a_stage_that_is_not_asked_for_ends_the_run(pictures: Path, tmp_path: Path) -> None:
    source, store = source_at(pictures), tmp_path / "store"
    finish(toy.plan(toy.configure(source), store, ["shrink"]))
    (shrink,) = store.glob("shrink-*")
    damage(shrink / "00001.tar")
    plan = toy.plan(toy.configure(source), store, ["noisy"])
    result, _, _ = toy.go(plan, LocalEngine(plan.resources, depth=1))
    assert result.outcome is Outcome.ERROR and "fasgen run stage=shrink" in result.error
    assert committed_units(shrink) == [0, 2]


def damage(tar: Path) -> None:
    """Put another picture, sound in itself, in the place of the last one."""
    data = bytearray(tar.read_bytes())
    with TarReader(tar) as reader:
        *_, last = reader.members.values()
        image = np.array(Image.open(io.BytesIO(reader.read(last.name))))
    for bit in range(8):
        image[0, 0, 0] ^= 1 << bit
        other = encode_png(image, "test")
        if len(other) <= last.size:
            break
    data[last.offset : last.offset + last.size] = other.ljust(last.size, b"\0")
    tar.write_bytes(bytes(data))


@pytest.mark.parametrize("fault", ["kill", "power"])
def test_a_growth_killed_at_moments_over_all_of_it(pictures: Path, tmp_path: Path, fault: Fault) -> None:
    names = sorted(path.name for path in pictures.iterdir())[:9]
    folder, store = tmp_path / "in", tmp_path / "store"
    source = source_at(folder)
    put(pictures, folder, names[:7])
    finish(mixed(source, store))
    put(pictures, folder, names[7:])
    shutil.copy(pictures / "015.png", folder / names[1])

    def grow(where: Path) -> None:
        finish(mixed(source, where))

    shutil.copytree(store, tmp_path / "whole")
    with broken(Disk(tmp_path / "whole", "count")) as counted:
        grow(tmp_path / "whole")
    wanted = toy.content(tmp_path / "whole")
    # Either fault at every other moment; what one leaves out, the other has.
    step = counted.count // 12
    for at in range(1 if fault == "kill" else 1 + step, counted.count, 2 * step):
        where = tmp_path / str(at)
        shutil.copytree(store, where)

        def work(where: Path = where, at: int = at) -> None:
            with broken(Disk(where, fault, at)):
                grow(where)

        ended = in_child(work)
        assert ended == -signal.SIGKILL or (ended == 0 and at > 0.9 * counted.count), f"{fault} at {at}"
        grow(where)
        assert toy.content(where) == wanted, f"{fault} at {at}, {counted.log[at - 1]}"
        assert verify(where) == []
        shutil.rmtree(where)


def test_two_plans_cannot_place_the_same_rows(pictures: Path, tmp_path: Path) -> None:
    folder, store = tmp_path / "in", tmp_path / "store"
    shutil.copytree(pictures, folder)
    first, second = (toy.plan(toy.configure(source_at(folder)), store) for _ in range(2))
    finish(first)
    with pytest.raises(StoreError, match="give the command again"):
        toy.go(second, LocalEngine(second.resources))


def test_a_store_of_an_older_format_is_refused(pictures: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    finish(toy.plan(toy.configure(source_at(pictures)), store))
    for path in (store / "current.json", store / "spare" / "current.json"):
        path.unlink()
    with pytest.raises(StoreError, match=r"another format than fasgen/2.*set store to a new folder"):
        toy.plan(toy.configure(source_at(pictures)), store)


def test_a_unit_says_what_it_was_made_from(pictures: Path, tmp_path: Path) -> None:
    plan = mixed(source_at(pictures), tmp_path)
    finish(plan)
    for stage in plan.stages.values():
        for unit in plan.listing.numbers:
            facts = unit_facts(stage.folder, unit)
            assert len(facts.inputs) == len(facts.identity) == 64
    identities = {unit_facts(stage.folder, 0).identity for stage in plan.stages.values()}
    assert len(identities) == len(plan.stages)
