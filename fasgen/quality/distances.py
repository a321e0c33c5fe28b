"""Distances between two sets of features: FID, KID, precision and recall, each with an interval; and nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Features = NDArray[np.floating[Any]]

LEVEL = 0.95
_BLOCK = 2048
"""Rows of a block of pairwise distances."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its interval, at the level of 95 %; both ends are NaN without draws.

    Attributes:
        value: the figure.
        low, high: ends of the interval.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")


def fid(real: Features, made: Features) -> float:
    """The Fréchet distance between Gaussians of two sets (Heusel et al. 2017, "GANs trained by a two time-scale update rule"):

    ``|mu_1 - mu_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))``, covariances over N - 1. The trace of the root is the sum of the
    singular values of ``A B^T`` where ``C_1 = A^T A`` and ``C_2 = B^T B``, so that it is exact of fewer pictures than features.

    Args:
        real: (N, D).
        made: (M, D).

    Raises:
        ValueError: one of them has fewer than two rows.
    """
    if min(len(real), len(made)) < 2:
        raise ValueError(f"a covariance needs two pictures, there are {len(real)} and {len(made)}")
    (mu, a), (nu, b) = _centred(real), _centred(made)
    root = float(np.linalg.svd(_factor(a) @ _factor(b).T, compute_uv=False).sum())
    return max(float(((mu - nu) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * root), 0.0)


def _centred(features: Features) -> tuple[Floats, Floats]:
    x = features.astype(np.float64)
    mean = x.mean(0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)


def _factor(a: Floats) -> Floats:
    """A factor of ``a^T a`` with no more rows than columns."""
    if len(a) <= a.shape[1]:
        return a
    upper: Floats = np.linalg.qr(a, mode="r")  # type: ignore[assignment]
    return upper


def kid(real: Features, made: Features) -> float:
    """The squared maximum mean discrepancy under ``k(x, y) = (x y / D + 1)^3``, unbiased, so that it may be below 0
    (Bińkowski et al. 2018, "Demystifying MMD GANs", section 3.1).

    Args:
        real: (N, D).
        made: (M, D).

    Raises:
        ValueError: one of them has fewer than two rows.
    """
    if min(len(real), len(made)) < 2:
        raise ValueError(f"an unbiased estimate needs two pictures, there are {len(real)} and {len(made)}")
    return _mmd(*_kernels(real, made), np.ones((1, len(real))), np.ones((1, len(made))))[0]


def _kernels(real: Features, made: Features) -> tuple[Floats, Floats, Floats]:
    """Within each set, with zeros for a picture and itself, and between them."""
    x, y = real.astype(np.float64), made.astype(np.float64)
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    np.fill_diagonal(xx, 0)
    np.fill_diagonal(yy, 0)
    return xx, yy, xy


def _mmd(xx: Floats, yy: Floats, xy: Floats, w: Floats, v: Floats) -> list[float]:
    """For each row of weights (K, N) and (K, M): a picture never meets itself, however often it was drawn."""

    def within(kernel: Floats, weights: Floats) -> Floats:
        pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
        total: Floats = np.einsum("ki,ij,kj->k", weights, kernel, weights, optimize=True) / pairs
        return total

    between = np.einsum("ki,ij,kj->k", w, xy, v, optimize=True) / (w.sum(1) * v.sum(1))
    found: list[float] = (within(xx, w) + within(yy, v) - 2 * between).tolist()
    return found


@dataclass(frozen=True, slots=True)
class Manifold:
    """Who lies in whose manifold.

    Attributes:
        precise: (M,) bool, made pictures within reach of a real one.
        recalled: (N,) bool, real pictures within reach of a made one.
    """

    precise: NDArray[np.bool_]
    recalled: NDArray[np.bool_]


def manifolds(real: Features, made: Features, k: int = 3) -> Manifold:
    """Improved precision and recall (Kynkäänniemi et al. 2019): each picture reaches as far as its k-th nearest neighbour of
    its own set; precision is the share of made pictures within reach of a real one, recall that of real within reach of a made.

    Args:
        real: (N, D).
        made: (M, D).
        k: which neighbour.

    Raises:
        ValueError: one of them has no k + 1 rows.
    """
    if min(len(real), len(made)) <= k:
        raise ValueError(f"the {k}. nearest neighbour needs {k + 1} pictures, there are {len(real)} and {len(made)}")
    reach, own = _reach(real, k), _reach(made, k)
    precise, recalled = np.zeros(len(made), bool), np.zeros(len(real), bool)
    for start, block in _squares(real, made):
        rows = slice(start, start + len(block))
        precise |= (block <= reach[rows, None]).any(0)
        recalled[rows] = (block <= own[None]).any(1)
    return Manifold(precise, recalled)


def _reach(features: Features, k: int) -> Floats:
    """(N,) squared distance to the k-th nearest other picture."""
    parts = []
    for start, block in _squares(features, features):
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -1.0  # itself, whatever was rounded
        parts.append(np.partition(block, k, 1)[:, k])
    return np.concatenate(parts)


def _squares(one: Features, other: Features) -> Iterator[tuple[int, Floats]]:
    """First row and squared distances (B, M) of blocks of rows."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    norms = (y**2).sum(1)
    for start in range(0, len(x), _BLOCK):
        part = x[start : start + _BLOCK]
        yield start, np.maximum((part**2).sum(1)[:, None] + norms[None] - 2 * part @ y.T, 0)


def nearest(
    queries: Features, others: Features, barred: list[NDArray[np.int64]] | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """The nearest of ``others`` to each query, and how far it is (Euclidean); the first of several.

    Args:
        queries: (N, D).
        others: (M, D).
        barred: for each query, rows of ``others`` that do not count.

    Returns:
        (N,) row, -1 where none counts; (N,) distance, infinite there.
    """
    rows, far = np.full(len(queries), -1, np.int64), np.full(len(queries), np.inf)
    for start, block in _squares(queries, others) if len(others) else ():
        for i, line in enumerate(block):
            if barred is not None:
                line[barred[start + i]] = np.inf
            best = int(line.argmin())
            if np.isfinite(line[best]):
                rows[start + i], far[start + i] = best, np.sqrt(line[best])
    return rows, far


def compare(real: Features, made: Features, *, draws: int, seed: int, k: int = 3) -> dict[str, Figure]:
    """FID, KID, precision and recall of a made set against a real one, with intervals of a bootstrap over pictures.

    FID is biased upwards of few pictures, and of what is drawn from them again: its interval is the basic one, which takes that
    second bias off. Those of precision and recall hold for the manifolds as they are.

    Args:
        real: (N, D).
        made: (M, D).
        draws: of the bootstrap; 0 for no intervals.
        seed: of the draws.
        k: neighbour of precision and recall.

    Raises:
        ValueError: one of them has no k + 1 rows.
    """
    rng = np.random.default_rng(seed)
    manifold = manifolds(real, made, k)
    value, kernels = fid(real, made), _kernels(real, made)
    again = np.array([fid(real[_drawn(rng, len(real))], made[_drawn(rng, len(made))]) for _ in range(draws)])
    w, v = _counts(rng, draws, len(real)), _counts(rng, draws, len(made))
    drawn = {
        "kid": np.array(_mmd(*kernels, w, v)) if draws else np.empty(0),
        "precision": v @ manifold.precise / len(made),
        "recall": w @ manifold.recalled / len(real),
    }
    plain = {
        "kid": _mmd(*kernels, np.ones((1, len(real))), np.ones((1, len(made))))[0],
        "precision": float(manifold.precise.mean()),
        "recall": float(manifold.recalled.mean()),
    }
    low, high = _interval(again)
    found = {"fid": Figure(value, max(2 * value - high, 0.0) if draws else low, 2 * value - low)}
    return found | {name: Figure(plain[name], *_interval(values)) for name, values in drawn.items()}


def _drawn(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.integers(count, size=count)


def _counts(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """How often each of so many is drawn, (draws, count)."""
    return np.array([np.bincount(_drawn(rng, count), minlength=count) for _ in range(draws)], np.float64).reshape(draws, count)


def _interval(values: Floats) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
