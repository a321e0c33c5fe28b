"""What landmarks say: depth of a face, and regions that an attack leaves as they are."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fasgen.sources.adapters.table import Family
from fasgen.stages.align.template import target
from fasgen.stages.stdn.geometry import mirrored, pseudo_depth, region_of, untouched

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
