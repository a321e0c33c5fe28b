"""Pairs: which guides may come."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.gallery.train_gallery import Gallery
from fasgen.stages.synth.difffas.train_pairs import Pairs, load_pairs
from fasgen.stages.synth.difffas.training_config import DiffFASTraining
from tests.stages.gallery.toy import crop_store

SIZE = 32


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_guides_share_the_group_and_never_the_picture(subjects: int, groups: int, each: int, seed: int) -> None:
    gallery = Gallery()
    names = [f"s{i}" for i in range(subjects)]
    gallery.add(torch.zeros(subjects, 3, 1, 1, dtype=torch.uint8), ["live"] * subjects, ["live"] * subjects, names, True)
    for group in range(groups):
        for s in range(subjects):
            shape = torch.zeros(each, 3, 1, 1, dtype=torch.uint8)
            first = gallery.add(shape, [f"g{group}"] * each, [f"g{group}"] * each, [names[s]] * each, False)
            for i in range(each):
                gallery.lives[first + i] = [s]
    pairs = Pairs(gallery)
    alone = subjects == 1 and each == 1
    assert len(pairs) == (0 if alone else subjects * groups * each) and len(pairs.unguided) == (groups if alone else 0)
    coin = torch.Generator().manual_seed(seed)
    drawn = pairs.draw(torch.arange(len(pairs)), coin)
    assert torch.equal(drawn[1], pairs.targets)
    for live, target, guide in zip(*(numbers.tolist() for numbers in drawn), strict=True):
        assert gallery.live[live] and not gallery.live[target] and not gallery.live[guide]
        assert gallery.subjects[live] == gallery.subjects[target]
        assert guide != target and gallery.groups[guide] == gallery.groups[target]
        assert (gallery.subjects[guide] != gallery.subjects[target]) == (subjects > 1)


def test_every_other_picture_of_the_style_can_be_the_guide() -> None:
    gallery = Gallery()
    gallery.add(torch.zeros(4, 3, 1, 1, dtype=torch.uint8), ["live"] * 4, ["live"] * 4, list("abcd"), True)
    first = gallery.add(torch.zeros(8, 3, 1, 1, dtype=torch.uint8), ["x"] * 8, ["x"] * 8, list("abcdabcd"), False)
    gallery.lives = {first + i: [i % 4] for i in range(8)}
    pairs, coin = Pairs(gallery), torch.Generator().manual_seed(0)
    guides = pairs.draw(torch.full((6000,), 1), coin)[2]
    assert sorted(set(guides.tolist())) == [first + i for i in (0, 2, 3, 4, 6, 7)]
    assert all(0.14 < float((guides == number).float().mean()) < 0.19 for number in set(guides.tolist()))


def test_the_report_tells_pairs_without_a_guide(tmp_path: Path) -> None:
    values = {
        "out": tmp_path / "out", "faces": {"size": SIZE},
        "pairs": {"path": crop_store(tmp_path / "store", SIZE), "holdout": ["d/eve"]},
    }  # fmt: skip
    train, _ = load_pairs(DiffFASTraining.model_validate(values))
    assert {train.subjects[t] for t in Pairs(train).targets.tolist()} == {"d/ann", "d/bob"}
    report = json.loads((tmp_path / "out" / "pairs.json").read_text())
    assert report["train"]["pairs"] == 4 and report["train"]["pairs_without_guide"] == 0
