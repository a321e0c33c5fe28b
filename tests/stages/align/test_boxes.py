from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.align.boxes import Faces, refined, squared, suppress, suppress_contained


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    return shared / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - shared)


def boxes_of(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    return boxes, rng.uniform(0.1, 1, count).astype(np.float32)


def test_the_worse_of_two_overlapping_boxes_goes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]], np.float32)
    assert suppress(boxes, np.array([0.8, 0.9, 0.5], np.float32), 0.5).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.8, 0.9, 0.5], np.float32), 0.9).tolist() == [1, 0, 2]


def test_groups_do_not_suppress_each_other() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    kept = suppress(boxes, np.array([0.8, 0.9, 0.7], np.float32), 0.5, np.array([0, 1, 0]))
    assert kept.tolist() == [1, 0]


def test_nothing_in_nothing_out() -> None:
    none = Faces.none()
    assert suppress(none.boxes, none.scores, 0.5).shape == (0,)
    assert suppress_contained(none.boxes, none.scores, 0.5).shape == (0,)


@given(st.integers(0, 10_000), st.integers(1, 25), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_is_greedy_and_complete(seed: int, count: int, threshold: float) -> None:
    boxes, scores = boxes_of(seed, count)
    expected: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[i], boxes[j]) <= threshold for j in expected):
            expected.append(int(i))
    assert suppress(boxes, scores, threshold).tolist() == expected


@given(st.integers(0, 10_000), st.integers(2, 20), st.integers(1, 3))
def test_grouped_suppression_is_suppression_in_each_group(seed: int, count: int, groups: int) -> None:
    boxes, scores = boxes_of(seed, count)
    of = np.random.default_rng(seed).integers(0, groups, count)
    expected = set()
    for group in range(groups):
        members = np.flatnonzero(of == group)
        expected |= set(members[suppress(boxes[members], scores[members], 0.5)].tolist())
    assert set(suppress(boxes, scores, 0.5, of).tolist()) == expected


def test_a_box_inside_a_better_one_goes_whatever_its_iou() -> None:
    boxes = np.array([[0, 0, 100, 100], [10, 10, 20, 20]], np.float32)
    assert suppress_contained(boxes, np.array([0.9, 0.8], np.float32), 0.7).tolist() == [0]
    assert suppress(boxes, np.array([0.9, 0.8], np.float32), 0.7).tolist() == [0, 1]


def test_squares_keep_the_centre_and_take_the_longer_side() -> None:
    np.testing.assert_allclose(squared(np.array([[0, 0, 10, 20]], np.float32)), [[-5, 0, 15, 20]])


def test_refinement_moves_corners_by_fractions_of_the_inclusive_side() -> None:
    moved = refined(np.array([[0, 0, 9, 19]], np.float32), np.array([[0.1, 0.1, -0.1, 0.0]], np.float32))
    np.testing.assert_allclose(moved, [[1, 2, 8, 19]])


def test_largest_and_scaled() -> None:
    faces = Faces(
        np.array([[0, 0, 4, 4], [0, 0, 5, 6]], np.float32), np.array([0.9, 0.8], np.float32), np.ones((2, 5, 2), np.float32)
    )
    assert faces.largest() == 1
    twice = faces.scaled(2, 3)
    np.testing.assert_array_equal(twice.boxes[1], [0, 0, 10, 18])
    np.testing.assert_array_equal(twice.landmarks[0, 0], [2, 3])
