"""How well clusters agree with the people who are known: purity, normalised mutual information, and F1 over pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from fasgen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of N samples' clusters with their subjects; all figures in [0, 1], higher is better.

    Attributes:
        samples, subjects, clusters: how many.
        purity: share of samples whose subject is the most frequent one of their cluster; 1 if every sample is alone.
        inverse_purity: share of samples whose cluster is the most frequent one of their subject; 1 if all are one cluster.
        nmi: mutual information over the mean of the two entropies; 1 where there is nothing to tell apart.
        pair_precision: share of pairs of one cluster that are of one subject; 1 without such pairs.
        pair_recall: share of pairs of one subject that are of one cluster; 1 without such pairs.
        pair_f1: harmonic mean of both.
    """

    samples: int
    subjects: int
    clusters: int
    purity: float
    inverse_purity: float
    nmi: float
    pair_precision: float
    pair_recall: float
    pair_f1: float

    def document(self) -> dict[str, float | int]:
        """All of it by name."""
        return asdict(self)


def agreement(subjects: Sequence[str], clusters: ArrayLike) -> Agreement:
    """Compare the clusters (N,) with the subjects (N,) of the same samples.

    Raises:
        ConfigError: there are no samples.
    """
    if not len(subjects):
        raise ConfigError("no sample with a known subject to compare the clusters with")
    _, s = np.unique(np.asarray(subjects, np.str_), return_inverse=True)
    _, c = np.unique(np.asarray(clusters), return_inverse=True)
    n = len(s)
    by_subject, by_cluster = np.bincount(s), np.bincount(c)
    # Only the cells that are not empty: a whole table would have as many as subjects times clusters.
    cells, both = np.unique(s * len(by_cluster) + c, return_counts=True)
    in_subject, in_cluster = cells // len(by_cluster), cells % len(by_cluster)
    best_subject, best_cluster = np.zeros(len(by_cluster), np.int64), np.zeros(len(by_subject), np.int64)
    np.maximum.at(best_subject, in_cluster, both)
    np.maximum.at(best_cluster, in_subject, both)
    information = float((both / n * np.log(both * n / (by_subject[in_subject] * by_cluster[in_cluster]))).sum())
    entropies = (_entropy(by_subject) + _entropy(by_cluster)) / 2
    together, of_subject, of_cluster = _pairs(both), _pairs(by_subject), _pairs(by_cluster)
    precision = together / of_cluster if of_cluster else 1.0
    recall = together / of_subject if of_subject else 1.0
    return Agreement(
        n,
        len(by_subject),
        len(by_cluster),
        float(best_subject.sum() / n),
        float(best_cluster.sum() / n),
        max(0.0, information / entropies) if entropies else 1.0,
        precision,
        recall,
        2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def _entropy(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def _pairs(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return float((counts * (counts - 1) // 2).sum())
