"""DDIM by closed forms, by an oracle, and against diffusers where the strides agree."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.defake.ddim import Prediction, abar_schedule, denoise, grid, noised, split, target

ABAR = abar_schedule(1000, 0.00085, 0.012, "scaled_linear")
ONE = torch.ones((), dtype=torch.float64)


@pytest.mark.parametrize(("t", "value"), [(200, 0.754), (400, 0.425), (600, 0.161), (800, 0.037)])
def test_schedule_has_the_published_values(t: int, value: float) -> None:
    assert float(ABAR[t]) == pytest.approx(value, abs=2.5e-3)


def test_grid_of_the_paper_has_41_calls() -> None:
    points = grid(800, 50)
    assert len(points) == 41 and points[0] == 801 and points[-1] == 1 and points[0] - points[1] == 20


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 200, 250, 500, 1000]))
def test_grid_descends_inside_the_schedule(t: int, steps: int) -> None:
    points = grid(t, steps)
    assert points == sorted(set(points), reverse=True)
    assert all(0 <= p <= min(t + 1, 999) for p in points)
    assert (t == 0) <= (points == [])


@given(st.sampled_from(["epsilon", "v_prediction", "sample"]), st.integers(1, 999), st.sampled_from([10, 20, 50]))
def test_oracle_returns_the_latent(prediction: Prediction, t: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(t)
    z_0, eps = torch.randn(2, 3, 4, 5, generator=generator), torch.randn(2, 3, 4, 5, generator=generator)
    points = grid(t, steps)
    if not points:
        return
    z_t = noised(z_0, eps, ABAR[points[0]].float())

    def oracle(z: torch.Tensor, point: int) -> torch.Tensor:
        return target(z_0, eps, ABAR[point].float(), prediction)

    out = denoise(oracle, z_t, points, ABAR, prediction, ONE)
    assert torch.allclose(out, z_0, atol=2e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_split_inverts_noising(prediction: Prediction) -> None:
    z_0, eps, a = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor(0.3)
    back = split(noised(z_0, eps, a), target(z_0, eps, a, prediction), a, prediction)
    assert torch.allclose(back[0], z_0, atol=1e-5) and torch.allclose(back[1], eps, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_agrees_with_diffusers(prediction: Prediction) -> None:
    scheduler = DDIMScheduler(
        1000,
        0.00085,
        0.012,
        "scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        prediction_type=prediction,
    )
    scheduler.set_timesteps(50)
    torch.manual_seed(1)
    z = torch.randn(1, 4, 8, 8)
    weight = torch.randn(4, 4, 1, 1) * 0.3

    def network(x: torch.Tensor, t: int) -> torch.Tensor:
        return torch.tanh(torch.nn.functional.conv2d(x, weight)) * (1 + t / 1000)

    want = z
    for t in scheduler.timesteps:
        want = scheduler.step(network(want, int(t)), int(t), want).prev_sample
    got = denoise(network, z, grid(1000, 50), ABAR, prediction, ONE)
    assert [int(t) for t in scheduler.timesteps] == grid(1000, 50)
    assert torch.allclose(got, want, rtol=1e-3, atol=1e-3)


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="squared"):
        abar_schedule(10, 0.1, 0.2, "squared")
