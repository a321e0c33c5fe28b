from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.physical.inks import absorption, printed, separate
from fasgen.stages.physical.tone import Plane


def on_paper(colour: tuple[float, float, float], gamut: float = 1.0, dot_gain: float = 0.0, limit: float = 4.0) -> Plane:
    light = np.broadcast_to(np.array(colour, np.float32), (2, 2, 3)).copy()
    return printed(separate(light, gamut, dot_gain, limit), gamut)[0, 0]


def chroma(colour: Plane) -> float:
    return float((colour.max() - colour.min()) / colour.max())


@settings(max_examples=60)
@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_block_dyes_print_every_colour(colour: tuple[float, float, float]) -> None:
    assert on_paper(colour, gamut=0.0) == pytest.approx(colour, abs=2e-3)


@pytest.mark.parametrize("grey", [0.02, 0.18, 0.5, 1.0])
@pytest.mark.parametrize("gamut", [0.3, 0.77, 1.0])
def test_greys_stay_grey_and_as_light(grey: float, gamut: float) -> None:
    assert on_paper((grey,) * 3, gamut) == pytest.approx([grey] * 3, abs=6e-3)


@pytest.mark.parametrize("colour", [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.6, 0.1)])
def test_green_and_blue_lose_saturation_with_the_gamut(colour: tuple[float, float, float]) -> None:
    chromas = [chroma(on_paper(colour, gamut)) for gamut in (0.0, 0.5, 1.0)]
    assert chromas[0] > chromas[1] > chromas[2]
    assert on_paper(colour, 1.0).max() < 0.75 * max(colour)


def test_solid_inks_absorb_as_the_table_says() -> None:
    alpha = absorption(1.0)
    one, none = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    for ink in range(4):
        light = printed([one if other == ink else none for other in range(4)], 1.0)[0, 0]
        assert light == pytest.approx(1 - alpha[ink], abs=1e-6)


@settings(max_examples=40)
@given(
    st.tuples(*[st.floats(0, 1)] * 3),
    st.floats(0, 1),
    st.floats(0, 0.25),
    st.floats(1, 4),
    st.tuples(*[st.floats(-0.25, 0.25)] * 3),
)
def test_coverages_keep_their_bounds(
    colour: tuple[float, float, float], gamut: float, gain: float, limit: float, casts: tuple[float, float, float]
) -> None:
    inks = separate(np.broadcast_to(np.array(colour, np.float32), (1, 1, 3)).copy(), gamut, gain, limit, casts)
    assert all(ink.min() >= -1e-6 and ink.max() <= 1 + 1e-5 for ink in inks)
    assert sum(float(ink.max()) for ink in inks) <= limit + 1e-4


def test_dots_of_one_half_gain_what_is_asked() -> None:
    light = np.full((1, 1, 3), 0.5, np.float32)
    before, after = separate(light, 0.0, 0.0, 4.0), separate(light, 0.0, 0.1, 4.0)
    for first, second in zip(before, after, strict=True):
        assert second - first == pytest.approx(0.4 * first * (1 - first), abs=1e-5)


@pytest.mark.parametrize("own", range(3))
def test_an_ink_that_spreads_more_takes_its_own_light_from_greys(own: int) -> None:
    light = np.full((1, 1, 3), 0.5, np.float32)
    casts = [0.1 if ink == own else 0.0 for ink in range(3)]
    even, tinted = printed(separate(light, 0.0, 0.0, 4.0), 0.0)[0, 0], printed(separate(light, 0.0, 0.0, 4.0, casts), 0.0)[0, 0]
    lost = even - tinted
    assert lost[own] > 0.05 and np.delete(lost, own) == pytest.approx([0, 0], abs=1e-6)
