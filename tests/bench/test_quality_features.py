"""What the light probe sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quality.features import BANDS, dct_matrix, features, rings

SIZE = 32


def pictures(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [8, 112])
def test_dct_is_orthonormal(size: int) -> None:
    matrix = dct_matrix(size).astype(np.float64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-5)
    np.testing.assert_allclose(matrix[0], size**-0.5, atol=1e-6)


@pytest.mark.parametrize("size", [32, 112])
def test_rings_grow_with_the_radius_and_leave_the_mean_out(size: int) -> None:
    ring = rings(size)
    assert ring[0, 0] == BANDS
    assert ring.ravel()[1:].max() == BANDS - 1
    along = ring[0, 1:]
    assert (np.diff(along) >= 0).all()
    np.testing.assert_array_equal(ring, ring.T)


@given(st.integers(0, 2**32))
def test_features_do_not_depend_on_company(seed: int) -> None:
    stack = pictures(seed, 70)
    np.testing.assert_allclose(features(stack)[66:69], features(stack[66:69]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_pictures_have_finite_features(value: int) -> None:
    flat = np.full((2, SIZE, SIZE, 3), value, np.uint8)
    assert np.isfinite(features(flat)).all()


def test_residuals_have_the_same_features_as_pictures() -> None:
    stack = pictures(0)
    residuals = stack.astype(np.int16) - 128
    assert features(stack).shape == features(residuals).shape
    # Only what tells the level may differ when it is shifted: the means of R, G, B, Y and of value.
    differ = ~np.isclose(features(stack), features(residuals), atol=1e-2).all(0)
    assert differ.sum() == 5


def test_a_grating_lies_in_its_ring() -> None:
    frequency = 12
    wave = 100 + 50 * dct_matrix(SIZE)[frequency] * np.sqrt(SIZE / 2)
    grating = np.repeat(np.broadcast_to(wave, (1, SIZE, SIZE))[..., None], 3, -1)
    luma = features(grating)[0, :BANDS]
    assert luma.argmax() == rings(SIZE)[0, frequency]
    assert np.sort(luma)[-2] < luma.max() - 10
