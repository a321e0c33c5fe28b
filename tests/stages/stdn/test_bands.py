"""Bands add up to the image, and each holds what its name says."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.stdn.bands import HIGH_GAIN, MID_GAIN, banded, bands, cuts, low


@given(st.integers(0, 2**32 - 1), st.sampled_from([16, 32, 48, 112]))
def test_the_bands_add_up_to_the_image(seed: int, size: int) -> None:
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(sum(bands(x)), x, atol=1e-6)  # type: ignore[arg-type]


def test_the_cuts_are_the_papers_at_its_size() -> None:
    assert cuts(256) == (64, 128) and cuts(112) == (28, 56)


def test_a_flat_image_is_all_in_the_low_band() -> None:
    one, two, three = bands(torch.full((1, 3, 32, 32), 0.3))
    assert torch.allclose(one, torch.tensor(0.3)) and not two.abs().gt(1e-6).any() and not three.abs().gt(1e-6).any()


def test_a_chequerboard_is_all_in_the_high_band() -> None:
    """Averages of 2 x 2 px are flat, so nothing of the pattern is left below n2."""
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float().expand(1, 3, 32, 32)
    one, two, three = bands(board)
    assert torch.allclose(one, torch.tensor(0.5)) and torch.allclose(two, torch.tensor(0.0), atol=1e-6)
    assert torch.allclose(three, board - 0.5)


def test_a_wave_between_the_cuts_is_mostly_in_the_middle() -> None:
    """Six px a period at 32 px: above n1 = 8 samples, below n2 = 16."""
    wave = torch.sin(2 * math.pi * torch.arange(48) / 6).expand(1, 3, 48, 48)
    energy = [float(band[..., 8:-8].square().mean()) for band in bands(wave)]
    assert energy[1] > 2 * energy[0] and energy[1] > energy[2]


def test_low_is_a_mean_over_cells_between_whose_middles_it_is_linear() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, :, 2:] = 1
    assert torch.allclose(low(x, 2)[0, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_the_input_amplifies_the_faint_bands() -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    one, two, three = banded(x).split(3, 1)
    assert torch.allclose(one + two / MID_GAIN + three / HIGH_GAIN, x, atol=1e-6)
    assert MID_GAIN == 15 and HIGH_GAIN == 25
