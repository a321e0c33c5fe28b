"""Sampling: schedule, grids, guidance to the bit, an oracle, and that no sample depends on its neighbours."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fasgen.stages.denoising.schedule import target
from fasgen.stages.synth.difffas.diffusion import (
    Schedule,
    drop_style,
    guided,
    level_likelihood,
    levels,
    passes_for,
    posterior,
    sample,
    variational_bound,
)

from .tiny import images

ABAR = Schedule().abar()
KINDS = ["epsilon", "v_prediction", "sample"]


def noise_of(count: int, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("step", "value"), [(100, 0.895), (250, 0.521), (500, 0.078), (800, 0.0015)])
def test_schedule_has_the_published_values(step: int, value: float) -> None:
    """Published for time steps counted from 0, which are levels counted from 1."""
    assert float(ABAR[step + 1]) == pytest.approx(value, abs=6e-4)
    assert float(ABAR[0]) == 1


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.integers(1, 60))
def test_grids_start_at_t_and_end_at_zero(t: list[int], points: int) -> None:
    grid = levels(torch.tensor(t), points)
    assert grid.shape == (points + 1, len(t))
    assert grid[0].tolist() == t and not grid[-1].any()
    steps = grid[:-1] - grid[1:]
    assert bool((steps >= 0).all())
    assert bool((steps.amax(0) - steps.amin(0) <= 1).all())
    for column, own in enumerate(t):
        assert torch.equal(levels(torch.tensor([own]), points)[:, 0], grid[:, column])


def oracle(z_0: Tensor, kind: Any) -> Any:
    """A network that knows the clean image."""

    def network(z_t: Tensor, step: Tensor, null: Tensor | None) -> tuple[Tensor, None]:
        a = ABAR[step + 1].float()[:, None, None, None]
        eps = (z_t - a.sqrt() * z_0) / (1 - a).sqrt()
        return target(z_0.expand_as(z_t), eps, a, kind), None

    return network


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@given(st.sampled_from(KINDS), st.lists(st.integers(1, 1000), min_size=3, max_size=3), st.integers(1, 30))
def test_an_oracle_returns_its_target_at_any_t(sampler: Any, kind: Any, t: list[int], steps: int) -> None:
    z_0, live = images(3, 8), images(3, 8, seed=1)
    out = sample(
        oracle(z_0, kind),
        live,
        noise_of(3),
        torch.tensor(t),
        torch.ones(3),
        steps,
        Schedule(prediction_type=kind),
        sampler=sampler,
        step_noise=lambda i: noise_of(3, seed=i + 1),
    )
    assert torch.allclose(out, z_0, atol=1e-3)


def test_the_start_is_the_noised_live_face_at_its_own_level() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def network(z_t: Tensor, step: Tensor, null: Tensor | None) -> tuple[Tensor, None]:
        seen.append((z_t.clone(), step.clone()))
        return torch.zeros_like(z_t), None

    live, noise, t = images(2, 8), noise_of(2), torch.tensor([250, 40])
    sample(network, live, noise, t, torch.ones(2), 10, Schedule())
    a = ABAR[t].float()[:, None, None, None]
    assert torch.allclose(seen[0][0], a.sqrt() * live + (1 - a).sqrt() * noise)
    assert seen[0][1].tolist() == [249, 39] and len(seen) == 10
    assert [s.tolist() for _, s in seen][-1] == [24, 3]


def toy(z_t: Tensor, step: Tensor, null: Tensor | None) -> tuple[Tensor, Tensor]:
    """Depends on everything; sample by sample."""
    away = torch.zeros(len(z_t)) if null is None else null.float()
    out = torch.sin(z_t * 2 + step[:, None, None, None] / 300) - 0.3 * away[:, None, None, None]
    return out, torch.cos(out)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("kind", KINDS)
def test_gamma_one_is_the_conditional_pass_and_gamma_zero_the_null_pass(kind: Any, sampler: Any) -> None:
    schedule, t = Schedule(prediction_type=kind), torch.tensor([300, 120, 7])

    def run(gamma: list[float], passes: Any) -> Tensor:
        return sample(
            toy, images(3, 8), noise_of(3), t, torch.tensor(gamma), 9, schedule, sampler=sampler,
            step_noise=lambda i: noise_of(3, seed=i + 1), passes=passes,
        )  # fmt: skip

    conditional, null = run([7, 7, 7], "conditional"), run([7, 7, 7], "null")
    assert torch.equal(run([1, 1, 1], "auto"), conditional) and torch.equal(run([1, 1, 1], "both"), conditional)
    assert torch.equal(run([0, 0, 0], "auto"), null)
    mixed = run([1, 0, 2], "auto")
    assert torch.equal(mixed[0], conditional[0])
    assert not torch.allclose(mixed[2], conditional[2], atol=1e-4)
    if sampler == "ddim":
        # DDPM takes its variance from the pass under the style, whatever gamma is.
        assert torch.equal(mixed[1], null[1])


def test_passes_are_as_few_as_the_gammas_allow() -> None:
    assert passes_for(torch.tensor([1.0, 1.0])) == "conditional"
    assert passes_for(torch.tensor([0.0, 0.0])) == "null"
    assert passes_for(torch.tensor([0.0, 1.0])) == "both"


@pytest.mark.parametrize("kind", KINDS)
def test_guiding_the_prediction_guides_the_noise(kind: Any) -> None:
    a, z_t = torch.tensor(0.3), noise_of(2)
    one, two = images(2, 8), images(2, 8, seed=3)
    gamma = torch.tensor([1.7, 2.5])

    def noise(z_0: Tensor) -> Tensor:
        return (z_t - a.sqrt() * z_0) / (1 - a).sqrt()

    from fasgen.stages.denoising.schedule import split

    said = guided(target(one, noise(one), a, kind), target(two, noise(two), a, kind), gamma)
    g = gamma[:, None, None, None]
    assert torch.allclose(split(z_t, said, a, kind)[1], noise(two) + g * (noise(one) - noise(two)), atol=1e-5)


@given(st.integers(0, 2), st.integers(0, 1000), st.sampled_from([0.0, 1.0, 2.5]))
def test_a_sample_does_not_depend_on_its_neighbours(place: int, t: int, gamma: float) -> None:
    def run(others: int) -> Tensor:
        live, noise = images(3, 8, seed=others), noise_of(3, seed=others)
        live[place], noise[place] = images(1, 8, seed=77)[0], noise_of(1, seed=77)[0]
        levels_of, gammas = torch.tensor([10, 500, 1000]) - others, torch.tensor([0.5, 1.0, 3.0]) + others
        levels_of[place], gammas[place] = t, gamma
        return sample(toy, live, noise, levels_of, gammas, 12, Schedule(), passes="both")[place]

    assert torch.equal(run(1), run(2))


def test_t_zero_returns_the_live_face() -> None:
    live = images(2, 8)
    assert torch.equal(sample(toy, live, noise_of(2), torch.zeros(2), torch.full((2,), 3.0), 5, Schedule()), live)
    mixed = sample(toy, live, noise_of(2), torch.tensor([0, 400]), torch.full((2,), 3.0), 5, Schedule())
    assert torch.equal(mixed[0], live[0]) and not torch.allclose(mixed[1], live[1])


def test_a_clean_image_outside_the_range_is_clamped_if_asked_for() -> None:
    bright = torch.full((1, 3, 8, 8), 3.0)
    args = (torch.zeros(1, 3, 8, 8), noise_of(1), torch.tensor([500]), torch.ones(1), 5)
    assert torch.allclose(sample(oracle(bright, "sample"), *args, Schedule(prediction_type="sample")), torch.ones(1), atol=1e-4)
    free = Schedule(prediction_type="sample", clip_sample=False)
    assert torch.allclose(sample(oracle(bright, "sample"), *args, free), bright, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"), [({"sampler": "ddpm"}, "noise for every step"), ({"t": torch.tensor([1001])}, "level of 0 to 1000")]
)
def test_wrong_calls_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"live": images(1, 8), "noise": noise_of(1), "t": torch.tensor([5]), "gamma": torch.ones(1)}
    with pytest.raises(ValueError, match=message):
        sample(toy, steps=3, schedule=Schedule(), **(arguments | changes))


def test_posterior_of_single_steps_is_ddpms() -> None:
    """DDPM, Eq. 7, written with alpha and beta of the step itself."""
    t = 300
    beta = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)[t - 1]
    a_t, a_s = ABAR[t], ABAR[t - 1]
    of_z_0, of_z_t, log_variance = posterior(a_t, a_s, None)
    assert float(of_z_0) == pytest.approx(float(a_s.sqrt() * beta / (1 - a_t)))
    assert float(of_z_t) == pytest.approx(float((1 - beta).sqrt() * (1 - a_s) / (1 - a_t)))
    assert float(log_variance.exp()) == pytest.approx(float((1 - a_s) / (1 - a_t) * beta))
    assert float(posterior(a_t, a_s, torch.ones(1))[2].exp()) == pytest.approx(float(beta), rel=1e-5)
    assert float(posterior(a_t, a_s, -torch.ones(1))[2].exp()) == pytest.approx(float(log_variance.exp()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_is_zero_for_a_perfect_model_and_never_less(kind: Any) -> None:
    z_0, eps, t = images(4, 8), noise_of(4), torch.tensor([2, 50, 500, 1000])
    a = ABAR[t].float()[:, None, None, None]
    z_t = a.sqrt() * z_0 + (1 - a).sqrt() * eps
    schedule = Schedule(prediction_type=kind)
    right = target(z_0, eps, a, kind)
    lowest = torch.full_like(z_0, -1.0)
    perfect = variational_bound(z_0, z_t, t, right, lowest, schedule, ABAR)
    assert torch.allclose(perfect, torch.zeros(4), atol=1e-4)
    for output, variance in ((right + 0.1, lowest), (right, lowest + 1), (right * 0, lowest + 2)):
        assert bool((variational_bound(z_0, z_t, t, output, variance, schedule, ABAR) > -1e-6).all())


def test_the_bound_teaches_the_variance_and_nothing_else() -> None:
    z_0, t = images(2, 8), torch.tensor([1, 300])
    output, variance = torch.zeros_like(z_0, requires_grad=True), torch.zeros_like(z_0, requires_grad=True)
    bits = variational_bound(z_0, noise_of(2), t, output, variance, Schedule(), ABAR)
    bits.sum().backward()
    assert bool(torch.isfinite(bits).all()) and output.grad is None
    assert variance.grad is not None and bool(variance.grad[0].any()) and bool(variance.grad[1].any())


def test_the_levels_of_a_picture_share_all_the_probability() -> None:
    x = (torch.arange(256) / 127.5 - 1).float()
    for mean, deviation in ((0.0, 0.02), (0.9, 0.3), (-1.2, 0.05)):
        total = level_likelihood(x, torch.tensor(mean), torch.tensor(2 * math.log(deviation))).exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-3)


def test_styles_are_dropped_at_their_rate_from_the_generator_alone() -> None:
    first = drop_style(20_000, 0.2, torch.Generator().manual_seed(4))
    assert torch.equal(first, drop_style(20_000, 0.2, torch.Generator().manual_seed(4)))
    assert float(first.float().mean()) == pytest.approx(0.2, abs=0.01)
