"""Who is whom where a data set does not say: average-linkage agglomeration over the mutual neighbours of embeddings.

Comparing each with each twice over would need N^2 numbers at once. Here blocks of cosines are looked at and forgotten: of
each embedding only the nearest ``neighbours`` above the threshold are kept, and of those only the mutual ones. Clusters are
then merged along what is kept, the most alike first, as long as the mean cosine over all pairs of two clusters' members
reaches the threshold (average linkage, which single links cannot chain). The mean is exact: for unit vectors it is the
product of the clusters' sums over their sizes. With ``neighbours`` of N - 1 the result is that of average linkage on the
whole matrix.

Cost: N^2 D multiplications in blocks, 4 N D bytes beside the embeddings, up to N ``neighbours`` links. What the limit loses are
links of people with many more pictures than ``neighbours``: their cluster is still found as long as what is kept connects it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import ConfigError

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

BLOCK = 512
"""Embeddings compared with all others at a time."""


def cluster(embeddings: Vectors, threshold: float, neighbours: int = 32) -> Numbers:
    """Cluster (N,) of each embedding, numbered from 0 in the order in which the clusters first appear.

    Args:
        embeddings: (N, D), of unit length.
        threshold: least mean cosine over the pairs of two clusters that are merged, in (0, 1].
        neighbours: links that are kept of each embedding, at most.

    Raises:
        ConfigError: a setting is out of range, or an embedding is not of unit length.
    """
    if not 0 < threshold <= 1 or neighbours < 1:
        raise ConfigError(
            f"threshold is {threshold} and neighbours {neighbours}; needed are 0 < threshold <= 1, neighbours >= 1"
        )
    lengths = np.linalg.norm(embeddings, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if wrong.size:
        raise ConfigError(f"embedding {wrong[0]} has the length {lengths[wrong[0]]:.4g}, clustering needs unit vectors")
    return _numbered(_Forest(embeddings, mutual_links(embeddings, threshold, neighbours), threshold).roots())


def mutual_links(embeddings: Vectors, threshold: float, neighbours: int) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j), i < j, of embeddings each of which is among the nearest of the other, with their cosines, in order of i.

    Args:
        embeddings: (N, D), of unit length.
        threshold: least cosine of a neighbour.
        neighbours: neighbours of each embedding, at most.
    """
    count = len(embeddings)
    ones, others, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for begun in range(0, count, BLOCK):
        cosines = embeddings[begun : begun + BLOCK] @ embeddings.T
        rows = np.arange(len(cosines))
        cosines[rows, begun + rows] = -2.0
        one, other = np.nonzero(cosines >= threshold)
        value = cosines[one, other]
        order = np.lexsort((other, -value, one))
        one, other, value = one[order], other[order], value[order]
        nearest = np.arange(len(one)) - np.searchsorted(one, one) < neighbours
        ones.append(one[nearest] + begun)
        others.append(other[nearest])
        values.append(value[nearest])
    one, other, value = np.concatenate(ones), np.concatenate(others), np.concatenate(values)
    mutual = (one < other) & np.isin(one * count + other, other * count + one)
    yield from zip(one[mutual].tolist(), other[mutual].tolist(), value[mutual].tolist(), strict=True)


class _Forest:
    """Clusters that grow together. A cluster is named after one of its members; ``_at`` says which state a link was made in."""

    def __init__(self, embeddings: Vectors, links: Iterator[tuple[int, int, float]], threshold: float) -> None:
        self._sum = embeddings.copy()
        self._size = np.ones(len(embeddings), np.int64)
        self._parent = np.arange(len(embeddings))
        self._at = [0] * len(embeddings)
        self._beside: dict[int, set[int]] = {}
        self._threshold = threshold
        self._heap: list[tuple[float, int, int, int, int]] = []
        for one, other, cosine in links:
            self._beside.setdefault(one, set()).add(other)
            self._beside.setdefault(other, set()).add(one)
            self._heap.append((-cosine, one, other, 0, 0))
        heapq.heapify(self._heap)

    def roots(self) -> Numbers:
        """The member (N,) after which the cluster of each embedding is named, when nothing more can be merged."""
        while self._heap:
            _, one, other, at_one, at_other = heapq.heappop(self._heap)
            if self._at[one] == at_one and self._at[other] == at_other:
                self._merge(one, other)
        return np.array([self._root(i) for i in range(len(self._parent))], np.int64)

    def _merge(self, one: int, other: int) -> None:
        if len(self._beside[one]) < len(self._beside[other]):
            one, other = other, one
        self._parent[other] = one
        self._sum[one] += self._sum[other]
        self._size[one] += self._size[other]
        self._at[one] += 1
        self._at[other] = -1
        around = self._beside[one] | self._beside.pop(other)
        around -= {one, other}
        self._beside[one] = around
        for third in around:
            self._beside[third].discard(other)
            self._beside[third].add(one)
        if around:
            them = np.fromiter(sorted(around), np.int64, len(around))
            means = self._sum[them] @ self._sum[one] / (self._size[them] * self._size[one])
            for third, mean in zip(them.tolist(), means.tolist(), strict=True):
                if mean >= self._threshold:
                    a, b = min(one, third), max(one, third)
                    heapq.heappush(self._heap, (-mean, a, b, self._at[a], self._at[b]))

    def _root(self, member: int) -> int:
        root = member
        while self._parent[root] != root:
            root = int(self._parent[root])
        while self._parent[member] != root:
            self._parent[member], member = root, int(self._parent[member])
        return root


def _numbered(roots: Numbers) -> Numbers:
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], np.int64)
