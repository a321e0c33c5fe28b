"""What landmarks say: depth of a face, and regions that an attack leaves as they are."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fasgen.sources.adapters.table import Family
from fasgen.stages.align.template import target
from fasgen.stages.facemesh.topology import NOSE, five, topology
from fasgen.stages.stdn.geometry import mirrored, pseudo_depth, region_of, untouched

from .meshes import mesh

POINTS = target("arcface", 112)


def test_depth_is_highest_at_the_nose_and_nothing_off_the_face() -> None:
    depth = pseudo_depth(POINTS, 112, 112)
    assert depth.shape == (32, 32) and depth.dtype == np.float32
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    assert (column + 0.5) * 112 / 32 == pytest.approx(POINTS[2, 0], abs=6)
    assert (row + 0.5) * 112 / 32 == pytest.approx(POINTS[2, 1], abs=8)
    assert depth.max() == 1 and not depth[0, 0] and not depth[0, -1]


def test_depth_follows_the_face() -> None:
    moved = pseudo_depth(POINTS + np.array([14, 0]), 112, 112)
    assert np.allclose(moved[:, 4:], pseudo_depth(POINTS, 112, 112)[:, :-4], atol=1e-5)


@pytest.mark.parametrize(
    ("attack", "region"),
    [
        ("print", "whole"), ("replay", "whole"), ("cut_print", "whole"), ("mask_rigid", "face"), ("makeup", "face"),
        ("glasses", "eyes"), ("Partial_Mouth", "mouth"), ("partial", "face"), ("funny-eye", "eyes"), ("3d-mask", "face"),
        ("unheard of", "whole"),
    ],
)  # fmt: skip
def test_regions_by_attack(attack: str, region: str) -> None:
    assert region_of(attack) == region


@pytest.mark.parametrize(
    ("attack", "family", "region"),
    [
        ("Silicone", "mask_flexible", "face"), ("drawn-marks", "makeup", "face"), ("unmasked", "print", "whole"),
        ("2_75", "mask_flexible", "face"), ("upper", "glasses", "eyes"), ("Partial_Mouth", "partial", "mouth"),
        ("cheek", "partial", "face"), ("funny-eye", "", "eyes"), ("a mask of a kind", "other", "face"),
        ("tablet", None, "whole"),
    ],
)  # fmt: skip
def test_regions_by_family_before_words(attack: str, family: str | None, region: str) -> None:
    assert region_of(attack, family) == region


def test_every_family_has_its_region() -> None:
    found = {family: region_of("", family) for family in get_args(Family)}
    additive = {"print", "cut_print", "replay", "other"}
    assert {family for family, region in found.items() if region == "whole"} == additive and found["glasses"] == "eyes"


def test_regions_by_landmarks() -> None:
    whole, face, eyes, mouth = (untouched(r, POINTS, 112, 112) for r in ("whole", "face", "eyes", "mouth"))
    assert whole.all()
    (eye_x, eye_y), (mouth_x, mouth_y) = POINTS[0].astype(int), POINTS[3].astype(int)
    assert not face[eye_y, eye_x] and not face[mouth_y, mouth_x] and face[0, 0] == 1
    assert not eyes[eye_y, eye_x] and eyes[mouth_y, mouth_x] == 1
    assert not mouth[mouth_y, mouth_x] and mouth[eye_y, eye_x] == 1
    assert ((eyes == 0) <= (face == 0)).all() and ((mouth == 0) <= (face == 0)).all()


def test_a_mirror_image_has_its_left_eye_on_the_left() -> None:
    twice = mirrored(mirrored(POINTS, 112), 112)
    assert np.allclose(twice, POINTS)
    flipped = mirrored(POINTS, 112)
    assert flipped[0, 0] < flipped[1, 0] and flipped[0, 0] == pytest.approx(111 - POINTS[1, 0])


def test_points_that_coincide_are_survived() -> None:
    same = np.full((5, 2), 50.0)
    assert np.isfinite(pseudo_depth(same, 112, 112)).all()
    assert not untouched("face", same, 112, 112).any()


def test_depth_of_a_mesh_is_that_of_its_points() -> None:
    face = mesh()
    depth = pseudo_depth(face, 112, 112)
    assert depth.shape == (32, 32) and depth.dtype == np.float32
    assert depth.max() == 1 and depth.min() == 0 and not depth[0].any()
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    assert (column + 0.5) * 3.5 == pytest.approx(face[NOSE, 0], abs=4)
    assert (row + 0.5) * 3.5 == pytest.approx(face[NOSE, 1], abs=6)
    # Where the face is even, a cell has the depth of the points in it.
    known = topology()
    raised = (face[:, 2].max() - face[:, 2]) / np.ptp(face[:, 2])
    forehead = 151
    x, y = (int(value // 3.5) for value in face[forehead, :2])
    assert depth[y, x] == pytest.approx(raised[forehead] / raised.max(), abs=0.06)
    off = np.ones((32, 32), bool)
    for px, py in face[:, :2]:
        off[max(int(py // 3.5) - 3, 0) : int(py // 3.5) + 4, max(int(px // 3.5) - 3, 0) : int(px // 3.5) + 4] = False
    assert off.any() and not depth[off].any() and len(known.oval) == 36


def test_depth_turns_with_the_head() -> None:
    """A head that turns has one cheek nearer to the camera than the other, and its mirror image the other one."""
    turned = mesh(0.5)
    depth = pseudo_depth(turned, 112, 112)
    x = int(turned[NOSE, 0] // 3.5)
    row = int(turned[NOSE, 1] // 3.5)
    left, right = (depth[row - 2, x - 5], depth[row - 2, min(x + 5, 31)])
    flipped = pseudo_depth(mirrored(turned, 112), 112, 112)
    assert abs(left - right) > 0.1
    np.testing.assert_allclose(flipped[:, ::-1], depth, atol=0.06)


def test_regions_of_a_mesh() -> None:
    known, face = topology(), mesh()
    whole, all_of_it, eyes, mouth = (untouched(r, face, 112, 112) for r in ("whole", "face", "eyes", "mouth"))

    def at(region: np.ndarray, index: int) -> float:
        x, y = np.rint(face[index, :2]).astype(int)
        return float(region[y, x])

    assert whole.all() and all_of_it[0, 0] == 1
    corners = [*known.eyes.ravel()[::4], *known.brows.ravel()[::3]]
    assert not any(at(eyes, index) for index in corners) and at(eyes, int(known.mouth[0])) == 1
    assert not any(at(mouth, int(index)) for index in known.mouth) and at(mouth, int(known.eyes[0, 0])) == 1
    inner = [index for index in (NOSE, *known.mouth, *known.eyes.ravel()) if at(all_of_it, int(index))]
    assert not inner and ((eyes == 0) <= (all_of_it == 0)).all() and ((mouth == 0) <= (all_of_it == 0)).all()
    ellipse = untouched("face", five(face), 112, 112) == 0
    assert np.mean(all_of_it[ellipse] == 0) > 0.97, "an ellipse by five points lies within"


def test_a_mirrored_mesh_is_the_mesh_of_the_mirror_image() -> None:
    face = mesh(0.3)
    np.testing.assert_allclose(mirrored(mirrored(face, 112), 112), face)
    np.testing.assert_allclose(five(mirrored(face, 112)), mirrored(five(face), 112))
