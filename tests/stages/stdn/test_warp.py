"""Warps: none is no change, a known one moves a known pixel, and triangles cover the picture once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.facemesh.topology import NOSE, five, topology
from fasgen.stages.stdn.raster import cover
from fasgen.stages.stdn.warp import anchors, backward_offset, delaunay, offsets, warp

from .meshes import mesh
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


def test_equal_meshes_move_nothing() -> None:
    assert not backward_offset(mesh(0.3), mesh(0.3), 112, 112).any()


def test_a_mesh_reads_where_its_points_are() -> None:
    """At each point of the target that is seen in the picture, the offset leads to the same point of the source."""
    source, target = mesh(-0.2, 0.9), mesh()
    offset = backward_offset(source, target, 112, 112)
    assert offset.dtype == np.float32 and np.isfinite(offset).all()
    inside = ((target[:, :2] > 1) & (target[:, :2] < 110)).all(1)
    read = target[inside, :2] + at(offset, target[inside, :2])
    errors = np.linalg.norm(read - source[inside, :2], axis=1)
    assert np.median(errors) < 0.2 and np.percentile(errors, 95) < 1.0


def test_a_shifted_mesh_moves_all_of_the_face_alike() -> None:
    offset = backward_offset(mesh() + np.array([3, -2, 0]), mesh(), 112, 112)
    seen = cover(mesh()[:, :2], topology().triangles, mesh()[:, 2], 112, 112)
    np.testing.assert_allclose(
        offset.reshape(2, -1)[:, seen.pixels].T, np.broadcast_to([3, -2], (len(seen.pixels), 2)), atol=1e-5
    )
    assert np.abs(offset).max() <= 3 + 1e-5, "around the face it falls"


def test_where_the_target_hides_a_part_what_is_before_it_is_read() -> None:
    """Of a head turned by 57 degrees the farther cheek lies behind the nose: no pixel reads there by it."""
    source, target = mesh(), mesh(1.0)
    triangles = topology().triangles
    flat = [area_signed(points, triangles) for points in (source, target)]
    assert (np.sign(flat[0]) != np.sign(flat[1])).sum() > 50, "folded"
    offset = backward_offset(source, target, 112, 112)
    x, y = np.rint(target[NOSE, :2]).astype(int)
    np.testing.assert_allclose((x, y) + offset[:, y, x], source[NOSE, :2], atol=1.5)
    hidden = np.sign(flat[1]) != np.sign(np.median(flat[1]))
    seen = cover(target[:, :2], triangles, target[:, 2], 112, 112)
    behind = {tuple(corners) for corners in triangles[hidden]}
    share = np.mean([tuple(corners) in behind for corners in seen.corners])
    assert share < 0.05, "nearly all that is seen faces the camera"


def test_around_a_mesh_the_offset_goes_on_without_a_step() -> None:
    """Frontal faces of another width: neighbouring pixels nowhere differ by more than a share of the largest offset."""
    wide = mesh()
    wide[:, 0] += 0.1 * (wide[:, 0] - wide[:, 0].mean())
    offset = backward_offset(wide, mesh(), 112, 112)
    steps = [np.abs(np.diff(offset, axis=axis)).max() for axis in (1, 2)]
    assert 3 < np.abs(offset).max() < 7 and max(steps) < 2
    assert not np.abs(offset[:, :20, 0]).max() > 0.5, "at the border, where no face is, it is none"


def test_what_the_source_hides_is_not_read() -> None:
    """The cheek that the source shows from the side is not smeared over that of the target: no patch grows by more than 4."""
    source, target = mesh(0.9), mesh(-0.4)
    offset = backward_offset(source, target, 112, 112)
    seen = cover(target[:, :2], topology().triangles, target[:, 2], 112, 112)
    there, here = (area_signed(points, seen.corners) for points in (source, target))
    hidden = np.zeros(112 * 112, np.bool_)
    hidden[seen.pixels[there / here < 0.25]] = True
    assert 0.05 < hidden[seen.pixels].mean() < 0.5
    exact = np.stack([seen.of(source[:, k] - target[:, k]) for k in range(2)])
    made = offset.reshape(2, -1)[:, seen.pixels]
    told = ~hidden[seen.pixels]
    np.testing.assert_allclose(made[:, told], exact[:, told], atol=1e-4)
    assert np.abs(offset).max() <= np.abs(exact[:, told]).max() + 1e-4, "elsewhere nothing beyond"


def test_a_mesh_and_five_points_are_warped_by_five() -> None:
    target = mesh()
    expected = backward_offset(five(mesh(0.2)), five(target), 112, 112)
    assert expected.any()
    assert np.array_equal(backward_offset(mesh(0.2), five(target), 112, 112), expected)
    assert np.array_equal(backward_offset(five(mesh(0.2)), target, 112, 112), expected)


def at(offset: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Offsets at places, read bilinearly: (N, 2)."""
    x, y = places.T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    dx, dy = x - left, y - top
    upper = offset[:, top, left] * (1 - dx) + offset[:, top, left + 1] * dx
    lower = offset[:, top + 1, left] * (1 - dx) + offset[:, top + 1, left + 1] * dx
    return (upper * (1 - dy) + lower * dy).T


def area_signed(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
