from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.align.template import AGFAS, ARCFACE, cut, similarity, target


def test_templates_are_the_published_ones() -> None:
    np.testing.assert_allclose(target("arcface", 112)[0], [38.2946, 51.6963])
    np.testing.assert_allclose(target("arcface", 112)[4], [70.7299, 92.2041])
    np.testing.assert_allclose(target("agfas", 1), AGFAS)
    np.testing.assert_allclose(target("agfas", 224)[2], [0.4996 * 224, 0.4963 * 224])


def test_margin_shrinks_the_face_about_the_middle() -> None:
    with_margin = target("arcface", 200, margin=0.5)
    np.testing.assert_allclose(with_margin - 100, (ARCFACE * 200 - 100) / 2)


def test_own_fractions() -> None:
    fractions = ((0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.35, 0.7), (0.65, 0.7))
    np.testing.assert_allclose(target(fractions, 100)[1], [70, 30])


@given(st.floats(-math.pi, math.pi), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_known_similarity_is_recovered(angle: float, scale: float, x: float, y: float) -> None:
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = ARCFACE * 112 @ linear.T + (x, y)
    found = similarity(ARCFACE * 112, moved)
    np.testing.assert_allclose(found, np.column_stack([linear, (x, y)]), atol=1e-8 * (1 + scale * 112 + abs(x) + abs(y)))


def test_no_other_similarity_fits_better() -> None:
    rng = np.random.default_rng(0)
    source = ARCFACE * 300 + rng.normal(0, 12, (5, 2))
    best = similarity(source, ARCFACE * 112)

    def error(matrix: np.ndarray) -> float:
        return float(((source @ matrix[:, :2].T + matrix[:, 2] - ARCFACE * 112) ** 2).sum())

    for da, db, dx, dy in rng.normal(0, 1e-3, (50, 4)):
        nearby = best + np.array([[da, -db, dx], [db, da, dy]])
        assert error(nearby) >= error(best)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    matrix = similarity(ARCFACE * [-1, 1], ARCFACE)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("points", [np.ones((5, 2)), np.full((5, 2), np.nan)])
def test_points_that_fix_no_transform_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(points, ARCFACE)


def test_identity_cuts_the_pixels_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(cut(image, np.eye(2, 3), 64, "black"), image)


def test_whole_factors_are_exact_averages() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    third = np.array([[1 / 3, 0, (1 / 3 - 1) / 2], [0, 1 / 3, (1 / 3 - 1) / 2]])
    mean = image.reshape(32, 3, 32, 3, 3).mean((1, 3))
    assert np.abs(cut(image, third, 32, "black").astype(float) - mean).max() <= 1


def test_fine_stripes_become_grey_not_moire() -> None:
    stripes = np.zeros((700, 700, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[0.15, 0, 0], [0, 0.15, 0]])
    grey = cut(stripes, matrix, 100, "black")[5:-5, 5:-5]
    naive = cv2.warpAffine(stripes, matrix, (100, 100), flags=cv2.INTER_LINEAR)[5:-5, 5:-5]
    assert grey.std() < 12
    assert naive.std() > 3 * grey.std()


def test_borders() -> None:
    image = np.full((20, 20, 3), 200, np.uint8)
    shifted = np.array([[1.0, 0, 10], [0, 1.0, 0]])
    assert cut(image, shifted, 20, "black")[:, :9].max() == 0
    assert cut(image, shifted, 20, "reflect").min() == 200
