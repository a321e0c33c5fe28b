from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.physical.banding import bands


@pytest.mark.parametrize("count", [4.0, 8.0])
def test_bands_repeat_as_often_as_asked(count: float) -> None:
    rows = 256
    factor = bands(rows, depth=0.5, count=count, duty=0.5, opened=0.3, phase=0.2)
    spectrum = np.abs(np.fft.rfft(factor - factor.mean()))
    assert np.argmax(spectrum) == count
    period = int(rows / count)
    assert factor[period:] == pytest.approx(factor[:-period], abs=1e-5)


def test_an_exposure_of_whole_periods_has_no_bands() -> None:
    assert bands(100, depth=1.0, count=3.3, duty=0.4, opened=2.0, phase=0.1) == pytest.approx(1, abs=1e-6)


def test_a_short_exposure_sees_the_light_on_or_off() -> None:
    factor = bands(1000, depth=1.0, count=2.0, duty=0.25, opened=1e-3, phase=0.0)
    assert set(np.round(factor, 3)) >= {0.0, 4.0}
    assert np.mean(factor > 3.9) == pytest.approx(0.25, abs=0.01)


@given(st.floats(0, 1), st.floats(0.05, 1), st.floats(0.05, 2), st.floats(0, 1))
def test_the_mean_over_whole_periods_is_one(depth: float, duty: float, opened: float, phase: float) -> None:
    factor = bands(4000, depth=depth, count=5.0, duty=duty, opened=opened, phase=phase)
    assert factor.mean() == pytest.approx(1, abs=0.01)
    assert factor.min() >= 1 - depth - 1e-4
