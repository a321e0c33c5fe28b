"""Who trains and who is tested; nothing leaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.downstream.config import ProtocolConfig
from fasgen.downstream.protocols import Fold, folds
from fasgen.errors import ConfigError
from fasgen.reader import SampleTable


def meta(number: int, label: int, dataset: str = "d", subject: str = "", **more: Any) -> dict[str, Any]:
    base = {"sample_id": f"{dataset}{subject}{label}{number}{more.get('synthetic', '')}", "label_index": label}
    return {**base, "dataset": dataset, "subject": subject, "path": f"{label}/{number}.jpg", **more}


def made(number: int, dataset: str = "d", parent_label: int = 1, style: str = "") -> dict[str, Any]:
    """A synthetic spoof made from live picture ``number``: it keeps its parent's path."""
    out = meta(number, 0, dataset, style_subject=style, synthetic=True)
    return {**out, "path": f"{parent_label}/{number}.jpg"}


def ids(table: SampleTable) -> list[str]:
    return [str(i) for i in table.sample_id]


def disjoint(fold: Fold) -> bool:
    parts = [set(ids(t)) for t in (fold.train, fold.dev, fold.test)]
    return not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_a_guide_without_a_subject_does_not_leak() -> None:
    metas = [meta(n, label) for n in range(6) for label in (0, 1)]
    # Made from live picture 5, which trains in fold 1, in the style of spoof picture 0, which is tested there.
    metas.append(made(5, style=str(metas[0]["sample_id"])))
    for number, fold in enumerate(folds(SampleTable.of_metas(metas), ProtocolConfig(kind="folds", folds=3, dev_share=0))):
        assert fold.train.synthetic.any() == (number == 1)


def test_dev_from_tails_is_the_last_of_each_domain_and_label() -> None:
    numbers = (4, 9, 0, 7, 2, 1, 3, 8, 5, 6)
    metas = [meta(n, label, d, f"{d}/s") for d in "abc" for n in numbers for label in (0, 1)]
    metas += [made(9, "a"), made(3, "a"), meta(0, 1, "b", "b/t")]
    config = ProtocolConfig(targets=("c",), dev_share=0.2, dev_from="tails")
    [fold] = folds(SampleTable.of_metas(metas), config)
    assert {(d, p) for d, p in zip(fold.dev.dataset, fold.dev.path, strict=True)} == {
        (d, f"{label}/{n}.jpg") for d in "ab" for label in (0, 1) for n in (8, 9)
    }
    assert fold.train.synthetic.sum() == 1 and len(fold.train) + len(fold.dev) == 2 * 20 + 1 + 2 - 1 and disjoint(fold)


@pytest.mark.parametrize("as_stills", [True, False])
def test_no_cut_goes_through_a_video(as_stills: bool) -> None:
    def frame(video: str, label: int, k: int) -> dict[str, Any]:
        where = {"path": f"{video}/{k}.jpg", "video": video} if as_stills else {"path": f"{video}.mp4", "frame": k}
        return {"sample_id": f"{video}-{k}", "label_index": label, "dataset": "d", **where}

    metas = [frame(f"{label}/{n}", label, k) for label in (0, 1) for n in range(9) for k in range(1 + n % 4)]
    table = SampleTable.of_metas(metas)
    whole = dict(zip(table.sample_id, table.video, strict=True))
    assert set(whole.values()) == {f"{label}/{n}{'' if as_stills else '.mp4'}" for label in (0, 1) for n in range(9)}
    for dev_from in ("tails", "subjects"):
        config = ProtocolConfig(kind="folds", folds=4, dev_share=0.3, dev_from=dev_from)
        for fold in folds(table, config):
            sides = [{whole[i] for i in ids(part)} for part in (fold.train, fold.dev, fold.test)]
            assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
            assert len(fold.dev) and len(fold.train) + len(fold.dev) + len(fold.test) == len(metas)


def test_the_tail_of_a_single_video_is_cut_all_the_same() -> None:
    metas = [meta(n, label, path=f"{label}/{n}.jpg", video=str(label)) for label in (0, 1) for n in range(10)]
    metas += [meta(n, label, "e") for label in (0, 1) for n in range(2)]
    [fold] = folds(SampleTable.of_metas(metas), ProtocolConfig(targets=("e",), dev_share=0.2, dev_from="tails"))
    assert len(fold.dev) == 4 and len(fold.train) == 16


rows = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 5), st.booleans()), min_size=1, max_size=60)


@given(rows, st.sampled_from(["leave_one_out", "folds"]), st.sampled_from([0.0, 0.3]))
def test_parts_are_disjoint_cover_everything_and_test_photographs_alone(
    drawn: list[tuple[str, int, int, bool]], kind: str, dev: float
) -> None:
    metas = []
    for number, (dataset, label, subject, synthetic) in enumerate(drawn):
        name = f"{dataset}/s{subject}"
        metas.append(made(number, dataset, style=name) if synthetic else meta(number, label, dataset, name))
    table = SampleTable.of_metas(metas)
    try:
        found = folds(table, ProtocolConfig(kind=kind, folds=3, dev_share=dev))  # type: ignore[arg-type]
    except ConfigError:
        return
    tested: list[str] = []
    for fold in found:
        assert disjoint(fold)
        assert not fold.test.synthetic.any() and not fold.dev.synthetic.any()
        assert not set(fold.train.subject) & set(fold.dev.subject) - {""}
        if kind == "leave_one_out":
            assert not set(fold.train.dataset) & set(fold.test.dataset)
            assert not (set(fold.train.style_subject) & set(fold.test.subject)) - {""}
        tested += ids(fold.test)
    assert sorted(tested) == sorted(ids(table.take(~table.synthetic)))


def test_leave_one_out_by_target() -> None:
    table = SampleTable.of_metas([meta(n, n % 2, d) for d in "abc" for n in range(4)])
    every = folds(table, ProtocolConfig(dev_share=0))
    assert [f.name for f in every] == ["leave out a", "leave out b", "leave out c"]
    assert set(every[1].train.dataset) == {"a", "c"} and set(every[1].test.dataset) == {"b"}
    [only] = folds(table, ProtocolConfig(targets=("c",), sources=("a", "c")))
    assert set(only.train.dataset) == {"a"} and len(only.test) == 4
    with pytest.raises(ConfigError, match="no dataset is called 'e'"):
        folds(table, ProtocolConfig(targets=("e",)))
    with pytest.raises(ConfigError, match="needs two values"):
        folds(table, ProtocolConfig(sources=("a",)))


def test_folds_are_contiguous_by_number_within_each_label() -> None:
    # Written in another order than their numbers, and 10 comes after 9, not after 1.
    table = SampleTable.of_metas([meta(n, label) for n in (3, 11, 0, 7, 10, 1, 9, 2, 8, 4, 6, 5) for label in (0, 1)])
    found = folds(table, ProtocolConfig(kind="folds", folds=3, dev_share=0))
    for number, fold in enumerate(found):
        expected = {f"{label}/{n}.jpg" for label in (0, 1) for n in range(4 * number, 4 * number + 4)}
        assert set(fold.test.path) == expected and len(fold.train) == 16


def test_synthetic_samples_follow_their_parents_and_styles() -> None:
    real = [meta(n, label, subject=f"d/s{n}") for n in range(4) for label in (0, 1)]
    table = SampleTable.of_metas([*real, *(made(n, style=f"d/s{(n + 1) % 4}") for n in range(4))])
    first, second = folds(table, ProtocolConfig(kind="folds", folds=2, dev_share=0))
    # Fold 1 tests 0 and 1: from 0 and 1 nothing may be made, and 3 wears the style of 0.
    assert set(first.train.path[first.train.synthetic]) == {"1/2.jpg"}
    assert set(second.train.path[second.train.synthetic]) == {"1/0.jpg"}


def test_own_splits() -> None:
    splits = ("train", "train", "dev", "test", "")
    table = SampleTable.of_metas([meta(n, label, split=splits[n % 5]) for n in range(10) for label in (0, 1)])
    [fold] = folds(table, ProtocolConfig(kind="splits", dev_share=0))
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (8, 4, 4) and disjoint(fold)


def test_what_cannot_be_trained_or_tested_is_refused() -> None:
    with pytest.raises(ConfigError, match="no live or no spoof"):
        folds(SampleTable.of_metas([meta(n, 1, d) for d in "ab" for n in range(3)]), ProtocolConfig())
    with pytest.raises(ConfigError, match="nothing to test"):
        folds(SampleTable.of_metas([meta(n, n % 2, split="train") for n in range(4)]), ProtocolConfig(kind="splits"))
