from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.align.likeness import perceptual_hash, sharpness
from fasgen.stages.stage import RGB
from tests.stages.align.pictures import texture


def apart(one: RGB, other: RGB) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


def test_sharpness_of_a_checkerboard() -> None:
    """The 4-neighbour Laplacian of alternating 0 and 255 is +-1020 everywhere, mirrored borders included."""
    y, x = np.mgrid[0:32, 0:32]
    board = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[..., None], 3, 2)
    assert sharpness(board) == pytest.approx(1020.0**2)
    assert sharpness(np.full((32, 32, 3), 77, np.uint8)) == 0


def test_blur_lowers_sharpness() -> None:
    image = texture(112, 112)
    blurred = [sharpness(np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)) for sigma in (0.5, 1, 2, 4)]
    assert blurred == sorted(blurred, reverse=True) and sharpness(image) > blurred[0]


def test_half_of_the_bits_are_set() -> None:
    for size in (32, 112, 224):
        code = perceptual_hash(texture(size, size))
        assert 0 <= code < 1 << 64 and code.bit_count() == 32


def test_a_hash_by_its_definition() -> None:
    """One cosine in both directions sets the bit of its frequency alone above all others."""
    n = np.arange(32)
    wave = np.outer(np.cos(np.pi * (2 * n + 1) * 3 / 64), np.cos(np.pi * (2 * n + 1) * 5 / 64))
    image = np.repeat(np.round(127.5 + 100 * wave).astype(np.uint8)[..., None], 3, 2)
    assert perceptual_hash(image) >> (63 - (2 * 8 + 4)) & 1
    assert not perceptual_hash(255 - image) >> (63 - (2 * 8 + 4)) & 1


@settings(max_examples=20)
@given(st.floats(0.7, 1.2), st.floats(-10, 10))
def test_brightness_and_contrast_change_little(contrast: float, brightness: float) -> None:
    image = texture(112, 112) // 2 + 40
    changed = np.clip(np.round(image * contrast + brightness), 0, 255).astype(np.uint8)
    assert apart(image, changed) <= 4


def test_copies_are_near_and_others_far(data: Path) -> None:
    people = sorted((data / "live_aligned_112").iterdir())[:12]
    faces = [cv2.cvtColor(cv2.imread(str(sorted(folder.iterdir())[0])), cv2.COLOR_BGR2RGB) for folder in people]
    for image in faces:
        coded = cv2.imdecode(cv2.imencode(".jpg", cv2.resize(image, (90, 90)), [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)
        assert apart(image, np.asarray(coded, np.uint8)) <= 6
    between = [apart(one, other) for i, one in enumerate(faces) for other in faces[:i]]
    assert min(between) > 6
