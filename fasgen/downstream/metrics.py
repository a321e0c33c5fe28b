"""The field's metrics, from scores alone.

Conventions: a higher score is more live; label 1 is live (bona fide), 0 is spoof (presentation attack); a sample is accepted as
live where its score is at least the threshold. BPCER (FRR) is the share of live samples that are rejected, APCER (FAR) that of
spoof samples that are accepted. All rates lie in [0, 1]; a rate over no samples is NaN, never 0.

Every sample may have a weight, a count of how often it was drawn, so that a bootstrap replicate costs two cumulative sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasgen.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Roc:
    """Operating points, from rejecting everything to accepting everything; tied scores are one point.

    Attributes:
        thresholds: (K,), falling; ``inf`` first, then the middle between neighbouring scores, ``-inf`` last.
        far: (K,), share of spoof samples accepted, rising; NaN without spoof samples.
        tpr: (K,), share of live samples accepted, rising; NaN without live samples.
    """

    thresholds: Floats
    far: Floats
    tpr: Floats


@dataclass(frozen=True, slots=True)
class Rates:
    """Errors at one threshold.

    Attributes:
        threshold: a score of at least this is accepted as live.
        far: share of all spoof samples accepted.
        bpcer: share of live samples rejected; also called FRR.
        apcer_of: attack type to the share of its samples accepted.
        apcer: the worst of them (ISO/IEC 30107-3).
        acer: mean of ``apcer`` and ``bpcer``.
        hter: mean of ``far`` and ``bpcer``.
    """

    threshold: float
    far: float
    bpcer: float
    apcer_of: Mapping[str, float]
    apcer: float
    acer: float
    hter: float


class Ranking:
    """Labels and scores sorted once, for any number of weightings.

    Args:
        labels: (N,), 1 live, 0 spoof.
        scores: (N,), finite.

    Raises:
        ConfigError: shapes differ, there is no sample, a label is neither 0 nor 1, or a score is not finite.
    """

    def __init__(self, labels: ArrayLike, scores: ArrayLike) -> None:
        y, s = np.asarray(labels), np.asarray(scores, np.float64)
        if y.ndim != 1 or y.shape != s.shape or not y.size:
            raise ConfigError(f"labels {y.shape} and scores {s.shape} must be two lists of the same length, not empty")
        if not np.isin(y, (0, 1)).all():
            raise ConfigError("a label is neither 1 (live) nor 0 (spoof); leave unknown ones out")
        if not np.isfinite(s).all():
            raise ConfigError(f"score number {int(np.flatnonzero(~np.isfinite(s))[0])} is not finite")
        self.order = np.argsort(-s, kind="stable")
        self.live = y[self.order] == 1
        falling = s[self.order]
        last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
        self._last = last
        self._thresholds = np.concatenate([[np.inf], _between(falling[last]), [-np.inf]])

    def roc(self, weights: ArrayLike | None = None) -> Roc:
        """The operating points, with samples counted ``weights`` (N,) times."""
        w = np.ones(self.order.size) if weights is None else np.asarray(weights, np.float64)[self.order]
        live = np.concatenate([[0.0], np.cumsum(w * self.live)[self._last]])
        spoof = np.concatenate([[0.0], np.cumsum(w * ~self.live)[self._last]])
        return Roc(self._thresholds, _share(spoof, spoof[-1]), _share(live, live[-1]))


def roc(labels: ArrayLike, scores: ArrayLike) -> Roc:
    """Operating points of ``scores``; see `Ranking` for what is refused."""
    return Ranking(labels, scores).roc()


def auc(points: Roc) -> float:
    """Area under the ROC curve: the chance that a live sample scores above a spoof one, ties counting a half."""
    return float(np.sum(np.diff(points.far) * (points.tpr[1:] + points.tpr[:-1]) / 2))


def eer(points: Roc) -> float:
    """Equal error rate: where the polyline through the operating points has FAR = FRR."""
    far, frr = points.far, 1 - points.tpr
    gap = far - frr  # rises from -1 to 1
    if np.isnan(gap).any():
        return float("nan")
    right = int(np.argmax(gap >= 0))
    left = max(right - 1, 0)
    span = gap[right] - gap[left]
    share = -gap[left] / span if span > 0 else 0.0
    return float(far[left] + share * (far[right] - far[left]))


def eer_threshold(points: Roc) -> float:
    """Threshold of the operating point at which FAR and FRR are nearest; of several the smaller sum, then the higher.

    NaN where a class is missing.
    """
    far, frr = points.far, 1 - points.tpr
    if np.isnan(far + frr).any():
        return float("nan")
    # Rounded, because equal counts over different totals differ in the last bits.
    return float(points.thresholds[np.lexsort((np.round(far + frr, 12), np.round(np.abs(far - frr), 12)))[0]])


def bpcer_threshold(points: Roc, bpcer: float = 0.01) -> float:
    """Highest threshold at which at most ``bpcer`` of the live samples are rejected: WMCA's rule, on dev. NaN without live.

    Nothing is interpolated: with fewer than ``1 / bpcer`` live samples it is the one at which none is rejected.
    """
    if np.isnan(points.tpr).any():
        return float("nan")
    return float(points.thresholds[1 - points.tpr <= bpcer + 1e-12][0])


def tpr_at_fpr(points: Roc, fpr: float = 0.005) -> float:
    """Largest share of live samples accepted by an operating point that accepts at most ``fpr`` of the spoof samples.

    Nothing is interpolated: with fewer than ``1 / fpr`` spoof samples it is the rate at which none passes.
    """
    if np.isnan(points.far + points.tpr).any():
        return float("nan")
    return float(points.tpr[points.far <= fpr + 1e-12].max())


def tdr_at_fdr(points: Roc, fdr: float = 0.005) -> float:
    """Largest share of spoof samples detected by an operating point that takes at most ``fdr`` of the live samples for spoofs.

    SiW-M's and STDN+'s figure: spoof is what is detected, where `tpr_at_fpr` accepts live. Nothing is interpolated.
    """
    if np.isnan(points.far + points.tpr).any():
        return float("nan")
    return float(1 - points.far[1 - points.tpr <= fdr + 1e-12].min())


def rates(
    labels: ArrayLike,
    scores: ArrayLike,
    threshold: float,
    attacks: Sequence[str] | NDArray[np.str_] | None = None,
    weights: ArrayLike | None = None,
) -> Rates:
    """Errors at ``threshold``.

    Args:
        labels: (N,), 1 live, 0 spoof.
        scores: (N,).
        threshold: accepted is what scores at least this; NaN gives NaN.
        attacks: (N,), attack type of each sample, empty where unknown; None takes all spoof samples as one type.
        weights: (N,), how often each sample counts.
    """
    y, s = np.asarray(labels) == 1, np.asarray(scores, np.float64)
    w = np.ones(y.size) if weights is None else np.asarray(weights, np.float64)
    accepted = (s >= threshold).astype(np.float64) if threshold == threshold else np.full(y.size, np.nan)
    bpcer = _mean(1 - accepted, w * y)
    far = _mean(accepted, w * ~y)
    kinds = np.full(y.size, "spoof") if attacks is None else np.array([name or "unknown" for name in attacks], np.str_)
    apcer_of = {str(kind): _mean(accepted, w * (~y & (kinds == kind))) for kind in np.unique(kinds[~y])}
    known = [rate for rate in apcer_of.values() if rate == rate]
    apcer = max(known) if known else float("nan")
    return Rates(threshold, far, bpcer, apcer_of, apcer, (apcer + bpcer) / 2, (far + bpcer) / 2)


def video_means(
    videos: Sequence[str] | NDArray[np.str_], labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Mean score of each video's frames, videos in the order in which they first appear.

    Returns:
        labels (V,), mean scores (V,), and the number of the first frame of each video (V,).

    Raises:
        ConfigError: a video has live and spoof frames.
    """
    _, first, inverse = np.unique(np.asarray(videos, np.str_), return_index=True, return_inverse=True)
    y = np.asarray(labels, np.int64)
    mixed = np.flatnonzero(y != y[first][inverse])
    if mixed.size:
        raise ConfigError(f"video {videos[int(mixed[0])]!r} has live and spoof frames; name videos so that they differ")
    means = np.bincount(inverse, np.asarray(scores, np.float64)) / np.bincount(inverse)
    order = np.argsort(first, kind="stable")
    return y[first][order], means[order], first[order].astype(np.int64)


def draws(labels: ArrayLike, clusters: Sequence[str] | NDArray[np.str_], count: int, seed: int) -> Iterator[Floats]:
    """How often each sample is drawn in each replicate of a bootstrap over clusters, live and spoof apart.

    Neighbouring frames are alike, so whole videos (or subjects) are drawn; within each class, so that none is ever empty.

    Args:
        labels: (N,).
        clusters: (N,), what is drawn as a whole.
        count: replicates.
        seed: of the draws.

    Yields:
        (N,) counts.
    """
    y, names = np.asarray(labels), np.asarray(clusters, np.str_)
    rng = np.random.default_rng(seed)
    classes = [(members, np.unique(names[members], return_inverse=True)[1]) for members in _classes(y)]
    for _ in range(count):
        out = np.zeros(y.size)
        for members, cluster in classes:
            size = int(cluster.max()) + 1
            out[members] = np.bincount(rng.integers(size, size=size), minlength=size)[cluster]
        yield out


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates; NaN where none is known."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _classes(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [members for value in (0, 1) if (members := np.flatnonzero(labels == value)).size]


def _between(falling: Floats) -> Floats:
    middle = falling[:-1] / 2 + falling[1:] / 2
    # Between neighbouring floats there is no middle; the upper one keeps "at least" true.
    return np.where(middle > falling[1:], middle, falling[:-1])


def _share(part: Floats, whole: float) -> Floats:
    return part / whole if whole else np.full(part.shape, np.nan)


def _mean(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float(values @ weights / total) if total else float("nan")
