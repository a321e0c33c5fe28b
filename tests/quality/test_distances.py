"""Each formula against what is known of it: Gaussians in closed form, an unbiased estimate, sets made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.quality.distances import compare, fid, kid, manifolds, nearest


def whitened(count: int, width: int, seed: int) -> np.ndarray:
    """Rows with mean 0 and covariance 1, exactly."""
    x = np.random.default_rng(seed).normal(size=(count, width))
    x -= x.mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / (count - 1))
    return x @ vectors / np.sqrt(values)


def spd(width: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(width, width))
    return a @ a.T + np.eye(width)


def rooted(c: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return (vectors * np.sqrt(values)) @ vectors.T


def test_fid_of_gaussians_is_that_of_the_closed_form() -> None:
    c, d, shift = spd(5, 1), spd(5, 2), np.arange(5.0)
    real, made = whitened(40, 5, 3) @ rooted(c), whitened(60, 5, 4) @ rooted(d) + shift
    wanted = shift @ shift + np.trace(c + d - 2 * rooted(rooted(c) @ d @ rooted(c)))
    assert fid(real, made) == pytest.approx(wanted, rel=1e-9)
    # Of variances alone it is the sum of the squared differences of deviations.
    x = whitened(30, 4, 5)
    assert fid(x * [1, 2, 3, 4], x * [2, 2, 5, 1]) == pytest.approx(1 + 0 + 4 + 9)


def test_fid_of_fewer_pictures_than_features() -> None:
    scipy = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(12, 30)), rng.normal(size=(9, 30)) + 0.3
    c, d = np.cov(real.T), np.cov(made.T)
    root = np.real(scipy.sqrtm(c @ d + 1e-12 * np.eye(30)))
    wanted = ((real.mean(0) - made.mean(0)) ** 2).sum() + np.trace(c + d - 2 * root)
    assert fid(real, made) == pytest.approx(wanted, rel=1e-3)
    assert fid(real, real) == pytest.approx(0, abs=1e-9)


@given(st.integers(2, 7), st.integers(2, 7), st.integers(1, 4))
def test_kid_is_the_mean_over_pairs(n: int, m: int, width: int) -> None:
    rng = np.random.default_rng([n, m, width])
    x, y = rng.normal(size=(n, width)), rng.normal(size=(m, width))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / width + 1) ** 3)

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    assert kid(x, y) == pytest.approx(xx + yy - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_kid_is_unbiased() -> None:
    """Of two sets from one distribution it is 0 in the mean, however few they are; FID is not."""
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(6, 3)), rng.normal(size=(6, 3))) for _ in range(4000)]
    values = np.array([kid(*pair) for pair in draws])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).mean() > 0.3
    assert np.mean([fid(*pair) for pair in draws[:200]]) > 1


def test_precision_and_recall_of_sets_made_by_hand() -> None:
    real = np.array([[0.0], [1], [2], [3], [10], [11], [12], [13]])
    half = np.array([[0.5], [1.5], [2.5], [1.0]])
    found = manifolds(real, half, k=1)
    assert found.precise.all()
    assert found.recalled.tolist() == [True, True, True, True, False, False, False, False]
    far = manifolds(real, half + 100, k=1)
    assert not far.precise.any() and not far.recalled.any()
    same = manifolds(real, real, k=3)
    assert same.precise.all() and same.recalled.all()
    with pytest.raises(ValueError, match="needs 4 pictures"):
        manifolds(real, half[:3])


def test_nearest_leaves_out_who_is_barred() -> None:
    others = np.array([[0.0, 0], [3, 4], [1, 0]])
    rows, far = nearest(np.array([[0.0, 0], [3, 3]]), others, [np.array([0]), np.array([], np.int64)])
    assert rows.tolist() == [2, 1] and far.tolist() == [1, 1]
    rows, far = nearest(np.zeros((1, 2)), others, [np.arange(3)])
    assert rows.tolist() == [-1] and np.isinf(far).all()
    assert nearest(np.zeros((1, 2)), np.empty((0, 2)))[0].tolist() == [-1]


def test_intervals_hold_the_figures_that_many_pictures_give() -> None:
    rng = np.random.default_rng(1)
    many = [rng.normal(size=(20_000, 3)), rng.normal(size=(20_000, 3)) + 0.5]
    few = compare(many[0][:150], many[1][:150], draws=200, seed=0)
    assert few["fid"].low < fid(*many) < few["fid"].high
    assert few["kid"].low < kid(many[0][:4000], many[1][:4000]) < few["kid"].high
    assert 0 <= few["precision"].low <= few["precision"].value <= few["precision"].high <= 1
    again = compare(many[0][:150], many[1][:150], draws=200, seed=0)
    assert again == few
    assert np.isnan(compare(many[0][:20], many[1][:20], draws=0, seed=0)["fid"].high)
