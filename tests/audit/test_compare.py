"""A diff names every difference, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

from fasgen.audit.compare import compare, side
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import read_plan, write_plan
from fasgen.pipeline.local_engine import LocalEngine
from tests.manifests.units import write_stage

from .stores import make_store, sample


def test_equal_stores_are_the_same(tmp_path: Path) -> None:
    first, second = make_store(tmp_path / "a"), make_store(tmp_path / "b")
    found = compare(side(first), side(second))
    assert [one.stage for one in found] == ["align", "score", "synth", "synth_score"]
    assert all(one.same and not one.settings for one in found)


def test_scores_settings_and_generations(tmp_path: Path) -> None:
    first, second = make_store(tmp_path / "a"), make_store(tmp_path / "b", shift=2.5)
    score = next(second.glob("score-*"))
    write_plan(score, read_plan(score) | {"config": {"limit": 7}})
    (one,) = [each for each in compare(side(first), side(second)) if each.stage == "score"]
    assert not one.same
    assert one.settings == {"config.limit": (5, 7)}
    (change,) = one.scores
    assert (change.name, change.changed, change.mean, change.largest) == ("brisque", 12, 2.5, 2.5)
    assert [each.folder for each in side(score)] == [score]


def test_rows_fates_and_bytes(tmp_path: Path) -> None:
    first, second = (
        write_stage(tmp_path / "a", "align", rows=range(6)),
        write_stage(tmp_path / "b", "align", rows=[0, 1, 2, 102, 7]),
    )
    (one,) = compare(side(first), side(second))
    assert one.added == [f"{7:016x}", f"{102:016x}"]
    assert one.lost == [f"{number:016x}" for number in (3, 4, 5)]
    assert not one.bytes
    third = make_store(tmp_path / "c")
    fourth = make_store(tmp_path / "d", hostile=True)
    assert all(not each.bytes for each in compare(side(third), side(fourth)))
    assert sample(0, 0)


def test_other_labels_of_the_same_pictures(tmp_path: Path) -> None:
    """The plans are the same, and so is every picture: nothing but the rows tells them apart."""
    source = toy.make_source(tmp_path / "in", 3)
    for name, label in (("a", "live"), ("b", "spoof")):
        made = toy.plan(toy.configure(source.model_copy(update={"label": label})), tmp_path / name)
        toy.go(made, LocalEngine(made.resources))
    found = compare(side(tmp_path / "a"), side(tmp_path / "b"))
    assert [one.first for one in found] == [one.second for one in found]
    for one in found:
        changes = {each.name: (each.changed, each.first, each.second) for each in one.labels}
        # The record in a shard tells the label too.
        assert not one.same and bool(one.bytes) == (one.stage == "join")
        assert changes["label"] == (one.rows[0], "live", "spoof")
        assert set(changes) <= {"label", "attack_type", "domain", "attack_family", "attack_raw"}


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="neither"):
        side(tmp_path)
    with pytest.raises(StoreError, match="neither"):
        side(tmp_path / "nothing")
