from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.subpixels import CELL, STEPS, cell, grid

SIDE = 128


def white(layout: str, pitch: float, turn: float = 0.0, blur: float = 0.1, strength: float = 1.0) -> list[NDArray[np.float32]]:
    """R, G, B of a white display."""
    y, x = np.indices((SIDE, SIDE), np.float32)
    lattice = Lattice(pitch * CELL[layout], float(np.radians(turn)), (0.1, 0.2), STEPS[layout])
    return grid(x, y, layout, lattice, strength, blur)


def peak(plane: NDArray[np.float32]) -> tuple[float, float]:
    spectrum = np.abs(np.fft.fft2((plane - plane.mean()) * np.outer(np.hanning(SIDE), np.hanning(SIDE))))
    row, column = np.unravel_index(np.argmax(spectrum[: SIDE // 2]), (SIDE // 2, SIDE))
    return abs(float(np.fft.fftfreq(SIDE)[column])), abs(float(np.fft.fftfreq(SIDE)[row]))


@pytest.mark.parametrize("layout", ["stripe", "pentile"])
def test_each_colour_of_a_cell_has_mean_one(layout: str) -> None:
    assert cell(layout).mean((1, 2)) == pytest.approx(1)


@pytest.mark.parametrize("pitch", [4.0, 6.0])
def test_stripes_repeat_with_the_pitch(pitch: float) -> None:
    for plane in white("stripe", pitch):
        across = plane.mean(0) - plane.mean()
        assert across[int(pitch) :] == pytest.approx(across[: -int(pitch)], abs=1e-5)
        assert peak(np.broadcast_to(across, (SIDE, SIDE)))[0] == pytest.approx(1 / pitch, abs=1 / SIDE)


def test_red_green_and_blue_lie_a_third_of_a_pixel_apart() -> None:
    phases = [np.angle(np.fft.fft(plane.mean(0))[SIDE // 16]) / (2 * np.pi) for plane in white("stripe", 16.0, blur=0.8)]
    # Red's and blue's sites of the quad lie a quarter px to the left and to the right.
    sites = np.array([-0.25, 0.0, 0.25]) / 16
    apart = np.diff(np.array(phases) - sites) % 1
    assert apart == pytest.approx([2 / 3, 2 / 3], abs=0.02)


@pytest.mark.parametrize("pitch", [0.93, 1.08, 0.8])
def test_a_pitch_near_the_cameras_comes_back_as_moire(pitch: float) -> None:
    red = white("stripe", pitch, blur=0.1)[0]
    beat = abs(1 / pitch - round(1 / pitch))
    across, _ = peak(np.broadcast_to(red.mean(0), (SIDE, SIDE)))
    assert across == pytest.approx(beat, abs=1.5 / SIDE)
    assert red.mean(0).std() > 0.05


def test_out_of_focus_there_is_no_moire() -> None:
    assert white("stripe", 0.93, blur=0.8)[0].std() < 0.01


@pytest.mark.parametrize("layout", ["stripe", "pentile"])
@pytest.mark.parametrize("pitch", [0.47, 0.9, 1.7])
def test_the_grid_takes_no_light(layout: str, pitch: float) -> None:
    for plane in white(layout, pitch, turn=3.0):
        assert plane.mean() == pytest.approx(1, abs=0.02)


def test_without_contrast_there_is_no_grid() -> None:
    assert all(np.allclose(plane, 1, atol=1e-6) for plane in white("pentile", 0.5, strength=0.0))
