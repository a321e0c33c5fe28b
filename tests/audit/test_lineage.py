"""A sample's line is whole: up to its source, down to bytes that are really there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fasgen.audit.lineage import trace_sample, trace_subject
from fasgen.errors import StoreError
from fasgen.manifests.images import decode_image

from .stores import make_store, picture, sample


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store"))


def test_a_photograph_leads_to_its_source_its_rows_and_what_was_made_of_it(store: Path) -> None:
    found = trace_sample(store, sample(1, 0))
    steps = [(step.role, step.key.removeprefix(sample(1, 0)), step.row["unit"]) for step in found.steps]
    assert steps == [("itself", "", 1)] * 2 + [("made of it", "-1", 1)] * 2 + [("made of it", "-2", 1)] * 2
    assert found.sources[sample(1, 0)]["path"] == "folder/1-0.png"
    assert all(step.current and not step.damage for step in found.steps)


def test_a_spoof_leads_to_what_it_was_made_from(store: Path) -> None:
    found = trace_sample(store, f"{sample(0, 1)}-2")
    assert [step.role for step in found.steps] == ["made from"] * 2 + ["itself"] * 2
    assert {step.key for step in found.steps} == {sample(0, 1), f"{sample(0, 1)}-2"}


def test_byte_ranges_hold_the_product(store: Path) -> None:
    steps = trace_sample(store, sample(2, 3)).steps
    pieces = {piece.name: piece for step in steps for piece in step.pieces}
    crop = pieces[f"{sample(2, 3)}.crop.png"]
    with (store / crop.file).open("rb") as stream:
        stream.seek(crop.offset)
        assert (decode_image(stream.read(crop.length), "test") == picture(23)).all()
    residual = pieces["residual"]
    assert 0 < residual.length < (store / residual.file).stat().st_size


def test_a_reject_has_a_row_and_no_bytes(store: Path) -> None:
    (step,) = trace_sample(store, sample(0, 5)).steps
    assert (step.row["reason"], step.pieces) == ("no_face", [])


def test_a_person_is_found_as_content_and_as_style(store: Path) -> None:
    content = trace_subject(store, "toy/1")
    assert {step.role for step in content.steps} == {"content"}
    assert {key.partition("-")[0] for key in (step.key for step in content.steps)} == {
        sample(unit, row) for unit in range(3) for row in (1, 3, 5)
    }
    style = trace_subject(store, "toy/9")
    assert {step.role for step in style.steps} == {"style"}
    assert len(style.steps) == 3 * 2 * 2 * 2


def test_names_that_are_none_or_several_are_refused(store: Path) -> None:
    with pytest.raises(StoreError, match="samples begin with"):
        trace_sample(store, "0000")
    for name in ("ffff", f"{sample(0, 0)}-7", "../align", "a/b", "", "a-b", "%"):
        with pytest.raises(StoreError):
            trace_sample(store, name)
    with pytest.raises(StoreError, match=r"did you mean 'toy/\d'"):
        trace_subject(store, "toy/7")


def test_a_unique_beginning_will_do(store: Path) -> None:
    assert trace_sample(store, sample(2, 5)[:15] + sample(2, 5)[15]).steps
    assert trace_sample(store, sample(2, 3)).steps[0].key == sample(2, 3)


def test_older_generations_are_searched_and_marked(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    align = next(store.glob("align-*"))
    shutil.copytree(align, store / "align-00000000")
    import os

    os.utime(store / "align-00000000" / "plan.json", (0, 0))
    found = trace_sample(store, sample(0, 2))
    assert sorted((step.generation, step.current) for step in found.steps if step.generation.startswith("align")) == [
        ("align-00000000", False),
        (align.name, True),
    ]


def test_damage_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    tar = next(store.glob("align-*")) / "00000.tar"
    tar.chmod(0o644)
    tar.write_bytes(b"x" * 2000)
    steps = trace_sample(store, sample(0, 2)).steps
    assert "not a sound ustar file" in steps[0].damage
    assert [step.row["status"] for step in steps] == ["ok", "ok"]
