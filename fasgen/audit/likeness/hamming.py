"""All pairs of 64-bit hashes that differ in few bits, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]

BLOCK = 1 << 22
"""Pairs that are compared at a time."""


def near_pairs(hashes: Hashes, groups: NDArray[np.int64], distance: int) -> tuple[Pairs, NDArray[np.uint8]]:
    """Pairs of different groups whose hashes differ in at most ``distance`` bits.

    Two such hashes agree in one of ``distance + 1`` bands of bits at least (the pigeonhole principle; Manku, Jain and Das
    Sarma, *Detecting near-duplicates for web crawling*, 2007), so only hashes that share a band are compared. Equal hashes of
    one group are compared once.

    Args:
        hashes: (N,) uint64.
        groups: (N,) what a row belongs to: rows of one file are no duplicates of each other.
        distance: bits, 0 to 31.

    Returns:
        (P, 2) indices, the smaller first, in lexicographic order, each pair once; and (P,) their distances.
    """
    if not 0 <= distance <= 31:
        raise ValueError(f"distance must be from 0 to 31 bits, not {distance}")
    # Neighbouring frames often have one hash: of each group's equal hashes, one stands for all.
    order = np.lexsort((np.arange(len(hashes)), groups, hashes))
    first = np.ones(len(hashes), bool)
    first[1:] = (hashes[order][1:] != hashes[order][:-1]) | (groups[order][1:] != groups[order][:-1])
    rows = np.sort(order[first])
    codes, owners = hashes[rows], groups[rows]
    found: list[Pairs] = [np.empty((0, 2), np.int64)]
    for low, high in _bands(distance + 1):
        keys = (codes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        for one, other in _equal(keys):
            near = (np.bitwise_count(codes[one] ^ codes[other]) <= distance) & (owners[one] != owners[other])
            found.append(np.stack([one[near], other[near]], 1))
    pairs = np.concatenate(found)
    pairs = np.unique(np.sort(rows[pairs], 1), axis=0).reshape(-1, 2)
    return pairs, np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]).astype(np.uint8)


def _bands(count: int) -> list[tuple[int, int]]:
    edges = [64 * band // count for band in range(count + 1)]
    return list(pairwise(edges))


def _equal(keys: Hashes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of positions with equal keys, about ``BLOCK`` at a time."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    # Position i pairs with i + 1, i + 2, ... as long as the key is the same.
    ends = np.searchsorted(ranked, ranked, side="right")
    partners = ends - np.arange(len(ranked)) - 1
    begun = 0
    while begun < len(ranked):
        total = np.cumsum(partners[begun:])
        stop = begun + max(1, int(np.searchsorted(total, BLOCK, side="right")))
        counts = partners[begun:stop]
        one = np.repeat(np.arange(begun, stop), counts)
        step = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        if len(one):
            yield order[one], order[one + step]
        begun = stop
