"""What goes on from known values: known ones stay, the rest lies between them and falls to 0 beyond the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.stdn.spread import spread


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000), st.floats(0, 1))
def test_known_values_stay_and_the_rest_lies_between(height: int, width: int, seed: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    values, known = draw.normal(size=(2, height, width)), draw.random((height, width)) < share
    made = spread(np.where(known, values, 0), known)
    assert made.shape == values.shape and np.array_equal(made[:, known], values[:, known])
    low, high = (np.where(known, values, 0).min((1, 2)), np.where(known, values, 0).max((1, 2)))
    assert (made.min((1, 2)) >= low - 1e-12).all() and (made.max((1, 2)) <= high + 1e-12).all()


def test_a_line_between_two_walls_is_nearly_straight() -> None:
    """Known along the middle: above and below, far from the ends, the solution of Laplace's equation is linear."""
    values, known = np.zeros((1, 32, 128)), np.zeros((32, 128), np.bool_)
    values[0, 15:17], known[15:17] = 8.0, True
    made = spread(values, known)[0]
    np.testing.assert_allclose(made[:16, 64], 8 * (np.arange(16) + 1) / 16, atol=0.8)
    np.testing.assert_allclose(made, made[::-1, ::-1], atol=1e-9)


@pytest.mark.parametrize("size", [112, 57])
def test_there_is_no_step_at_the_rim(size: int) -> None:
    y, x = np.mgrid[:size, :size] - size / 2
    known = x**2 + y**2 < (size / 4) ** 2
    made = spread(np.where(known, 5.0, 0.0)[None], known)[0]
    assert max(np.abs(np.diff(made, axis=axis)).max() for axis in (0, 1)) < 1.0 and made[0].max() < 1.0
