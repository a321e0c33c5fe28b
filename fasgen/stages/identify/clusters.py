"""Who is whom where a data set does not say: average linkage over the nearest neighbours of embeddings, in rounds.

The whole matrix of cosines of 100,000 faces does not fit into memory. Here blocks of it are looked at and forgotten: of each
cluster only the links to the nearest ``neighbours`` others are kept, and only those that reach the threshold. Clusters merge
along what is kept, the most alike first, as long as the mean cosine over all pairs of their members reaches the threshold
(average linkage, which unlike single linkage does not chain). The mean is exact: for unit vectors it is the product of the
clusters' sums over their sizes. When nothing kept is left, the next round looks for the neighbours of what has become of the
clusters; the end is reached where no two clusters whatever have a mean that reaches the threshold. With ``neighbours`` of
N - 1, one round does, and the result is that of average linkage on the whole matrix; with fewer, links that were not kept
may be taken in a later round than their turn.

Cost: N^2 D multiplications a round (most of the work is in the first), 8 N D bytes, and up to N ``neighbours`` links.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import ConfigError

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

BLOCK = 512
"""Clusters compared with all others at a time."""


class Links(NamedTuple):
    """Pairs (L,) of clusters, ``one`` before ``other``, and the mean cosines of their members."""

    one: Numbers
    other: Numbers
    cosine: Vectors


def cluster(embeddings: Vectors, threshold: float, neighbours: int = 32) -> Numbers:
    """Cluster (N,) of each embedding, numbered from 0 in the order in which the clusters first appear.

    Args:
        embeddings: (N, D), of unit length.
        threshold: least mean cosine over the pairs of two clusters that are merged, in (0, 1].
        neighbours: links of a cluster that are kept, in each round.

    Raises:
        ConfigError: a setting is out of range, or an embedding is not of unit length.
    """
    if not 0 < threshold <= 1 or neighbours < 1:
        raise ConfigError(f"threshold is {threshold}, neighbours {neighbours}; needed are 0 < threshold <= 1, neighbours >= 1")
    lengths = np.linalg.norm(embeddings, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if wrong.size:
        raise ConfigError(f"embedding {wrong[0]} has the length {lengths[wrong[0]]:.4g}, clustering needs unit vectors")
    sums, sizes, out = embeddings.astype(np.float32), np.ones(len(embeddings), np.int64), np.arange(len(embeddings))
    while len((links := near_links(np.asarray(sums / sizes[:, None], np.float32), threshold, neighbours)).one):
        group = _merged(sums, sizes, links, threshold)
        members, old = sums, sizes
        sums = np.zeros((int(group.max()) + 1, sums.shape[1]), np.float32)
        np.add.at(sums, group, members)
        sizes = np.bincount(group, old).astype(np.int64)
        out = group[out]
    return _numbered(out)


def near_links(means: Vectors, threshold: float, neighbours: int) -> Links:
    """Links of each cluster to its nearest others, as far as they reach the threshold; each link once, ordered.

    Args:
        means: (N, D), mean of each cluster's members.
        threshold: least product of two means.
        neighbours: links of each cluster, at most; it can have more, since others may hold it for near.
    """
    count = len(means)
    pairs, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for begun in range(0, count, BLOCK):
        cosines = means[begun : begun + BLOCK] @ means.T
        rows = np.arange(len(cosines))
        cosines[rows, begun + rows] = -2.0
        one, other = np.nonzero(cosines >= threshold)
        value = cosines[one, other]
        order = np.lexsort((other, -value, one))
        one, other, value = one[order], other[order], value[order]
        near = np.arange(len(one)) - np.searchsorted(one, one) < neighbours
        one, other = one[near] + begun, other[near]
        pairs.append(np.minimum(one, other) * count + np.maximum(one, other))
        values.append(value[near])
    pair, first = np.unique(np.concatenate(pairs), return_index=True)
    return Links(pair // count, pair % count, np.concatenate(values)[first])


def _merged(sums: Vectors, sizes: Numbers, links: Links, threshold: float) -> Numbers:
    """New number (N,) of each cluster once everything along the links is merged; numbers are dense, in order of appearance."""
    sums, sizes = sums.copy(), sizes.copy()
    parent = list(range(len(sums)))
    # What a link was computed for: it is void once one of its ends has grown or gone.
    state = [0] * len(sums)
    beside: dict[int, set[int]] = {}
    heap: list[tuple[float, int, int, int, int]] = []
    for one, other, cosine in zip(*(column.tolist() for column in links), strict=True):
        beside.setdefault(one, set()).add(other)
        beside.setdefault(other, set()).add(one)
        heap.append((-cosine, one, other, 0, 0))
    heapq.heapify(heap)
    while heap:
        _, one, other, state_one, state_other = heapq.heappop(heap)
        if state[one] != state_one or state[other] != state_other:
            continue
        if len(beside[one]) < len(beside[other]):
            one, other = other, one
        parent[other] = one
        sums[one] += sums[other]
        sizes[one] += sizes[other]
        state[one] += 1
        state[other] = -1
        around = (beside[one] | beside.pop(other)) - {one, other}
        beside[one] = around
        for third in around:
            beside[third].discard(other)
            beside[third].add(one)
        them = np.array(sorted(around), np.int64)
        means = sums[them] @ sums[one] / (sizes[them] * sizes[one])
        for third, mean in zip(them.tolist(), means.tolist(), strict=True):
            if mean >= threshold:
                a, b = min(one, third), max(one, third)
                heapq.heappush(heap, (-mean, a, b, state[a], state[b]))
    return _numbered(np.array([_root(parent, i) for i in range(len(parent))], np.int64))


def _root(parent: list[int], member: int) -> int:
    root = member
    while parent[root] != root:
        root = parent[root]
    while parent[member] != root:
        parent[member], member = root, parent[member]
    return root


def _numbered(names: Numbers) -> Numbers:
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], np.int64)
