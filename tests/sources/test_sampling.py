from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fasgen.sources.sampling import Sampling, neighbours, uniform_indices

COUNTS = st.integers(1, 5000)


def policies() -> st.SearchStrategy[Sampling]:
    count, start = st.integers(1, 40), st.integers(0, 50)
    return st.one_of(
        st.builds(Sampling, policy=st.just("uniform"), count=count),
        st.builds(Sampling, policy=st.just("ssdg"), count=count, start=start),
        st.builds(Sampling, policy=st.just("every"), count=count, start=start, step=st.integers(1, 20)),
        st.builds(Sampling, policy=st.just("index"), start=start),
        st.builds(Sampling, policy=st.just("all"), count=count, start=start),
    )


@settings(derandomize=True)
@given(COUNTS, st.integers(1, 200))
def test_uniform_indices(count: int, n: int) -> None:
    indices = uniform_indices(count, n)
    found = [index for index in indices if index is not None]
    assert len(indices) == n and len(found) == min(n, count)
    assert found == sorted(set(found)) and found[0] >= 0 and found[-1] < count
    if count >= n:
        gaps = np.diff([-found[0] - 1, *found, 2 * count - 1 - found[-1]])
        assert gaps.max() - gaps.min() <= 2, "parts are equal up to rounding, at both ends too"
    else:
        assert found == list(range(count)), "a short video gives each frame once"


def test_ten_of_a_hundred() -> None:
    assert uniform_indices(100, 10) == (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
    assert uniform_indices(3, 5) == (0, None, 1, 2, None)


def test_ssdg() -> None:
    """List index 6 + k floor(n / num), of two frames; training takes the first."""
    ssdg = Sampling(policy="ssdg")
    assert ssdg.indices(100) == (6, 56)
    assert ssdg.indices(9) == (6, 1), "modulo n, as AG-FAS has it"
    assert ssdg.indices(6) == (0, 3)
    assert ssdg.indices(1) == (0, None)
    assert Sampling(policy="ssdg", count=1).indices(100) == (6,)
    assert Sampling(policy="ssdg", start=0).indices(100) == (0, 50)


def test_fixed_policies() -> None:
    assert Sampling(policy="every", count=4).indices(20) == (0, 8, 16, None)
    assert Sampling(policy="every", step=5, start=2, count=9).indices(20)[:5] == (2, 7, 12, 17, None)
    assert Sampling(policy="index", start=5).indices(6) == (5,)
    assert Sampling(policy="index", start=5).indices(5) == (None,)
    assert Sampling(policy="all", count=4).indices(3) == (0, 1, 2, None)


@given(policies(), COUNTS)
def test_indices_exist_and_differ(sampling: Sampling, n: int) -> None:
    indices = sampling.indices(n)
    found = [index for index in indices if index is not None]
    assert len(indices) == sampling.rows
    assert len(set(found)) == len(found) and all(0 <= index < n for index in found)
    assert found or sampling.is_fixed, "a policy that knows the length finds a frame in any video"
    if sampling.is_fixed:
        assert all(index in (None, sampling.fixed_index(k)) for k, index in enumerate(indices))


@given(policies(), COUNTS, st.integers(0, 30))
def test_no_frame_stands_in_for_two(sampling: Sampling, n: int, radius: int) -> None:
    indices = sampling.indices(n)
    around = [neighbours(indices, k, radius) for k in range(sampling.rows)]
    taken = [index for index in indices if index is not None] + [index for near in around for index in near]
    assert len(set(taken)) == len(taken)
    for wanted, near in zip(indices, around, strict=True):
        assert wanted is not None or near == ()
        gaps = [abs(index - wanted) for index in near] if wanted is not None else []
        assert gaps == sorted(gaps) and all(1 <= gap <= radius for gap in gaps)


def test_neighbours_go_outwards() -> None:
    assert neighbours((5, 15), 0, 3) == (4, 6, 3, 7, 2, 8)
    assert neighbours((1, 6), 0, 9) == (0, 2, 3), "halfway goes to the earlier request"
    assert neighbours((1, 6), 1, 3) == (5, 7, 4, 8, 9)
    assert neighbours((1, 5), 0, 9) == (0, 2, 3) and 3 not in neighbours((1, 5), 1, 9)
    assert neighbours((0, 1, 2), 1, 9) == ()
    assert neighbours((0, None), 1, 9) == ()


def test_a_number_is_uniform() -> None:
    assert Sampling.model_validate(3) == Sampling(policy="uniform", count=3)
    assert Sampling().rows == 10


@pytest.mark.parametrize(
    ("given_", "complaint"),
    [
        ({"policy": "all"}, "needs count"),
        ({"policy": "every", "step": 4}, "needs count"),
        ({"policy": "uniform", "step": 4}, "has no step"),
        ({"policy": "index", "count": 2}, "has no count"),
        ({"policy": "last"}, "Input should be"),
        (0, "greater than or equal to 1"),
        (True, "valid dictionary"),
    ],
)
def test_settings_that_do_not_fit(given_: Any, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Sampling.model_validate(given_)
