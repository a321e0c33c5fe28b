"""Every loss of LGSC against a loop, and where its value is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fasgen.stages.lgsc.losses import all_triplets, regression, triplets


def by_loop(feature: Tensor, live: list[bool], margin: float) -> float:
    """The definition, one triplet after the other, in NumPy."""
    v = feature.double().numpy()
    v = v.reshape(*v.shape[:2], -1).mean(2)
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    found = []
    for a in range(len(v)):
        for p in range(len(v)):
            for n in range(len(v)):
                if live[a] and live[p] and a != p and not live[n]:
                    found.append(max(0.0, np.linalg.norm(v[a] - v[p]) - np.linalg.norm(v[a] - v[n]) + margin))
    positive = [x for x in found if x > 0]
    return sum(positive) / len(positive) if positive else 0.0


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**31), st.sampled_from([0.1, 0.5, 1.5]))
def test_triplets_are_those_of_the_loop(lives: int, spoofs: int, seed: int, margin: float) -> None:
    count = lives + spoofs
    feature = torch.randn(count, 5, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    wanted = by_loop(feature, [i < lives for i in range(count)], margin) if count else 0.0
    assert float(triplets(feature, lives, margin)) == pytest.approx(wanted, abs=1e-5)


def on_circle(*degrees: float) -> Tensor:
    return torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])


@pytest.mark.parametrize("angle", [0.0, 10.0, 25.0, 28.9])
def test_live_faces_in_one_place_leave_the_margin_less_the_chord(angle: float) -> None:
    """d_ap = 0 and d_an = 2 sin(angle / 2): the distance itself, not its square."""
    lives = 2
    expected = 0.5 - 2 * math.sin(math.radians(angle) / 2)
    assert float(triplets(on_circle(0, 0, angle), lives)) == pytest.approx(max(0.0, expected), abs=1e-6)


def test_the_sum_is_over_those_above_zero_alone() -> None:
    """Of the triplets of two live faces and two spoofs, the far spoof's are at rest and do not count."""
    lives = 2
    near = 0.5 - 2 * math.sin(math.radians(10) / 2)
    assert float(triplets(on_circle(0, 0, 10, 180), lives)) == pytest.approx(near, abs=1e-6)


def test_length_does_not_count() -> None:
    lives, feature = 2, torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    scaled = feature * torch.tensor([[3.0], [0.2], [7.0]])
    assert torch.allclose(triplets(feature, lives), triplets(scaled, lives), atol=1e-6)


def test_a_spoof_is_never_an_anchor() -> None:
    """Spoofs far from each other cost nothing, however near to one of them a live face may be told from them all."""
    lives = 1
    assert float(triplets(on_circle(0, 90, 180), lives)) == 0.0  # one live face: no positive for it
    lives = 2
    assert float(triplets(on_circle(0, 0, 120, 240), lives)) == 0.0


def test_gradients_are_finite_where_faces_coincide() -> None:
    feature = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    triplets(feature, 2).backward()  # type: ignore[no-untyped-call]
    assert feature.grad is not None and torch.isfinite(feature.grad).all()


def test_levels_add_up() -> None:
    lives = 2
    levels = [on_circle(0, 0, 10), on_circle(0, 0, 20), on_circle(0, 0, 90)]
    assert float(all_triplets(levels, lives)) == pytest.approx(sum(float(triplets(level, lives)) for level in levels))


def test_a_cue_of_zero_costs_nothing_and_spoofs_never_do() -> None:
    lives = 2
    cue = torch.zeros(3, 3, 4, 5)
    assert float(regression(cue, lives)) == 0.0
    cue[2] = 1.0
    assert float(regression(cue, lives)) == 0.0


@given(st.integers(1, 4), st.integers(0, 4), st.floats(-1, 1, width=32))
def test_regression_is_the_mean_over_live_faces(lives: int, spoofs: int, value: float) -> None:
    cue = torch.full((lives + spoofs, 3, 4, 5), value)
    assert float(regression(cue, lives)) == pytest.approx(abs(value), abs=1e-6)
    assert float(regression(cue, 0)) == 0.0
    made = torch.randn(cue.shape, generator=torch.Generator().manual_seed(0))
    assert float(regression(made, lives)) == pytest.approx(float(made[:lives].abs().sum()) / (lives * 60), rel=1e-5)
