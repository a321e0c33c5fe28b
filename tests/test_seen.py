"""Records of what weights have seen: they come back as they were, and name every overlap with what is tested."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fasgen
from fasgen.errors import WeightsError
from fasgen.manifests.weights import digest_weights
from fasgen.seen import (
    NAME,
    NETWORKS,
    Network,
    Seen,
    Target,
    digest,
    encode,
    encode_networks,
    overlaps,
    read_networks,
    read_seen,
)

names = st.frozensets(st.text(min_size=1).map(digest), max_size=5)
records = st.recursive(
    st.builds(Seen, st.text(), st.frozensets(st.text(), max_size=3).map(sorted).map(tuple), st.none() | names, names),
    lambda below: st.builds(Seen, st.text(), parents=st.dictionaries(st.text(), st.none() | below, max_size=2)),
    max_leaves=4,
)
TESTED = Target.of([("s1", "toy/ann", "toy"), ("s2", "toy/bob", "toy"), ("s3", None, "celebaspoof")])


@given(records)
def test_a_record_comes_back(seen: Seen) -> None:
    assert Seen.of(seen.document()) == seen


def test_it_lies_beside_the_weights_or_above_their_parts(tmp_path: Path) -> None:
    folder = tmp_path / "final"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "model.safetensors").write_bytes(b"x")
    assert read_seen(folder) is None
    before = digest_weights({"w": folder})
    (folder / NAME).write_bytes(encode(Seen("dfg")))
    assert read_seen(folder) == read_seen(folder / "unet") == read_seen(folder / "unet" / "model.safetensors") == Seen("dfg")
    assert digest_weights({"w": folder}) == before, "what it says of itself makes no other plan"
    (folder / NAME).write_text('{"format": "fasgen-seen/1", "training": "theirs", "datasets": ["OULU-NPU"]}')
    assert read_seen(folder) == Seen("theirs", ("OULU-NPU",)), "as a person writes it"
    for damage in (
        "",
        "[]",
        '{"format": "other", "training": ""}',
        '{"format": "fasgen-seen/1", "training": "", "samples": "abc"}',
    ):
        (folder / NAME).write_text(damage)
        with pytest.raises(WeightsError, match="is no record"):
            read_seen(folder)


def test_samples_people_data_sets_and_parents_are_named() -> None:
    def said(seen: Seen | None) -> list[str]:
        return list(overlaps("net", seen, TESTED))

    assert said(Seen("x", ("toy",), frozenset({digest("other")}))) == [], "rows are known, and none is tested"
    assert said(Seen("x", ("toy",), frozenset({digest("s2")}))) == ["net has learnt from 1 of the 3 tested samples, such as s2"]
    assert said(Seen("x", (), frozenset(), frozenset({digest("toy/ann")}))) == [
        "net has learnt from 1 of the 2 tested people, such as toy/ann"
    ]
    assert said(Seen("x", ("CelebA-Spoof",)))[0].startswith("net has learnt from the data set celebaspoof, which is tested")
    assert said(Seen("x", samples=frozenset(), unlisted=7)) == [
        "net has learnt from 7 pictures of a folder, of which no row is known"
    ]
    assert said(None) == [f"net does not say what it has seen (no {NAME} beside it)"]
    below = Seen("x", samples=frozenset(), parents={"start": Seen("y", samples=frozenset({digest("s1")})), "identity": None})
    assert said(below) == [
        f"net, by its identity, does not say what it has seen (no {NAME} beside it)",
        "net, by its start, has learnt from 1 of the 3 tested samples, such as s1",
    ]


def test_networks_of_a_delivery_come_back(tmp_path: Path) -> None:
    assert read_networks(tmp_path) is None
    behind = [Network("a", "weights", "crop", (), None), Network("b", "style", "synthetic", ("c",), Seen("x", ("d",)))]
    (tmp_path / NETWORKS).write_bytes(encode_networks(behind))
    assert read_networks(tmp_path) == behind
    (tmp_path / NETWORKS).write_text("{}")
    with pytest.raises(WeightsError, match="is no list of networks"):
        read_networks(tmp_path)


def test_every_network_that_comes_with_it_says_what_it_has_seen() -> None:
    folders = [path for path in (Path(fasgen.__file__).parent / "weights").iterdir() if path.is_dir()]
    assert len(folders) == 9
    for folder in folders:
        seen = read_seen(folder)
        assert seen is not None and seen.datasets and seen.samples is None, folder.name
