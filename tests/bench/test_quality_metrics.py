"""Figures of merit of the quality evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.quality.live import spread
from bench.quality.metrics import Distribution, auc, psnr

SCORES = arrays(np.float64, st.integers(1, 30), elements=st.integers(-3, 3).map(float))


@given(SCORES, SCORES)
def test_auc_is_the_share_of_ordered_pairs(positives: np.ndarray, negatives: np.ndarray) -> None:
    difference = positives[:, None] - negatives[None]
    assert auc(positives, negatives) == pytest.approx(float(((difference > 0) + 0.5 * (difference == 0)).mean()))


@given(SCORES, SCORES)
def test_auc_of_the_exchanged_kinds_is_the_complement(positives: np.ndarray, negatives: np.ndarray) -> None:
    assert auc(positives, negatives) + auc(negatives, positives) == pytest.approx(1)


def test_auc_wants_both_kinds() -> None:
    with pytest.raises(ValueError, match="3 and 0"):
        auc(np.zeros(3), np.zeros(0))


def test_distribution() -> None:
    found = Distribution.of(np.arange(101.0))
    assert (found.count, found.mean) == (101, 50)
    assert found.quantiles == {5: 5, 25: 25, 50: 50, 75: 75, 95: 95}
    assert found.sd == pytest.approx(np.arange(101).std())
    with pytest.raises(ValueError, match="at least one"):
        Distribution.of(np.zeros(0))


def test_psnr() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] = 10
    assert psnr(black, other).tolist() == [np.inf, pytest.approx(20 * np.log10(25.5))]


@given(st.integers(1, 500), st.integers(1, 600) | st.none())
def test_spread_is_even(count: int, limit: int | None) -> None:
    chosen = spread(count, limit)
    assert len(chosen) == min(count, limit or count)
    assert chosen[0] == 0
    assert chosen[-1] < count
    steps = np.diff(chosen)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)
