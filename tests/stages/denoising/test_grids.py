"""Grids begin where they say."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.denoising.grids import Spacing, agfas_grid, exact_grid, levels

DIVISORS = [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 200, 250, 500, 1000]


def test_grid_of_the_paper_has_41_calls() -> None:
    points = agfas_grid(800, 50)
    assert len(points) == 41 and points[0] == 801 and points[-1] == 1 and points[0] - points[1] == 20


def test_the_papers_grid_begins_below_a_t_that_it_does_not_hold() -> None:
    assert agfas_grid(799, 50)[0] == 781 and exact_grid(799, 40)[0] == 799


@given(st.integers(0, 1000), st.sampled_from(DIVISORS))
def test_the_papers_grid_descends_inside_the_schedule(t: int, steps: int) -> None:
    points = agfas_grid(t, steps)
    assert points == sorted(set(points), reverse=True)
    assert all(0 <= p <= min(t + 1, 999) for p in points)
    assert (t == 0) <= (points == [])


@given(st.integers(0, 1000), st.integers(1, 60), st.sampled_from(["even", "quadratic"]))
def test_an_exact_grid_begins_at_t(t: int, calls: int, spacing: Spacing) -> None:
    points = exact_grid(t, calls, spacing)
    assert len(points) == min(calls, t) if spacing == "even" else bool(t) <= len(points) <= min(calls, t)
    assert points == sorted(set(points), reverse=True) and all(0 < p <= 999 for p in points)
    if t:
        strides = [a - b for a, b in zip(points, [*points[1:], 0], strict=True)]
        assert points[0] == min(t, 999)
        assert spacing == "quadratic" or max(strides) - min(strides) <= 1 + (t == 1000)


def test_the_quadratic_grid_has_known_levels() -> None:
    assert exact_grid(800, 5, "quadratic") == [800, 512, 288, 128, 32]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.integers(1, 60), st.sampled_from(["even", "quadratic"]))
def test_grids_of_a_batch_start_at_t_and_end_at_zero(t: list[int], calls: int, spacing: Spacing) -> None:
    grid = levels(torch.tensor(t), calls, spacing)
    assert grid.shape == (calls + 1, len(t))
    assert grid[0].tolist() == t and not grid[-1].any()
    steps = grid[:-1] - grid[1:]
    assert bool((steps >= 0).all())
    assert spacing == "quadratic" or bool((steps.amax(0) - steps.amin(0) <= 1).all())
    for column, own in enumerate(t):
        assert torch.equal(levels(torch.tensor([own]), calls, spacing)[:, 0], grid[:, column])
