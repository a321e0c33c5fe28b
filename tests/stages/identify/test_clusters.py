"""Clusters against average linkage on the whole matrix, and agreement against closed forms and scikit-learn."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import normalized_mutual_info_score

from fasgen.errors import ConfigError
from fasgen.stages.batching import to_signed
from fasgen.stages.identify import clusters as module
from fasgen.stages.identify.agreement import agreement
from fasgen.stages.identify.clusters import cluster, near_links
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load

Vectors = NDArray[np.float32]


def unit(x: NDArray[np.float64]) -> Vectors:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def people(seed: int, sizes: list[int], spread: float, width: int = 16) -> tuple[Vectors, list[int]]:
    """Embeddings around one direction a person, in random order."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = unit(rng.normal(size=(len(sizes), width)))
    return unit(centres[who] + spread * rng.normal(size=(len(who), width)) / math.sqrt(width)), who.tolist()


def same(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Whether two labellings are one partition."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 8), min_size=1, max_size=6), st.floats(0.2, 2.0), st.floats(0.2, 0.9))
def test_with_all_neighbours_it_is_average_linkage(seed: int, sizes: list[int], spread: float, threshold: float) -> None:
    x, _ = people(seed, sizes, spread)
    if len(x) < 2:
        return
    whole = AgglomerativeClustering(n_clusters=None, distance_threshold=1 - threshold, metric="cosine", linkage="average")
    assert same(cluster(x, threshold, len(x)), whole.fit_predict(x.astype(np.float64)))


@given(st.integers(0, 100), st.integers(1, 4))
def test_people_who_stand_apart_are_found_with_few_neighbours_and_blocks(seed: int, block: int) -> None:
    x, who = people(seed, [9, 5, 1, 7], 0.2, width=32)
    before = module.BLOCK
    module.BLOCK = block
    try:
        found = cluster(x, 0.7, 4)
    finally:
        module.BLOCK = before
    assert same(found, np.array(who))
    assert found[0] == 0 and all(found[i] <= found[:i].max() + 1 for i in range(1, len(found)))


def test_a_chain_of_likenesses_is_not_one_person() -> None:
    # Neighbours are 20 degrees apart: single linkage would make one cluster of all that spans 140.
    angles = np.radians(np.arange(8) * 20.0)
    found = cluster(unit(np.stack([np.cos(angles), np.sin(angles)], 1)), math.cos(math.radians(30)), 8)
    assert 1 < len(set(found.tolist())) < 8
    spans = [np.ptp(np.flatnonzero(found == c)) * 20 for c in set(found.tolist())]
    assert max(spans) <= 60


def test_links_are_to_the_nearest_and_stand_once() -> None:
    angles = np.radians([0.0, 1.0, 3.0, 40.0])
    x = unit(np.stack([np.cos(angles), np.sin(angles)], 1))
    found = near_links(x, 0.5, 1)
    assert list(zip(found.one.tolist(), found.other.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3)]
    assert found.cosine == pytest.approx(np.cos(np.radians([1.0, 2.0, 37.0])), abs=1e-6)
    assert near_links(x, 0.9, 3).other.tolist() == [1, 2, 2]


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.2, 0.9))
def test_no_two_clusters_are_left_that_belong_together(seed: int, neighbours: int, threshold: float) -> None:
    x, _ = people(seed, [6, 4, 9, 2], 0.9)
    found = cluster(x, threshold, neighbours)
    means = np.stack([x[found == c].mean(0) for c in range(found.max() + 1)])
    between = means @ means.T
    np.fill_diagonal(between, -1)
    assert between.max() < threshold + 1e-6


def test_one_face_and_copies_of_one() -> None:
    x = unit(np.ones((1, 4)))
    assert cluster(x, 0.5).tolist() == [0]
    assert cluster(np.repeat(x, 50, 0), 0.99, 3).tolist() == [0] * 50


@pytest.mark.parametrize(
    ("x", "threshold", "words"),
    [(np.ones((2, 3)), 0.5, "embedding 0 has the length 1.732"), (np.eye(2), 0.0, "0 < threshold"), (np.eye(2), 1.1, "0 <")],
)
def test_what_is_out_of_range_is_refused(x: NDArray[np.float64], threshold: float, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        cluster(x.astype(np.float32), threshold)


def test_agreement_by_hand() -> None:
    # a: 3 in cluster 0, 1 in cluster 1; b: 2 in cluster 1.
    found = agreement(["a", "a", "a", "a", "b", "b"], [0, 0, 0, 1, 1, 1])
    assert (found.samples, found.subjects, found.clusters) == (6, 2, 2)
    assert found.purity == pytest.approx(5 / 6) and found.inverse_purity == pytest.approx(5 / 6)
    assert found.pair_precision == pytest.approx(4 / 6) and found.pair_recall == pytest.approx(4 / 7)
    assert found.pair_f1 == pytest.approx(8 / 13)


def test_agreement_of_the_extremes() -> None:
    names = ["a", "a", "b", "b", "b"]
    alone, together, right = (agreement(names, c) for c in ([0, 1, 2, 3, 4], [7] * 5, [4, 4, 2, 2, 2]))
    assert alone.purity == 1 and alone.pair_precision == 1 and alone.pair_recall == 0 and alone.pair_f1 == 0
    assert together.inverse_purity == 1 and together.purity == pytest.approx(0.6) and together.nmi == 0
    assert right.nmi == pytest.approx(1) and right.pair_f1 == right.purity == right.inverse_purity == 1
    assert agreement(["a"], [0]).nmi == 1
    with pytest.raises(ConfigError, match="no sample with a known subject"):
        agreement([], [])


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 4)), min_size=2, max_size=60))
def test_mutual_information_is_that_of_scikit_learn(pairs: list[tuple[str, int]]) -> None:
    names, numbers = [s for s, _ in pairs], [c for _, c in pairs]
    assert agreement(names, numbers).nmi == pytest.approx(normalized_mutual_info_score(names, numbers), abs=1e-9)


def test_people_that_the_network_never_saw_are_mostly_kept_apart(data: Path) -> None:
    # Four people held out of its training, 25 pictures each. Clusters are pure and many: told as measured.
    network = load(weights_path("embedded"))
    names: list[str] = []
    parts = []
    for person in ("Barack_Obama", "Hugh_Laurie", "Jennifer_Lopez", "Keira_Knightley"):
        files = sorted((data / "live_aligned_112" / person).glob("*.jpg"))[::12][:25]
        faces = np.stack([cv2.imread(str(file), cv2.IMREAD_COLOR)[:, :, ::-1] for file in files])
        with torch.inference_mode():
            parts.append(network(to_signed(np.ascontiguousarray(faces), torch.device("cpu"))).embedding.numpy())
        names += [person] * len(files)
    found = agreement(names, cluster(np.concatenate(parts), 0.5))
    assert found.purity > 0.85 and found.pair_recall > 0.1 and found.clusters < 60
