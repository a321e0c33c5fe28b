"""Samplers by an oracle, by their order of convergence, and against diffusers where the strides agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fasgen.stages.denoising.grids import agfas_grid, exact_grid
from fasgen.stages.denoising.samplers import SAMPLERS, Sampler, advance, walk_table
from fasgen.stages.denoising.schedule import Prediction, abar_schedule, noised, target

ABAR = abar_schedule(1000, 0.00085, 0.012, "scaled_linear")
PREDICTIONS: list[Prediction] = ["epsilon", "v_prediction", "sample"]
NAMES: list[Sampler] = list(SAMPLERS)
Network = Callable[[Tensor, int], Tensor]


def along(points: list[int]) -> Tensor:
    """abar at the points, and 1 at the end."""
    return torch.cat([ABAR[points], torch.ones(1, dtype=torch.float64)])


def walk(network: Network, z_t: Tensor, points: list[int], prediction: Prediction, sampler: Sampler) -> Tensor:
    before = torch.zeros_like(z_t)
    for t, weights in zip(points, walk_table(along(points), prediction, sampler), strict=True):
        z_t, before = advance(z_t, before, network(z_t, t), weights)
    return z_t


@given(
    st.sampled_from(PREDICTIONS),
    st.sampled_from(NAMES),
    st.integers(1, 1000),
    st.sampled_from([1, 2, 3, 10, 41]),
    st.booleans(),
)
def test_an_oracle_returns_the_latent(prediction: Prediction, sampler: Sampler, t: int, calls: int, paper: bool) -> None:
    generator = torch.Generator().manual_seed(t)
    z_0, eps = torch.randn(2, 3, 4, 5, generator=generator), torch.randn(2, 3, 4, 5, generator=generator)
    points = agfas_grid(t, 50) if paper else exact_grid(t, calls)
    z_t = noised(z_0, eps, ABAR[points[0]].float())
    out = walk(lambda z, p: target(z_0, eps, ABAR[p].float(), prediction), z_t, points, prediction, sampler)
    assert torch.allclose(out, z_0, atol=2e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ddim_agrees_with_diffusers(prediction: Prediction) -> None:
    scheduler = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=True, steps_offset=1,
        prediction_type=prediction,
    )  # fmt: skip
    scheduler.set_timesteps(50)
    z, network = toy()
    want = z
    for t in scheduler.timesteps:
        want = scheduler.step(network(want, int(t)), int(t), want).prev_sample
    points = agfas_grid(1000, 50)
    assert [int(t) for t in scheduler.timesteps] == points
    assert torch.allclose(walk(network, z, points, prediction, "ddim"), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_dpmpp_2m_agrees_with_diffusers(prediction: Prediction) -> None:
    scheduler = DPMSolverMultistepScheduler(
        1000, 0.00085, 0.012, "scaled_linear", solver_order=2, algorithm_type="dpmsolver++", final_sigmas_type="zero",
        euler_at_final=True, timestep_spacing="trailing", prediction_type=prediction,
    )  # fmt: skip
    scheduler.set_timesteps(20)
    z, network = toy()
    want = z
    for t in scheduler.timesteps:
        want = scheduler.step(network(want, int(t)), t, want).prev_sample
    got = walk(network, z, [int(t) for t in scheduler.timesteps], prediction, "dpmpp_2m")
    assert torch.allclose(got, want, rtol=1e-3, atol=1e-3)


def toy() -> tuple[Tensor, Network]:
    """Noise, and a network that answers to it and to the time."""
    torch.manual_seed(1)
    z, weight = torch.randn(1, 4, 8, 8), torch.randn(4, 4, 1, 1) * 0.3
    return z, lambda x, t: torch.tanh(torch.nn.functional.conv2d(x, weight)) * (1 + t / 1000)


def gaussian(points: list[int], sampler: Sampler) -> float:
    """Error of a walk for data of one normal distribution, whose flow from t to clean has a closed form: times s / sigma_t."""
    spread = 0.5

    def network(z: Tensor, t: int) -> Tensor:
        a = ABAR[t]
        return (z * a.sqrt() * spread**2 / (a * spread**2 + 1 - a)).float()  # the mean of z_0, given z_t

    a = ABAR[points[0]]
    want = spread / (a * spread**2 + 1 - a).sqrt()
    return abs(float(walk(network, torch.ones(1, 1, 1, 1), points, "sample", sampler)) - float(want))


def test_the_second_order_and_the_quadratic_grid_pay() -> None:
    """On a flow that is known: more calls come nearer, the second order nearer, the quadratic grid nearer still."""
    for sampler in NAMES:
        errors = [gaussian(exact_grid(800, calls), sampler) for calls in (5, 10, 20, 40)]
        assert errors == sorted(errors, reverse=True)
    for calls in (5, 10, 20):
        even, quadratic = exact_grid(800, calls), exact_grid(800, calls, "quadratic")
        assert gaussian(even, "dpmpp_2m") < 0.9 * gaussian(even, "ddim")
        assert gaussian(quadratic, "dpmpp_2m") < 0.5 * min(gaussian(quadratic, "ddim"), gaussian(even, "dpmpp_2m"))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=4), st.integers(1, 12), st.sampled_from(NAMES))
def test_samples_with_grids_of_their_own_do_not_meet(t: list[int], calls: int, sampler: Sampler) -> None:
    from fasgen.stages.denoising.grids import levels

    by_level = torch.cat([torch.ones(1, dtype=torch.float64), ABAR])
    table = walk_table(by_level[levels(torch.tensor(t), calls)], "epsilon", sampler)
    assert table.shape == (calls, 5, len(t)) and bool(table.isfinite().all())
    for column, own in enumerate(t):
        alone = walk_table(by_level[levels(torch.tensor([own]), calls)], "epsilon", sampler)
        assert torch.equal(alone[..., 0], table[..., column])
        if not own:
            still = torch.tensor([1.0, 0.0, 0.0]).expand(calls, 3)
            assert torch.equal(table[:, 2:, column], still)
