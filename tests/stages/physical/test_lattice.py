from __future__ import annotations

import numpy as np
import pytest

from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.sensor import PIXEL, QUAD, Site
from fasgen.stages.physical.subpixels import STEPS, cell

FINE = 40


def area_averaged(lattice: Lattice, pattern: np.ndarray, site: Site, side: int) -> np.ndarray:
    """The pattern drawn at FINE x FINE samples a sensor pixel and averaged over each pixel: what the lookup stands for."""
    offset = ((np.arange(FINE) + 0.5) / FINE - 0.5) * PIXEL
    places = np.arange(side)[:, None] + offset[None, :]
    x, y = (places + site.x).ravel()[None, :], (places + site.y).ravel()[:, None]
    c, s = np.cos(lattice.turn), np.sin(lattice.turn)
    steps = pattern.shape[0]
    u = np.floor(((x * c + y * s) / lattice.pitch + 0.5 / steps) * steps).astype(int) % steps
    v = np.floor(((y * c - x * s) / lattice.pitch + 0.5 / steps) * steps).astype(int) % steps
    drawn = pattern[v, u]
    return np.asarray(drawn.reshape(side, FINE, side, FINE).mean((1, 3)))


@pytest.mark.parametrize("degrees", [0.0, 3.0, 27.0])
@pytest.mark.parametrize("pitch", [0.9, 1.4, 4.2])
@pytest.mark.parametrize("layout", ["stripe", "pentile"])
def test_the_lookup_is_the_area_average_of_a_fine_rendering(degrees: float, pitch: float, layout: str) -> None:
    side, steps = 12, STEPS[layout]
    lattice = Lattice(pitch, float(np.radians(degrees)), (0.0, 0.0), steps)
    y, x = np.indices((side, side), np.float32)
    pattern = cell(layout)[0]
    table = np.fft.irfft2(np.fft.rfft2(pattern) * lattice.transfer(0.0), s=(steps, steps)).ravel()
    for site in QUAD:
        seen = table[lattice.index(x, y, site)]
        wanted = area_averaged(lattice, pattern, site, side)
        # Phases are known to 1/steps of a period, within which a sharp pattern averaged over a pixel changes by up to
        # (largest value) x (period / steps) / pixel.
        assert np.abs(seen - wanted).max() <= 1.1 * pattern.max() * pitch / steps / PIXEL
        assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.97


def test_a_pixel_as_wide_as_the_period_sees_nothing() -> None:
    transfer = Lattice(PIXEL, 0.0, (0.0, 0.0), 32).transfer(0.0)
    assert transfer[0, 0] == 1
    assert np.abs(transfer[0, 1:]).max() < 1e-6 and np.abs(transfer[1:, 0]).max() < 1e-6


def test_the_lens_takes_what_a_gaussian_takes() -> None:
    sharp, soft = (Lattice(2.0, 0.0, (0.0, 0.0), 32).transfer(blur) for blur in (0.0, 0.4))
    assert soft[0, 1] / sharp[0, 1] == pytest.approx(np.exp(-2 * np.pi**2 * 0.2**2))


def test_places_left_of_the_origin_have_phases_too() -> None:
    lattice = Lattice(2.0, 0.0, (0.0, 0.0), 32)
    x, y = np.array([[-7.0, -5.0, 1.0, 3.0]], np.float32), np.zeros((1, 4), np.float32)
    index = lattice.index(x, y, Site(1, 0.0, 0.0))
    assert set(index.ravel()) == {16}
