"""The residual is exact, its statistics are what they say, and the face ellipse lies on the face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fasgen.stages.defake.cue import crop_points, face_ellipse, face_ellipses, residuals, statistics, sums

LEVELS = hnp.arrays(np.uint8, (2, 6, 5, 3))


@given(LEVELS, LEVELS)
def test_reconstruction_comes_back_bit_for_bit(crops: np.ndarray, reconstructions: np.ndarray) -> None:
    cues = residuals(torch.from_numpy(crops), torch.from_numpy(reconstructions)).numpy()
    assert cues.dtype == np.int16
    assert np.array_equal((crops.astype(np.int16) - cues).astype(np.uint8), reconstructions)


def figures(cue: np.ndarray, face: np.ndarray) -> dict[str, float]:
    (row,) = sums(torch.from_numpy(cue)[None], torch.from_numpy(face)[None]).numpy()
    return statistics(row, cue.size)


def test_statistics_of_a_known_cue() -> None:
    cue = np.zeros((2, 2, 3), np.int16)
    cue[0, 0] = 12
    face = np.zeros((2, 2), np.bool_)
    face[0] = True
    found = figures(cue, face)
    assert found["residual_mean"] == 3 and found["residual_abs_mean"] == 3
    assert found["residual_std"] == pytest.approx(np.sqrt(27))
    assert found["residual_energy_face"] == 72


@given(hnp.arrays(np.int16, (4, 5, 3), elements=st.integers(-255, 255)), hnp.arrays(np.bool_, (4, 5)))
def test_statistics_are_those_of_numpy(cue: np.ndarray, face: np.ndarray) -> None:
    face[0, 0] = True
    found, values = figures(cue, face), cue.astype(np.float64)
    assert found["residual_mean"] == pytest.approx(values.mean()) and found["residual_std"] == pytest.approx(values.std())
    assert found["residual_abs_mean"] == pytest.approx(np.abs(values).mean())
    assert found["residual_energy_face"] == pytest.approx(np.square(values[face]).mean())


def test_faces_of_a_batch_are_those_of_each() -> None:
    points = np.random.default_rng(0).uniform(0, 40, (5, 5, 2))
    points[3] = 7.0
    together = face_ellipses(torch.from_numpy(points), 40, 32).numpy()
    assert all(np.array_equal(mask, face_ellipse(own, 40, 32)) for mask, own in zip(together, points, strict=True))


def test_ellipse_holds_the_points_and_not_the_corners() -> None:
    points = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
    face = face_ellipse(points, 112, 112)
    assert all(face[int(y), int(x)] for x, y in points)
    assert not face[0, 0] and not face[0, 111] and not face[111, 0]
    assert 0.3 < face.mean() < 0.7


@given(st.floats(0, 6.28))
def test_ellipse_turns_with_the_face(angle: float) -> None:
    base = np.array([[-10, -10], [10, -10], [0, 0], [-8, 10], [8, 10]], np.float64)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    area = face_ellipse(base @ turn.T + 64, 128, 128).sum()
    assert area == pytest.approx(np.pi * 25 * 20, rel=0.03)


def test_points_that_coincide_give_the_whole_crop() -> None:
    assert face_ellipse(np.full((5, 2), 3.0), 8, 8).all()


def test_landmarks_follow_the_transform() -> None:
    points = crop_points([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 0, 1, 0, 2, -1])
    assert points[0].tolist() == [3, 3] and points[4].tolist() == [19, 19]
