"""Triangles over pixels: each pixel once, by the nearest, and exactly what is linear."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.stdn.raster import cover
from fasgen.stages.stdn.warp import delaunay

SQUARE = np.array([[0.0, 0.0], [7.0, 0.0], [7.0, 7.0], [0.0, 7.0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def test_a_triangle_covers_its_pixels() -> None:
    """Corners (1, 1), (4, 1), (1, 4): ten pixels of 6 x 6, edges included."""
    points = np.array([[1.0, 1.0], [4.0, 1.0], [1.0, 4.0]])
    for corners in ([0, 1, 2], [2, 1, 0]):
        seen = cover(points, np.array([corners]), np.zeros(3), 6, 6)
        assert seen.pixels.tolist() == [7, 8, 9, 10, 13, 14, 15, 19, 20, 25]
        np.testing.assert_allclose(seen.of(points), np.stack([seen.pixels % 6, seen.pixels // 6], 1), atol=1e-12)
        np.testing.assert_allclose(seen.shares.sum(1), 1)


def test_the_nearest_is_seen_wherever_it_stands_in_the_list() -> None:
    points = np.concatenate([SQUARE, [[2.0, 2.0], [5.0, 2.0], [2.0, 5.0]]])
    depth = np.array([5.0] * 4 + [1.0] * 3)
    for triangles in (np.vstack([HALVES, [[4, 5, 6]]]), np.vstack([[[4, 5, 6]], HALVES])):
        seen = cover(points, triangles, depth, 8, 8)
        assert len(seen.pixels) == 64
        nearest = {(int(p) % 8, int(p) // 8) for p, z in zip(seen.pixels, seen.of(depth), strict=True) if z < 2}
        assert nearest == {(x, y) for x in range(2, 6) for y in range(2, 6) if x + y <= 7}
        behind = cover(points, triangles, -depth, 8, 8)
        np.testing.assert_allclose(behind.of(-depth), -5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 22), st.floats(1, 18)), min_size=0, max_size=12, unique=True), st.integers(0, 9))
def test_a_triangulated_picture_is_covered_once_and_linear_maps_are_exact(inner: list[tuple[float, float]], seed: int) -> None:
    frame = np.array([[0.0, 0.0], [23.0, 0.0], [23.0, 19.0], [0.0, 19.0]])
    points = np.concatenate([frame, np.array(inner).reshape(-1, 2)])
    seen = cover(points, delaunay(points), np.zeros(len(points)), 20, 24)
    assert seen.pixels.tolist() == list(range(480))
    slope = np.random.default_rng(seed).normal(size=(2, 3))
    places = np.stack([seen.pixels % 24, seen.pixels // 24], 1)
    np.testing.assert_allclose(seen.of(points @ slope), places @ slope, atol=1e-6)


def test_what_is_outside_or_has_no_area_covers_nothing() -> None:
    points = np.array([[-5.0, -5.0], [-1.0, -5.0], [-3.0, -1.0], [2.0, 2.0], [4.0, 4.0], [6.0, 6.0]])
    assert not len(cover(points, np.array([[0, 1, 2], [3, 4, 5], [3, 3, 4]]), np.zeros(6), 8, 8).pixels)
    reaching = cover(np.array([[-9.0, 0.0], [20.0, 0.0], [3.0, 40.0]]), np.array([[0, 1, 2]]), np.zeros(3), 8, 8)
    assert reaching.pixels.tolist() == list(range(64))
