"""The plain clues: colours that are bent, gratings over a picture."""

from __future__ import annotations

import numpy as np
import pytest

from fasgen.stages.physical.clues import CHANNELS, crossed, jittered
from fasgen.stages.physical.sheet import View
from tests.stages.physical.pictures import picture

STILL = dict.fromkeys(("colour", "black", "white", "softness", *(f"{c}_{k}" for c in CHANNELS for k in ("gamma", "gain"))), 0.0)
GRATING = {"moire_pitch": 4.0, "moire_stretch": 0.1, "moire_angle": 30.0, "moire_turn": 5.0, "texture": 7}


def test_a_channel_is_bent_and_the_others_are_left() -> None:
    live = picture(40, 48)
    made = jittered(live, STILL | {"red_gamma": 1.0, "red_gain": -0.5})
    assert made[..., 0] == pytest.approx(live[..., 0].astype(float) ** 2 / 255 / 2, abs=0.51)
    assert np.array_equal(made[..., 1:], live[..., 1:])


def test_colour_goes_and_levels_come_nearer() -> None:
    live = picture(40, 48)
    grey = jittered(live, STILL | {"colour": -1.0})
    assert np.ptp(grey, axis=-1).max() == 0
    flat = jittered(live, STILL | {"black": 0.1, "white": 0.2})
    assert flat == pytest.approx(25.5 + live * 0.7, abs=0.51)


def test_a_pattern_has_the_contrast_asked_and_no_mean() -> None:
    grey = np.full((96, 96, 3), 100, np.uint8)
    made = crossed(grey, View(96, 96), STILL | GRATING | {"moire": 0.2}).astype(float)
    assert np.abs(made - 100).max() <= 20.5 and np.abs(made - 100).max() > 15
    # The product of two sines has half of its power in a slow beat, which the picture need not hold whole.
    assert made.mean() == pytest.approx(100, abs=6)
    assert np.array_equal(crossed(grey, View(96, 96), STILL | GRATING | {"moire": 0.0}), grey)


def test_the_colours_of_a_pattern_are_out_of_step() -> None:
    grey = np.full((96, 96, 3), 100, np.uint8)
    made = crossed(grey, View(96, 96), STILL | GRATING | {"moire": 0.2}).astype(float) - 100
    assert np.abs(made[..., 0] - made[..., 1]).mean() > 2
