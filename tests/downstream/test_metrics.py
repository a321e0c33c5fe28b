"""Metrics against hand-computed tables and scikit-learn; ties, single classes, weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.downstream import metrics
from fasgen.errors import ConfigError

# live: 0.9 0.8 0.6 0.3; spoof: 0.7 0.4 0.2 0.1
LABELS = [1, 1, 1, 1, 0, 0, 0, 0]
SCORES = [0.9, 0.8, 0.6, 0.3, 0.7, 0.4, 0.2, 0.1]

# Coarse scores, so that ties are common, within a class and between classes.
tables = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=1, max_size=40)
both = tables.filter(lambda rows: len({label for label, _ in rows}) == 2)


def split(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(rows)
    return array[:, 0], array[:, 1] / 10


def test_hand_computed_roc_and_auc() -> None:
    points = metrics.roc(LABELS, SCORES)
    assert points.far.tolist() == [0, 0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 1]
    assert points.tpr.tolist() == [0, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 1]
    assert points.thresholds[1:-1] == pytest.approx([0.85, 0.75, 0.65, 0.5, 0.35, 0.25, 0.15])
    # Pairs won by live: 0.9 and 0.8 win four each, 0.6 three, 0.3 two, of sixteen.
    assert metrics.auc(points) == 13 / 16


def test_hand_computed_eer_and_rates() -> None:
    points = metrics.roc(LABELS, SCORES)
    assert metrics.eer(points) == 0.25
    threshold = metrics.eer_threshold(points)
    assert threshold == pytest.approx(0.5)
    found = metrics.rates(LABELS, SCORES, threshold, ["", "", "", "", "replay", "print", "print", "replay"])
    assert found.bpcer == 0.25 and found.far == 0.25 and found.hter == 0.25
    assert found.apcer_of == {"print": 0.0, "replay": 0.5} and found.apcer == 0.5
    assert found.acer == pytest.approx((0.5 + 0.25) / 2)


def test_a_score_at_the_threshold_is_accepted() -> None:
    found = metrics.rates([1, 0], [0.5, 0.5], 0.5)
    assert (found.bpcer, found.far) == (0.0, 1.0)


def test_tpr_at_fpr_does_not_interpolate() -> None:
    assert metrics.tpr_at_fpr(metrics.roc(LABELS, SCORES)) == 0.5
    labels, scores = [1] * 10 + [0] * 200, [*range(300, 310), *range(200)]
    scores[0] = 199.5  # above all spoof but for none
    assert metrics.tpr_at_fpr(metrics.roc(labels, scores)) == 1.0
    scores[0] = 198.5  # below one spoof sample of 200: exactly at 0.5 %
    assert metrics.tpr_at_fpr(metrics.roc(labels, scores), 0.005) == 1.0
    assert metrics.tpr_at_fpr(metrics.roc(labels, scores), 0.0049) == 0.9


@settings(max_examples=40)
@given(both)
def test_equals_scikit_learn(rows: list[tuple[int, int]]) -> None:
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq
    from sklearn.metrics import roc_auc_score, roc_curve

    labels, scores = split(rows)
    points = metrics.roc(labels, scores)
    assert metrics.auc(points) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(np.unique(np.stack([points.far, points.tpr], 1), axis=0), np.unique(np.stack([fpr, tpr], 1), axis=0))
    # Among points of the same FPR the interpolation is ambiguous, so FPR and FNR are compared along the polyline's length.
    s = np.arange(points.far.size, dtype=float)
    root = brentq(interp1d(s, points.far - (1 - points.tpr)), 0, s[-1])
    assert metrics.eer(points) == pytest.approx(float(interp1d(s, points.far)(root)), abs=1e-9)
    assert metrics.tpr_at_fpr(points, 0.3) == pytest.approx(tpr[fpr <= 0.3].max())


@given(both)
def test_threshold_of_the_eer_is_the_best_there_is(rows: list[tuple[int, int]]) -> None:
    labels, scores = split(rows)
    points = metrics.roc(labels, scores)
    found = metrics.rates(labels, scores, metrics.eer_threshold(points))
    gaps = [abs(metrics.rates(labels, scores, t).far - metrics.rates(labels, scores, t).bpcer) for t in points.thresholds]
    assert abs(found.far - found.bpcer) == pytest.approx(min(gaps))
    assert min(gaps) / 2 - 1e-9 <= found.hter <= 1


@given(both)
def test_operating_points_are_what_their_thresholds_give(rows: list[tuple[int, int]]) -> None:
    labels, scores = split(rows)
    points = metrics.roc(labels, scores)
    for threshold, far, tpr in zip(points.thresholds, points.far, points.tpr, strict=True):
        found = metrics.rates(labels, scores, float(threshold))
        assert (found.far, 1 - found.bpcer) == pytest.approx((far, tpr))


def test_neighbouring_floats_keep_their_points_apart() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    points = metrics.roc([1, 0], [high, low])
    found = metrics.rates([1, 0], [high, low], metrics.eer_threshold(points))
    assert found.hter == 0.0


@given(both, st.integers(0, 2**31))
def test_weights_are_repetitions(rows: list[tuple[int, int]], seed: int) -> None:
    labels, scores = split(rows)
    weights = np.random.default_rng(seed).integers(0, 3, labels.size)
    weights[[int(np.argmax(labels)), int(np.argmin(labels))]] = 1
    weighted = metrics.Ranking(labels, scores).roc(weights)
    repeated = metrics.roc(np.repeat(labels, weights), np.repeat(scores, weights))
    assert metrics.auc(weighted) == pytest.approx(metrics.auc(repeated))
    assert metrics.eer(weighted) == pytest.approx(metrics.eer(repeated))
    kinds = np.where(labels == 1, "", np.where(scores > 0, "a", "b"))
    one = metrics.rates(labels, scores, 0.05, kinds, weights)
    two = metrics.rates(np.repeat(labels, weights), np.repeat(scores, weights), 0.05, np.repeat(kinds, weights))
    assert (one.hter, one.acer) == pytest.approx((two.hter, two.acer))


def test_all_tied_is_chance() -> None:
    points = metrics.roc([1, 0, 1, 0, 0], [2.0] * 5)
    assert metrics.auc(points) == 0.5 and metrics.eer(points) == 0.5


@pytest.mark.parametrize(("label", "known"), [(1, "bpcer"), (0, "far")])
def test_a_single_class_gives_nan_for_what_needs_the_other(label: int, known: str) -> None:
    labels, scores = [label] * 3, [0.1, 0.5, 0.9]
    points = metrics.roc(labels, scores)
    assert all(
        math.isnan(f(points)) for f in (metrics.auc, metrics.eer, metrics.eer_threshold, metrics.tpr_at_fpr, metrics.tdr_at_fdr)
    )
    found = metrics.rates(labels, scores, 0.5)
    assert getattr(found, known) == pytest.approx(1 / 3 if label else 2 / 3)
    assert math.isnan(found.hter) and math.isnan(found.acer)
    assert math.isnan(metrics.rates(labels, scores, math.nan).bpcer)


def test_video_means_and_their_order() -> None:
    labels, means, first = metrics.video_means(["b", "a", "b", "a", "c"], [0, 1, 0, 1, 1], [0.0, 1.0, 1.0, 0.5, 0.2])
    assert labels.tolist() == [0, 1, 1] and means.tolist() == [0.5, 0.75, 0.2] and first.tolist() == [0, 1, 4]
    with pytest.raises(ConfigError, match="'v' has live and spoof frames"):
        metrics.video_means(["v", "v"], [0, 1], [0, 1])


def test_bootstrap_draws_whole_clusters_within_classes() -> None:
    labels = np.array([1, 1, 1, 1, 0, 0, 0])
    clusters = ["a", "a", "b", "c", "d", "e", "e"]
    drawn = np.array(list(metrics.draws(labels, clusters, 500, 0)))
    assert drawn.shape == (500, 7)
    assert (drawn[:, 0] == drawn[:, 1]).all() and (drawn[:, 5] == drawn[:, 6]).all()
    assert (drawn[:, [0, 2, 3]].sum(1) == 3).all() and (drawn[:, [4, 5]].sum(1) == 2).all()
    assert np.abs(drawn.mean(0) - 1).max() < 0.15
    assert np.array_equal(drawn, list(metrics.draws(labels, clusters, 500, 0)))


def test_interval_covers_the_spread_of_a_mean() -> None:
    # 400 live samples of which a quarter is rejected: the standard error of BPCER is sqrt(0.25 * 0.75 / 400).
    labels = np.ones(400, int)
    scores = np.where(np.arange(400) % 4 == 0, 0.0, 1.0)
    rates = [
        metrics.rates(labels, scores, 0.5, weights=w).bpcer for w in metrics.draws(labels, np.arange(400).astype(str), 2000, 1)
    ]
    low, high = metrics.interval(rates)
    error = math.sqrt(0.25 * 0.75 / 400)
    assert low == pytest.approx(0.25 - 1.96 * error, abs=0.004) and high == pytest.approx(0.25 + 1.96 * error, abs=0.004)


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [([], [], "not empty"), ([1, 0], [0.1], "same length"), ([1, 2], [0, 1], "neither"), ([1, 0], [0, math.nan], "number 1")],
)
def test_what_cannot_be_scored_is_refused(labels: list[int], scores: list[float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        metrics.roc(labels, scores)


def test_tdr_detects_spoofs_where_tpr_passes_live() -> None:
    live, spoof = [0.9, 0.8, 0.7, 0.2], [0.1, 0.15, 0.5, 0.75]
    points = metrics.roc([1] * 4 + [0] * 4, live + spoof)
    # No live sample may be taken for a spoof: two spoofs lie below them all. One in four: all but the one at 0.75.
    assert metrics.tdr_at_fdr(points, 0.1) == 0.5 and metrics.tdr_at_fdr(points, 0.25) == 0.75
    # As detection of live under the roles changed over.
    swapped = metrics.roc([0] * 4 + [1] * 4, [-score for score in live + spoof])
    assert metrics.tdr_at_fdr(points, 0.25) == metrics.tpr_at_fpr(swapped, 0.25)
