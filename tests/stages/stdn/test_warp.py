"""Warps: none is no change, a known one moves a known pixel, and triangles cover the picture once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.stdn.warp import anchors, backward_offset, delaunay, offsets, warp

from .tiny import POINTS, SIZE, images


def area(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


def test_equal_landmarks_move_nothing() -> None:
    offset = backward_offset(POINTS, POINTS, SIZE, SIZE)
    assert not offset.any()
    x = images(1)
    assert torch.equal(warp(x, torch.from_numpy(offset)[None]), x)


def test_a_known_warp_moves_a_known_pixel() -> None:
    """The nose of the source lies 3 px to the right and 1 px down of the target's: the target's pixel reads there."""
    target = np.array([[16.0, 16.0]])
    offset = backward_offset(target + np.array([3, 1]), target, 33, 33)
    assert tuple(offset[:, 16, 16]) == (3, 1)
    x = torch.zeros(1, 1, 33, 33)
    x[0, 0, 17, 19] = 1
    assert float(warp(x, torch.from_numpy(offset)[None])[0, 0, 16, 16]) == 1


def test_between_a_landmark_and_the_border_the_offset_is_linear() -> None:
    """The border's middle at the top is an anchor 16 px above the landmark."""
    target = np.array([[16.0, 16.0]])
    offset = backward_offset(target + np.array([4, 0]), target, 33, 33)
    assert offset[0, 0, 16] == 0 and offset[0, 8, 16] == pytest.approx(2) and offset[0, 12, 16] == pytest.approx(3)


def test_the_border_stays() -> None:
    offset = backward_offset(POINTS + 2, POINTS, SIZE, SIZE)
    edge = np.concatenate([offset[:, 0], offset[:, -1], offset[:, :, 0], offset[:, :, -1]], 1)
    assert not edge.any() and offset.any()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.5, 30.5), st.floats(0.5, 30.5)), min_size=1, max_size=24, unique=True))
def test_triangles_cover_the_picture_once_and_their_circles_are_empty(inner: list[tuple[float, float]]) -> None:
    points = np.concatenate([anchors(32, 32), np.unique(np.round(np.array(inner), 1), axis=0)])
    triangles = delaunay(points)
    assert area(points, triangles).sum() == pytest.approx(31 * 31)
    assert set(triangles.ravel().tolist()) == set(range(len(points)))
    for triangle in triangles:
        corners = points[triangle]
        matrix = 2 * (corners[1:] - corners[0])
        centre = np.linalg.solve(matrix, (corners[1:] ** 2).sum(1) - (corners[0] ** 2).sum())
        radius = np.hypot(*(corners[0] - centre))
        assert (np.hypot(*(points - centre).T) > radius * (1 - 1e-5) - 1e-5).all()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_an_offset_that_grows_evenly_is_found_again(seed: int) -> None:
    """Linear interpolation gives back a linear map at its landmarks, whatever the triangles."""
    rng = np.random.default_rng(seed)
    target = rng.integers(3, 29, (5, 2)).astype(float)
    shift = rng.uniform(-2, 2, (5, 2))
    target, keep = np.unique(target, axis=0, return_index=True)
    offset = backward_offset(target + shift[keep], target, 32, 32)
    for (x, y), moved in zip(target.astype(int), shift[keep], strict=True):
        assert offset[:, y, x] == pytest.approx(moved, abs=1e-5)


def test_landmarks_outside_of_the_picture_or_twice_are_left_out() -> None:
    target = np.array([[16.0, 16.0], [-4.0, 3.0], [16.0, 16.0], [np.nan, 2.0], [40.0, 4.0]])
    alone = backward_offset(target[:1] + 2, target[:1], 33, 33)
    assert np.array_equal(backward_offset(target + 2, target, 33, 33), alone)


def test_dense_landmarks_are_taken_as_well() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(4, 60, (68, 2))
    offset = backward_offset(target + np.array([1, -1]), target, 64, 64)
    assert offset[0, 20:44, 20:44] == pytest.approx(1, abs=1e-5) and offset[1, 20:44, 20:44] == pytest.approx(-1, abs=1e-5)


def test_half_a_pixel_is_the_mean_of_two_and_beyond_the_border_is_the_border() -> None:
    x = torch.arange(4.0).expand(1, 1, 4, 4)
    half = torch.zeros(1, 2, 4, 4)
    half[:, 0] = 0.5
    assert warp(x, half)[0, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.0]
    half[:, 0] = -9
    assert not warp(x, half).any()


def test_gradients_go_through_a_warp() -> None:
    x = images(1).requires_grad_(True)
    offset = offsets([POINTS + 1.5], [POINTS], SIZE, SIZE)
    warp(x, offset).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and float(x.grad.sum()) == pytest.approx(3 * SIZE * SIZE, rel=1e-5)
