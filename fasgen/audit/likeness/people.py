"""The same person under two names: subjects whose mean embeddings point the same way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
BLOCK = 1024
"""Subjects compared with all others at a time."""


def mean_embeddings(embeddings: Embeddings, subjects: NDArray[np.int64], count: int) -> Embeddings:
    """Unit vectors (count, D): the direction of each subject's mean; zero where the mean is.

    Args:
        embeddings: (N, D) unit vectors.
        subjects: (N,) in [0, count).
        count: subjects.
    """
    total = np.zeros((count, embeddings.shape[1]), np.float64)
    np.add.at(total, subjects, embeddings)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(np.divide(total, length, out=np.zeros_like(total), where=length > 1e-9), np.float32)


def similar_pairs(vectors: Embeddings, least: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs (i, j), i < j, of unit vectors whose cosine is at least ``least``, and the cosines; in lexicographic order."""
    pairs, values = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for begun in range(0, len(vectors), BLOCK):
        cosine = vectors[begun : begun + BLOCK] @ vectors[begun:].T
        one, other = np.nonzero(cosine >= least)
        keep = other > one
        pairs.append(np.stack([one[keep], other[keep]], 1) + begun)
        values.append(cosine[one[keep], other[keep]].astype(np.float32))
    return np.concatenate(pairs), np.concatenate(values)
