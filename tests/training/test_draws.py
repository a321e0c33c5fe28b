"""Draws of a step: they follow from seed, step and rank, spread as they should, and many lists are drawn from at once."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.training.draws import CPU, Lists, chance, coins, seed_of, strata


def coin(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_purpose_step_and_rank_has_a_seed_of_its_own() -> None:
    seeds = {
        seed_of(word, seed, step, rank) for word in ("a", "b") for seed in range(5) for step in range(50) for rank in range(4)
    }
    assert len(seeds) == 2 * 5 * 50 * 4 and all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of("a", 0, 7, 1) == seed_of("a", 0, 7, 1)


def test_pictures_and_views_are_drawn_apart() -> None:
    pictures, views = coins(0, 3, 1, CPU)
    again, _ = coins(0, 3, 1, CPU)
    first = torch.rand(9, generator=pictures)
    assert torch.equal(first, torch.rand(9, generator=again)) and not torch.equal(first, torch.rand(9, generator=views))


@given(st.integers(1, 300), st.integers(0, 2**31))
def test_one_draw_falls_in_each_stratum(count: int, seed: int) -> None:
    share = strata(count, coin(seed))
    assert float(share.min()) >= 0 and float(share.max()) <= 1
    # Rounding may lift a draw at the very end of its stratum into the next.
    assert (share.double().sort().values - (torch.arange(count) + 0.5) / count).abs().max() <= 0.5 / count + 1e-6


def test_strata_come_in_any_order() -> None:
    orders = {tuple(strata(3, coin(seed)).argsort().tolist()) for seed in range(100)}
    assert len(orders) == 6


def test_chance_is_a_share() -> None:
    assert 0.27 < float(chance(10_000, 0.3, coin(0)).float().mean()) < 0.33
    assert not chance(100, 0.0, coin(0)).any() and bool(chance(100, 1.0, coin(0)).all())


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), min_size=1, max_size=6), st.integers(0, 2**31))
def test_a_draw_is_out_of_its_list(lists: list[list[int]], seed: int) -> None:
    table = Lists(lists)
    which = table.any(50, coin(seed))
    assert len(table) == len(lists)
    for number, drawn in zip(which.tolist(), table.draw(which, coin(seed)).tolist(), strict=True):
        assert drawn in lists[number]


def test_lists_and_members_are_as_likely_as_any_other() -> None:
    table = Lists([[1], [2, 3], [4, 5, 6]])
    which = table.any(30_000, coin(0))
    drawn = Counter(table.draw(which, coin(1)).tolist())
    for number, share in ((1, 1 / 3), (2, 1 / 6), (3, 1 / 6), (4, 1 / 9), (5, 1 / 9), (6, 1 / 9)):
        assert drawn[number] / 30_000 == pytest.approx(share, abs=0.01)
