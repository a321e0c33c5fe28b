"""Confidence intervals that hold for few samples: exact ones of rates, of means of two rates, and of an AUC of 1.

Neighbouring frames, and the clips of one person, are no independent trials. A rate therefore counts as one over so many
trials as there are people (clips where people are unknown, stills where there are none): the design effect of Korn and
Graubard (1998) at its largest. Where every sample is of a person of its own, this is the plain interval; else it errs
on the wide side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

Interval = tuple[float, float]
NOTHING: Interval = (math.nan, math.nan)


def clopper_pearson(rate: float, trials: float, level: float = 0.95) -> Interval:
    """Exact interval of a rate over independent trials (Clopper and Pearson 1934), from quantiles of the beta distribution.

    Args:
        rate: in [0, 1]; ``rate * trials`` need be no whole number.
        trials: how many.
        level: of confidence.

    Returns:
        lower and upper end; NaN where the rate is NaN or there is no trial.
    """
    if math.isnan(rate) or trials <= 0:
        return NOTHING
    tail, hits = (1 - level) / 2, rate * trials
    misses = trials - hits
    low = 0.0 if hits <= 0 else _root(lambda p: _beta_cdf(p, hits, misses + 1) - tail)
    high = 1.0 if misses <= 0 else _root(lambda p: _beta_cdf(p, hits + 1, misses) - (1 - tail))
    return low, high


def mean_of_two(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of ``(a + b) / 2`` from those of two independent estimates (MOVER; Zou and Donner 2008), as HTER and ACER need.

    Unlike a bootstrap, it has a width where neither rate has an error.
    """
    middle = (a + b) / 2
    low = middle - math.hypot(a - of_a[0], b - of_b[0]) / 2
    high = middle + math.hypot(of_a[1] - a, of_b[1] - b) / 2
    return (max(low, 0.0), min(high, 1.0)) if not math.isnan(low + high) else NOTHING


def score_interval_of_auc(auc: float, live: int, spoof: int, level: float = 0.95) -> Interval:
    """Interval of an AUC from its value alone (Newcombe 2006, method 5).

    Where no live sample scores below a spoof one, resampling gives 1 every time; this interval still has a width.
    """
    if math.isnan(auc) or not live or not spoof:
        return NOTHING
    z = NormalDist().inv_cdf((1 + level) / 2)
    others = (live + spoof) / 2 - 1

    def surplus(theta: float) -> float:
        inner = 1 + others * (1 - theta) / (2 - theta) + others * theta / (1 + theta)
        return abs(auc - theta) - z * math.sqrt(max(theta * (1 - theta) * inner, 0.0) / (live * spoof))

    low = 0.0 if auc <= 0 else _root(lambda theta: -surplus(theta), 0.0, auc)
    high = 1.0 if auc >= 1 else _root(surplus, auc, 1.0)
    return low, high


def _root(rising: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Where a function that rises from below 0 to above it has its root."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function ``I_x(a, b)``, by its continued fraction (Lentz's way)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    fraction = d
    for m in range(1, 10_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction / a
