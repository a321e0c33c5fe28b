"""What cameras keep in 16 bits is seen, whichever of them they use."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fasgen.sources.config import Limits
from fasgen.sources.contained.pixels import to_rgb
from fasgen.sources.image import decode_image
from fasgen.sources.levels import eight_bits

LIMITS = Limits()
RAMP = np.tile(np.linspace(0, 1, 64), (48, 1))
EXPECTED = np.round(RAMP * 255)


def ramp(bits: int, colours: int = 1) -> Any:
    levels = np.round(RAMP * ((1 << bits) - 1)).astype(np.uint16)
    return levels if colours == 1 else np.repeat(levels[:, :, None], colours, axis=2)


def near(picture: Any) -> bool:
    return bool(np.abs(picture[:, :, 0].astype(float) - EXPECTED).max() <= 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_the_bits_that_are_used_are_shown(bits: int, colours: int, kind: str) -> None:
    ok, data = cv2.imencode(kind, ramp(bits, colours))
    assert ok
    picture = decode_image(data.tobytes(), LIMITS)
    assert near(picture) and picture.shape == (48, 64, 3) and picture.flags.writeable


def test_transparent_pictures_and_colours_keep_their_order() -> None:
    wide = np.dstack([ramp(10), ramp(10) // 2, ramp(10) // 4, np.full((48, 64), 65535, np.uint16)])
    ok, data = cv2.imencode(".png", wide)
    assert ok
    picture = decode_image(data.tobytes(), LIMITS).astype(int)
    assert np.abs(picture[:, :, 2] - EXPECTED).max() <= 1 and np.abs(picture[:, :, 0] - EXPECTED / 4).max() <= 1


def test_orientation_holds_for_wide_pictures() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp(12)).save(stream, "PNG", exif=exif)
    picture = decode_image(stream.getvalue(), LIMITS)
    assert picture.shape == (64, 48, 3) and np.abs(picture[:, 0, 0] - EXPECTED[0]).max() <= 1


@pytest.mark.parametrize(("bits", "given"), [(10, 12), (12, 16), (8, 16)])
def test_a_dark_picture_stays_dark_where_the_camera_is_known(bits: int, given: int) -> None:
    for colours in (1, 3):
        ok, data = cv2.imencode(".png", ramp(bits, colours))
        assert ok
        picture = decode_image(data.tobytes(), Limits(bits=given)).astype(float)
        assert np.abs(picture[:, :, 0] - EXPECTED / 2 ** (given - bits)).max() <= 1


def test_what_is_above_white_is_white() -> None:
    assert eight_bits(np.array([0, 1023, 1024, 65535], np.uint16), 10).tolist() == [0, 255, 255, 255]


def test_widened_pictures_come_back_exactly_however_dark() -> None:
    for top in (1, 15, 63, 255):
        dark = np.arange(256, dtype=np.uint16) * top // 255
        assert np.array_equal(eight_bits(dark * 257), dark)


def test_arrays_in_archives_are_shown_by_the_same_rule() -> None:
    assert near(to_rgb(ramp(10, 3), False, LIMITS)) and near(to_rgb(np.moveaxis(ramp(12, 3), 2, 0), True, LIMITS))
