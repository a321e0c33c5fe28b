from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.likeness import hamming
from fasgen.audit.likeness.hamming import near_pairs

CODES = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 4)), min_size=0, max_size=30)


def by_definition(codes: list[int], groups: list[int], distance: int) -> dict[tuple[int, int], int]:
    """Every pair compared; of equal hashes in one group the first alone."""
    stands = [next(j for j in range(i + 1) if codes[j] == codes[i] and groups[j] == groups[i]) == i for i in range(len(codes))]
    return {
        (i, j): apart
        for j in range(len(codes))
        for i in range(j)
        if stands[i] and stands[j] and groups[i] != groups[j] and (apart := (codes[i] ^ codes[j]).bit_count()) <= distance
    }


@settings(max_examples=60)
@given(CODES, st.integers(0, 31), st.integers(1, 50), st.data())
def test_all_pairs_and_no_others(some: list[tuple[int, int]], distance: int, block: int, data: st.DataObject) -> None:
    codes, groups = [code for code, _ in some], [group for _, group in some]
    # Random hashes are never near: some are copies of another with a few bits turned.
    for at in range(0, len(codes) - 1, 2):
        turned = data.draw(st.sets(st.integers(0, 63), max_size=8))
        codes[at] = codes[at + 1] ^ sum(1 << bit for bit in turned)
    kept, hamming.BLOCK = hamming.BLOCK, block
    try:
        pairs, bits = near_pairs(np.array(codes, np.uint64), np.array(groups, np.int64), distance)
    finally:
        hamming.BLOCK = kept
    expected = by_definition(codes, groups, distance)
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)
    assert bits.tolist() == [expected[pair] for pair in sorted(expected)]


def test_many_rows() -> None:
    """20,000 hashes of which 50 come again with three bits turned: those are found and nothing else is."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, 20_000, np.uint64)
    copies = codes[:50] ^ np.uint64(0b10010001)
    pairs, bits = near_pairs(np.concatenate([codes, copies]), np.arange(20_050), 6)
    assert pairs.tolist() == [[row, 20_000 + row] for row in range(50)] and set(bits.tolist()) == {3}


def test_a_distance_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="0 to 31"):
        near_pairs(np.zeros(2, np.uint64), np.arange(2), 32)
