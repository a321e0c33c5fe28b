"""Sheets show what they were given, where they say, in the stated scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.report.sheet import SheetRow, contact_sheet, cue_picture
from fasgen.errors import FasgenError
from fasgen.manifests.products import CueFacts

RESIDUAL = CueFacts("residual")


def test_grey_is_zero_and_the_gain_is_as_stated() -> None:
    levels = np.array([0, 10, -10, 255, -255], np.int16)[:, None, None].repeat(3, 2)
    assert cue_picture(levels, RESIDUAL, 2.0)[:, 0, 0].tolist() == [128, 148, 108, 255, 0]
    assert cue_picture(levels, RESIDUAL, 0.5)[:, 0, 0].tolist() == [128, 132, 122, 255, 0]
    finer = CueFacts("finer", one=4080.0)
    assert np.array_equal(cue_picture(32 * levels.astype(np.int32), finer), cue_picture(levels, RESIDUAL))


@pytest.mark.parametrize("channels", [1, 2, 3, 9])
def test_cues_of_any_number_of_channels_are_drawn(channels: int) -> None:
    cue = np.arange(4 * 5 * channels, dtype=np.int16).reshape(4, 5, channels) - 40
    for drawn in ("signed", "magnitude"):
        picture = cue_picture(cue, CueFacts("some", one=100.0, drawn=drawn), 1.0)
        assert picture.shape == (4, 5, 3) and picture.dtype == np.uint8
    magnitude = np.abs(cue).mean(2, keepdims=True) / 100 * 255
    assert np.abs(picture.astype(int) - np.clip(magnitude, 0, 255)).max() <= 0.5 + 1e-3


def test_a_picture_keeps_its_colour_and_place() -> None:
    red = np.zeros((40, 40, 3), np.uint8)
    red[:, :, 0] = 200
    sheet = contact_sheet([SheetRow({"b": red})], ["a", "b"], cell=40)
    ys, xs = np.nonzero((sheet == [200, 0, 0]).all(2))
    assert len(ys) == 1600 and xs.min() > sheet.shape[1] // 2 - 10


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 50), st.integers(1, 50), st.text(max_size=120))
def test_any_size_number_and_caption_fits(count: int, across: int, height: int, width: int, caption: str) -> None:
    pictures = {"image": np.zeros((height, width, 3), np.uint8), "residual": np.zeros((height, width, 3), np.uint8)}
    sheet = contact_sheet([SheetRow(pictures, (caption,))] * count, ["image", "residual"], cell=32, across=across)
    assert sheet.dtype == np.uint8 and sheet.ndim == 3
    black = int((sheet == 0).all(2).sum())
    assert black >= count * 2 * max(1, round(height * 32 / max(height, width))) * max(1, round(width * 32 / max(height, width)))


def test_nothing_to_paint_is_refused() -> None:
    with pytest.raises(FasgenError, match="at least one"):
        contact_sheet([], ["image"])
