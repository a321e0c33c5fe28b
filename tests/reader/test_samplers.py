"""What samplers promise: balance in every batch, every sample once a pass, the same whatever the workers, ranks and resumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from fasgen.errors import ConfigError
from fasgen.reader import (
    BalancedSampler,
    Draw,
    FasIndex,
    JointAugment,
    SampleDecoder,
    SampleTable,
    SubjectSampler,
    collate,
)
from fasgen.reader.queues import Queue

Packed = Callable[..., Path]


def table(*cells: tuple[str, str, int | None, int, bool]) -> SampleTable:
    """A table with, for each (dataset, subject, label, count, synthetic), so many samples."""
    metas: list[dict[str, Any]] = []
    for dataset, subject, label, count, synthetic in cells:
        for _ in range(count):
            meta = {"dataset": dataset, "subject": subject, "label_index": label, "synthetic": synthetic}
            metas.append({**meta, "sample_id": f"{len(metas):016x}"})
    return SampleTable.of_metas(metas)


def domains(counts: list[tuple[int, int, int]]) -> SampleTable:
    """Data sets with (live, photographed spoof, synthetic spoof) samples, and some of unknown label."""
    cells: list[tuple[str, str, int | None, int, bool]] = [("d0", "", None, 3, False)]
    for number, (live, spoof, made) in enumerate(counts):
        name = f"d{number}"
        cells += [(name, "", 1, live, False), (name, "", 0, spoof, False), (name, "", 0, made, True)]
    return table(*cells)


sizes = st.lists(st.tuples(*[st.integers(1, 13)] * 3), min_size=1, max_size=4)


@given(st.integers(1, 40), st.integers(0, 9), st.integers(0, 12), st.integers(0, 200), st.integers(1, 30))
def test_a_queue_gives_every_sample_once_a_pass_from_any_place(
    size: int, seed: int, window: int, start: int, count: int
) -> None:
    numbers = np.random.default_rng(size).permutation(100)[:size]
    queue = Queue(numbers, seed, "g", window)
    for number in (0, 1, 7):
        assert sorted(queue.order(number)) == sorted(numbers)
    whole = Queue(numbers, seed, "g", window).take(0, start + count)
    assert queue.take(start, count) == whole[start:]
    assert len(set(whole)) == len(whole)


def test_orders_differ_by_seed_name_and_pass() -> None:
    orders = [Queue(range(50), seed, name).order(number).tolist() for seed in (0, 1) for name in "ab" for number in (0, 1)]
    assert len({tuple(order) for order in orders}) == 8


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 5))
def test_a_window_keeps_neighbours_together(size: int, window: int, number: int) -> None:
    order = Queue(range(size), 3, "g", window).order(number)
    runs, at = [], 0
    while at < size:
        stop = max(b for b in range(at + 1, min(at + window, size) + 1) if np.ptp(order[at:b]) < window)
        runs.append(stop - at)
        at = stop
    assert len(runs) <= size // window + 2


@given(sizes, st.integers(1, 4), st.integers(1, 3), st.integers(0, 5), st.integers(0, 9))
def test_balanced_in_every_batch(counts: list[tuple[int, int, int]], each: int, world: int, seed: int, step: int) -> None:
    data = domains(counts)
    batch = 2 * each * len(counts)
    for rank in range(world):
        draws = BalancedSampler(data, batch, by="dataset", seed=seed, rank=rank, world=world).at(step)
        seen = Counter((data.dataset[d.number], int(data.label[d.number])) for d in draws)
        assert len(draws) == batch and set(seen.values()) == {each} and len(seen) == 2 * len(counts)


@given(sizes, st.integers(1, 4), st.integers(1, 3), st.integers(1, 40))
def test_every_sample_of_a_group_comes_equally_often_over_all_ranks(
    counts: list[tuple[int, int, int]], each: int, world: int, steps: int
) -> None:
    data = domains(counts)
    samplers = [
        BalancedSampler(data, 2 * each * len(counts), by="dataset", rank=r, world=world, steps=steps) for r in range(world)
    ]
    draws = [draw for sampler in samplers for batch in sampler for draw in batch]
    assert len(set(draws)) == len(draws)
    for name, domain in data.take(data.label >= 0).groups("dataset"):
        for label in (0, 1):
            group = domain.take(domain.label == label).number.tolist()
            seen = Counter(d.number for d in draws if d.number in group)
            often = [seen[number] for number in group]
            assert max(often) - min(often) <= 1, name
            if steps >= samplers[0].epoch:
                assert min(often) >= 1


@given(sizes, st.integers(1, 5), st.floats(0, 1), st.integers(0, 60), st.integers(1, 3))
def test_share_of_synthetic_samples(
    counts: list[tuple[int, int, int]], each: int, share: float, steps: int, world: int
) -> None:
    data = domains(counts)
    made = total = 0
    for number in range(steps):
        sampler = BalancedSampler(data, 2 * each * len(counts), by="dataset", synthetic=share, rank=number % world, world=world)
        draws = sampler.at(number // world)
        seen = Counter((int(data.label[d.number]), bool(data.synthetic[d.number])) for d in draws)
        assert seen[1, False] == each * len(counts) == seen[0, False] + seen[0, True]
        made, total = made + seen[0, True], total + each * len(counts)
        assert abs(made - share * total) <= len(counts) * (1 + 1e-4 * total)


def test_all_and_no_synthetic_samples_and_no_matter() -> None:
    data = table(("a", "", 1, 4, False), ("a", "", 0, 4, False), ("a", "", 0, 4, True))

    def kinds(share: float | None) -> set[bool]:
        sampler = BalancedSampler(data, 8, synthetic=share, steps=5)
        return {bool(data.synthetic[d.number]) for batch in sampler for d in batch if data.label[d.number] == 0}

    assert kinds(0.0) == {False} and kinds(1.0) == {True} and kinds(None) == {False, True}


@given(sizes, st.integers(0, 30), st.integers(1, 10), st.integers(0, 5))
def test_resumes_at_any_step(counts: list[tuple[int, int, int]], start: int, steps: int, window: int) -> None:
    data = domains(counts)
    batch = 4 * len(counts)
    whole = list(BalancedSampler(data, batch, by="dataset", synthetic=0.3, window=window, steps=start + steps))
    rest = BalancedSampler(data, batch, by="dataset", synthetic=0.3, window=window, start=start, steps=start + steps)
    assert list(rest) == whole[start:] and len(rest) == steps


people = st.lists(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=7), min_size=1, max_size=3)


@given(people, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 12), st.integers(1, 2))
def test_subjects_of_every_data_set(
    counts: list[list[tuple[int, int]]], subjects: int, live: int, spoof: int, step: int, world: int
) -> None:
    cells = [
        (f"d{n}", f"d{n}/s{k}", label, amount, False)
        for n, group in enumerate(counts)
        for k, pair in enumerate(group)
        for label, amount in zip((1, 0), pair, strict=True)
    ]
    data = table(*cells)
    complete = [sum(min(pair) > 0 for pair in group) for group in counts if any(map(sum, group))]
    if not complete or min(complete) < subjects:
        with pytest.raises(ConfigError):
            SubjectSampler(data, subjects=subjects, live=live, spoof=spoof)
        return
    for rank in range(world):
        sampler = SubjectSampler(data, subjects=subjects, live=live, spoof=spoof, rank=rank, world=world)
        draws = sampler.at(step)
        assert len(draws) == sampler.batch == subjects * (live + spoof) * len(complete)
        seen = Counter((data.subject[d.number], int(data.label[d.number])) for d in draws)
        assert all(amount == (live if label else spoof) for (_, label), amount in seen.items())
        assert Counter(s.split("/")[0] for s, _ in seen) == {
            f"d{n}": 2 * subjects for n, g in enumerate(counts) if any(map(sum, g))
        }
        assert len(set(draws)) == len(draws)
    left = {f"d{n}/s{k}" for n, g in enumerate(counts) for k, pair in enumerate(g) if sum(pair) and not min(pair)}
    assert set(sampler.left_out) == left


@given(st.floats(0, 1), st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_each_subject_has_its_share_of_synthetic_spoofs(share: float, spoof: int, steps: int, real: int, made: int) -> None:
    data = table(
        *[
            c
            for k in range(2)
            for c in (("d", f"d/{k}", 1, 3, False), ("d", f"d/{k}", 0, real, False), ("d", f"d/{k}", 0, made, True))
        ]
    )
    sampler = SubjectSampler(data, subjects=1, live=1, spoof=spoof, synthetic=share, steps=steps)
    drawn: Counter[tuple[str, bool]] = Counter()
    for batch in sampler:
        [*spoofs] = [d.number for d in batch if data.label[d.number] == 0]
        assert len(spoofs) == spoof
        drawn.update((data.subject[n], bool(data.synthetic[n])) for n in spoofs)
    for k in range(2):
        total = drawn[f"d/{k}", True] + drawn[f"d/{k}", False]
        assert abs(drawn[f"d/{k}", True] - share * total) <= 1 + 1e-4 * total
    assert not sampler.left_out and not sampler.stood_in


def test_people_with_one_kind_of_spoof_stand_in_with_it() -> None:
    kinds = {"d/both": (False, True), "d/real": (False,), "d/made": (True,), "d/none": ()}
    cells: list[tuple[str, str, int | None, int, bool]] = [("d", name, 1, 2, False) for name in kinds]
    cells += [("d", name, 0, 2, synthetic) for name, which in kinds.items() for synthetic in which]
    data = table(*cells)

    def sampled(share: float | None) -> tuple[SubjectSampler, set[tuple[str, bool]]]:
        sampler = SubjectSampler(data, subjects=1, live=1, spoof=2, synthetic=share, steps=12)
        numbers = [d.number for batch in sampler for d in batch if data.label[d.number] == 0]
        return sampler, {(str(data.subject[n]), bool(data.synthetic[n])) for n in numbers}

    half, drawn = sampled(0.5)
    assert half.stood_in == {"d/real": "photographed", "d/made": "synthetic"} and set(half.left_out) == {"d/none"}
    assert drawn == {("d/both", False), ("d/both", True), ("d/real", False), ("d/made", True)}
    none, drawn = sampled(0.0)
    assert drawn == {("d/both", False), ("d/real", False)} and none.left_out["d/made"] == "no photographed spoof sample"
    every, drawn = sampled(1.0)
    assert drawn == {("d/both", True), ("d/made", True)} and every.left_out["d/real"] == "no synthetic spoof sample"
    assert sampled(None)[0].stood_in == {}


@given(sizes, st.integers(1, 3), st.integers(1, 4), st.floats(0, 1), st.integers(0, 20))
def test_the_ranks_together_draw_what_one_alone_would(
    counts: list[tuple[int, int, int]], each: int, world: int, share: float, step: int
) -> None:
    data = domains(counts)

    def at(batch: int, rank: int, ranks: int) -> list[Draw]:
        return BalancedSampler(data, batch, by="dataset", synthetic=share, rank=rank, world=ranks).at(step)

    parts = [at(2 * each * len(counts), rank, world) for rank in range(world)]
    assert Counter(d for part in parts for d in part) == Counter(at(2 * each * world * len(counts), 0, 1))


def test_subjects_come_equally_often_and_samples_too() -> None:
    data = table(*[("d", f"d/s{k}", label, 6, False) for k in range(8) for label in (0, 1)])
    sampler = SubjectSampler(data, subjects=4, live=3, spoof=2, steps=12)
    draws = [draw for batch in sampler for draw in batch]
    live = Counter(d.number for d in draws if data.label[d.number] == 1)
    assert len(live) == 48 and set(live.values()) == {3}  # 12 steps of 4 subjects are 6 visits each, of 3 of 6 samples
    assert len(set(draws)) == len(draws)


def test_ranks_never_share_a_subject_within_a_pass() -> None:
    data = table(*[("d", f"d/s{k}", label, 2, False) for k in range(8) for label in (0, 1)])
    for step in range(3):
        chosen = [
            {data.subject[d.number] for d in SubjectSampler(data, subjects=4, live=1, spoof=1, rank=r, world=2).at(step)}
            for r in (0, 1)
        ]
        assert not chosen[0] & chosen[1]


def test_samples_without_a_subject_are_counted() -> None:
    data = table(("d", "", 1, 5, False), ("d", "d/a", 1, 2, False), ("d", "d/a", 0, 2, False))
    assert SubjectSampler(data, subjects=1).left_out == {"d: no subject": "5 samples"}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_gives_what_was_drawn_whatever_the_workers(packed: Packed, workers: int) -> None:
    decoder = SampleDecoder(augment=JointAugment(degrees=10), seed=4)
    index = FasIndex(packed([5, 6, 4]), decoder)
    sampler = BalancedSampler(SampleTable.of(index), 6, start=2, steps=8)
    batches = list(DataLoader(index, batch_sampler=sampler, num_workers=workers, collate_fn=collate))
    for step, batch in enumerate(batches, 2):
        draws = sampler.at(step)
        assert [meta["number"] for meta in batch["meta"]] == [d.number for d in draws]
        assert batch["label"].tolist() == [1] * 3 + [0] * 3
        expected = torch.stack([decoder(index.raw(d.number), d.variant)["image"] for d in draws])  # type: ignore[index]
        assert torch.equal(batch["image"], expected)


def test_draws_are_augmented_by_their_pass_and_plain_numbers_by_the_epoch(packed: Packed) -> None:
    index = FasIndex(packed([2]), SampleDecoder(augment=JointAugment(degrees=20)))
    first = index[Draw(0, 0)]["image"]
    assert torch.equal(first, index[0]["image"]) and not torch.equal(first, index[Draw(0, 1)]["image"])
    index.epoch = 1
    assert torch.equal(index[0]["image"], index[Draw(0, 1)]["image"])


@pytest.mark.parametrize("augment", [None, JointAugment(flip=0.5, degrees=5)])
def test_kept_samples_equal_those_read_anew_and_cannot_be_spoilt(packed: Packed, augment: JointAugment | None) -> None:
    folder = packed([4])
    decoder = SampleDecoder(augment=augment, size=(12, 12), cue_scale="levels")
    kept, plain = FasIndex(folder, decoder, keep=True), FasIndex(folder, decoder)
    for draw in (Draw(1, 0), Draw(1, 0), Draw(1, 3)):
        sample = kept[draw]
        assert torch.equal(sample["image"], plain[draw]["image"]) and torch.equal(sample["residual"], plain[draw]["residual"])
        sample["image"].zero_()
        sample["residual"].zero_()


@pytest.mark.parametrize("keep", [True, False])
def test_the_same_samples_unaugmented(packed: Packed, keep: bool) -> None:
    folder = packed([3])
    index = FasIndex(folder, SampleDecoder(augment=JointAugment(degrees=20)), keep=keep)
    moved, plain = index[1]["image"], index.unaugmented()
    assert torch.equal(plain[Draw(1, 5)]["image"], FasIndex(folder)[1]["image"])
    plain[1]["image"].zero_()
    plain.close()
    assert torch.equal(index[1]["image"], moved) and torch.equal(plain[1]["image"], FasIndex(folder)[1]["image"])


def test_the_table_of_packed_shards(packed: Packed) -> None:
    index = FasIndex(packed([3, 4]))
    data = SampleTable.of(index)
    assert data.number.tolist() == list(range(7)) and data.label.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert set(data.split) == {"train", "test"} and set(data.subject) == {""} and np.isnan(data.brisque).all()
    train = data.take(data.split == "train")
    assert train.number.tolist() == [1, 2, 3, 4, 6] and train.sample_id[0] == f"{1:016x}"
    with pytest.raises(ConfigError, match="'colour'"):
        list(data.groups("colour"))


def test_what_cannot_be_drawn_is_refused() -> None:
    data = domains([(2, 2, 0), (2, 2, 2)])
    with pytest.raises(ConfigError, match="a multiple of 4"):
        BalancedSampler(data, 6, by="dataset")
    with pytest.raises(ConfigError, match="'d0' has no synthetic spoof"):
        BalancedSampler(data, 4, by="dataset", synthetic=0.5)
    with pytest.raises(ConfigError, match="has no live"):
        BalancedSampler(table(("a", "", 0, 3, False)), 2)
    with pytest.raises(ConfigError, match="share in"):
        BalancedSampler(data, 4, synthetic=1.5)
    with pytest.raises(ConfigError, match="start is 3"):
        BalancedSampler(data, 4, start=3, steps=2)
    with pytest.raises(ConfigError, match="at least 1"):
        SubjectSampler(data, live=0)
    with pytest.raises(TypeError, match="for ever"):
        len(BalancedSampler(data, 4))


def test_domains_of_live_faces_alone_and_parts_of_a_batch() -> None:
    """Of five parts of ten draws: two of the first domain's live, two of its spoofs, one of the second, which is live alone."""
    some = table(("a", "", 1, 8, False), ("a", "", 0, 8, False), ("wild", "", 1, 9, False), ("wild", "", 0, 3, False))
    sampler = BalancedSampler(some, 10, by="dataset", mix={"a": 2}, live_only=("wild",), world=1, rank=0)
    drawn = [draw.number for step in range(6) for draw in sampler.at(step)]
    kinds = Counter((some.dataset[number], int(some.label[number])) for number in drawn)
    assert kinds == {("a", 1): 24, ("a", 0): 24, ("wild", 1): 12}
    # Nine live faces of the second domain take five steps, eight of the first two.
    assert sampler.epoch == 5
    for changes, words in (
        ({"mix": {"b": 2}}, "names the domain 'b'; there are: a, wild"),
        ({"mix": {"a": 0}}, "mix must be 1 or more"),
        ({"live_only": ("a", "wild")}, "one domain at least must give spoofs"),
        ({"mix": {"a": 2, "wild": 2}}, "need a multiple of 8"),
    ):
        with pytest.raises(ConfigError, match=words):
            BalancedSampler(some, 10, by="dataset", world=1, rank=0, **changes)  # type: ignore[arg-type]
