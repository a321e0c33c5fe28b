from __future__ import annotations

import numpy as np
import pytest

from fasgen.audit.likeness import people
from fasgen.audit.likeness.people import mean_embeddings, similar_pairs


def test_means_are_directions() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, -1], [0, 1]], np.float32)
    means = mean_embeddings(vectors, np.array([0, 0, 1, 1]), 3)
    np.testing.assert_allclose(means, [[0.5**0.5, 0.5**0.5], [0, 0], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("block", [1, 3, 1024])
def test_pairs_are_those_of_the_whole_matrix(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "BLOCK", block)
    vectors = np.random.default_rng(1).normal(size=(11, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    pairs, cosines = similar_pairs(vectors, 0.3)
    whole = vectors @ vectors.T
    expected = [(i, j) for i in range(11) for j in range(i + 1, 11) if whole[i, j] >= 0.3]
    assert [tuple(pair) for pair in pairs.tolist()] == expected
    np.testing.assert_allclose(cosines, [whole[i, j] for i, j in expected], rtol=1e-5)
