"""Intervals for few samples, against scipy and what they are defined by."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from fasgen.downstream.intervals import clopper_pearson, mean_of_two, score_interval_of_auc


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (0, 10), (1, 10), (5, 10), (10, 10), (3, 47), (480, 600), (1, 100_000)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_clopper_and_pearson_as_scipy_has_them(hits: int, trials: int, level: float) -> None:
    wanted = binomtest(hits, trials).proportion_ci(level, method="exact")
    assert clopper_pearson(hits / trials, trials, level) == pytest.approx((wanted.low, wanted.high), rel=1e-8, abs=1e-12)


def test_the_rule_of_three_and_parts_of_a_trial() -> None:
    low, high = clopper_pearson(0.0, 60)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 60))
    assert clopper_pearson(0.15, 10) == pytest.approx((beta.ppf(0.025, 1.5, 9.5), beta.ppf(0.975, 2.5, 8.5)), rel=1e-8)
    assert all(map(math.isnan, clopper_pearson(math.nan, 10))) and all(map(math.isnan, clopper_pearson(0.5, 0)))


@given(st.integers(1, 300), st.data())
def test_a_rate_lies_in_its_interval_and_more_trials_narrow_it(trials: int, data: st.DataObject) -> None:
    rate = data.draw(st.integers(0, trials)) / trials
    low, high = clopper_pearson(rate, trials)
    assert 0 <= low <= rate <= high <= 1
    closer = clopper_pearson(rate, 4 * trials)
    assert low <= closer[0] + 1e-12 and closer[1] <= high + 1e-12


def test_the_mean_of_two_rates() -> None:
    """One of them known for sure leaves half of the other's interval; two alike leave it by the square root of two."""
    assert mean_of_two(0.2, (0.1, 0.4), 0.0, (0.0, 0.0)) == pytest.approx((0.05, 0.2))
    assert mean_of_two(0.2, (0.1, 0.4), 0.2, (0.1, 0.4)) == pytest.approx((0.2 - 0.1 / 2**0.5, 0.2 + 0.2 / 2**0.5))
    low, high = mean_of_two(0.0, clopper_pearson(0, 20), 0.0, clopper_pearson(0, 20))
    assert low == 0 and 0.05 < high < 0.2, "without an error it still has a width"


def test_an_auc_of_one_has_a_width() -> None:
    low, high = score_interval_of_auc(1.0, 20, 30)
    assert high == 1 and 0.85 < low < 1
    z = NormalDist().inv_cdf(0.975)
    # The end is where the AUC lies z of its own standard errors away (Hanley and McNeil's variance, both sizes at their mean).
    q1, q2, n = low / (2 - low), 2 * low**2 / (1 + low), 25
    variance = (low * (1 - low) + (n - 1) * (q1 - low**2) + (n - 1) * (q2 - low**2)) / (20 * 30)
    assert 1 - low == pytest.approx(z * variance**0.5, rel=1e-6)
    mirrored = score_interval_of_auc(0.2, 20, 30)
    assert mirrored == pytest.approx(tuple(1 - np.array(score_interval_of_auc(0.8, 20, 30))[::-1]), abs=0.02)
