"""The fixed point gives the map back; the score is its mean magnitude."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fasgen.stages.lgsc.config import FULL, SPEC
from fasgen.stages.lgsc.cue import from_integers, overlay, score, to_integers

MAPS = arrays(np.float32, (3, 4, 3), elements=st.floats(-1, 1, width=32))


@given(MAPS)
def test_integers_give_the_map_back_to_half_a_step(cue: np.ndarray) -> None:
    levels = to_integers(cue)
    assert levels.dtype == np.int16 and np.abs(levels.astype(int)).max() <= FULL == SPEC.cues[0].one
    assert np.abs(from_integers(levels).astype(np.float64) - cue).max() <= 0.5 / FULL + 1e-7
    assert np.array_equal(to_integers(from_integers(levels)), levels)
    assert score(levels) == pytest.approx(float(np.abs(cue.astype(np.float64)).mean()), abs=0.5 / FULL)


def test_ends_and_middle() -> None:
    assert to_integers(np.array([-1.0, 0.0, 1.0, 1.5])).tolist() == [-FULL, 0, FULL, FULL]
    assert score(np.full((2, 2, 3), -FULL, np.int16)) == 1.0 and score(np.zeros((2, 2, 3), np.int16)) == 0.0


def test_the_overlay_reddens_by_magnitude() -> None:
    crop = np.full((1, 3, 3), 100, np.uint8)
    levels = to_integers(np.array([0.0, -1.0, 0.5])[None, :, None].repeat(3, 2))
    assert overlay(crop, levels)[0].tolist() == [[100, 100, 100], [255, 0, 0], [178, 50, 50]]
