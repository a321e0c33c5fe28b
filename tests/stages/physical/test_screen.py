from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.screen import ANGLES, LEVELS, STEPS, Screen, dots
from fasgen.stages.physical.sensor import QUAD, Site

SIDE = 128
CENTRE = Site(1, 0.0, 0.0)


def flat(coverage: float, pitch: float, degrees: float, blur: float = 0.2, strength: float = 1.0) -> NDArray[np.float32]:
    """A flat tone under one screen, seen at the middle of every px."""
    y, x = np.indices((SIDE, SIDE), np.float32)
    lattice = Lattice(pitch, float(np.radians(degrees)), (0.3, 0.6), STEPS)
    return Screen(np.full((SIDE, SIDE), coverage, np.float32), x, y, lattice, strength, blur).inked(CENTRE)


@pytest.mark.parametrize("coverage", [0.0, 0.07, 0.3, 0.5, 0.81, 1.0])
@pytest.mark.parametrize("pitch", [1.3, 3.7, 9.0])
def test_a_flat_tone_keeps_its_mean(coverage: float, pitch: float) -> None:
    seen = flat(coverage, pitch, 15.0)
    assert seen.mean() == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("degrees", ANGLES)
@pytest.mark.parametrize("pitch", [4.0, 6.5])
def test_the_spectrum_peaks_at_the_screens_frequency_and_angle(degrees: float, pitch: float) -> None:
    pattern = flat(0.5, pitch, degrees)
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    spectrum = np.abs(np.fft.fft2((pattern - pattern.mean()) * window))
    row, column = np.unravel_index(np.argmax(spectrum), spectrum.shape)
    fy, fx = np.fft.fftfreq(SIDE)[[row, column]]
    assert np.hypot(fx, fy) == pytest.approx(1 / pitch, abs=1 / SIDE)
    turn = np.degrees(np.arctan2(fy, fx)) - degrees
    assert min(turn % 90, -turn % 90) < np.degrees(1 / SIDE * pitch)


def test_without_strength_there_is_tone_only() -> None:
    assert np.array_equal(flat(0.4, 3.0, 45.0, strength=0.0), np.full((SIDE, SIDE), 0.4, np.float32))


def test_coarse_dots_are_ink_or_paper() -> None:
    seen = flat(0.5, 16.0, 0.0, blur=0.0)
    assert np.mean((seen < 0.05) | (seen > 0.95)) > 0.8


def test_blur_wipes_the_dots_out() -> None:
    assert flat(0.5, 2.0, 45.0, blur=0.2).std() > 10 * flat(0.5, 2.0, 45.0, blur=1.5).std()


def test_thresholds_give_the_area_that_is_asked() -> None:
    area = dots().mean((1, 2))
    assert area == pytest.approx(np.arange(LEVELS) / (LEVELS - 1), abs=1 / STEPS**2)


def test_the_quad_sees_the_pattern_at_four_places() -> None:
    y, x = np.indices((8, 8), np.float32)
    lattice = Lattice(8.0, 0.0, (0.0, 0.0), STEPS)
    screen = Screen(np.full((8, 8), 0.5, np.float32), x, y, lattice, 1.0, 0.3)
    moved = Screen(np.full((8, 8), 0.5, np.float32), x + np.float32(0.25), y - np.float32(0.25), lattice, 1.0, 0.3)
    assert np.array_equal(screen.inked(QUAD[1]), moved.inked(CENTRE))
    assert not np.array_equal(screen.inked(QUAD[0]), screen.inked(QUAD[3]))
