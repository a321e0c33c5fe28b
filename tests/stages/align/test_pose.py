from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.align.pose import HEAD, head_pose
from fasgen.stages.align.template import ARCFACE

angles = st.floats(-60, 60)


def turned(yaw: float, pitch: float, roll: float, scale: float = 2.0) -> np.ndarray:
    """Landmarks of the mean head after it turned: written out, independently of the code."""
    y, p, r = np.radians([-yaw, -pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (HEAD @ (about_y @ about_x @ about_z).T)[:, :2] * scale + (300, 200)


@given(angles, angles, angles)
def test_a_known_pose_is_recovered(yaw: float, pitch: float, roll: float) -> None:
    pose = head_pose(turned(yaw, pitch, roll))
    np.testing.assert_allclose([pose.yaw, pose.pitch, pose.roll], [yaw, pitch, roll], atol=1e-6)


def test_the_arcface_template_looks_into_the_camera() -> None:
    pose = head_pose(ARCFACE * 112)
    assert max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) < 3


@pytest.mark.parametrize(("axis", "by", "name"), [(0, 5.0, "yaw"), (1, -5.0, "pitch")])
def test_signs_follow_the_nose(axis: int, by: float, name: str) -> None:
    points = ARCFACE * 112
    points[2, axis] += by
    assert getattr(head_pose(points), name) > 5


def test_a_head_that_tilts_clockwise_has_positive_roll() -> None:
    points = ARCFACE * 112
    angle = np.radians(15)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert points[1, 1] < 52 < (points @ turn)[1, 1]
    assert head_pose(points @ turn).roll == pytest.approx(15, abs=1)
