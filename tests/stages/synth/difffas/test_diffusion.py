"""Sampling: schedule, grids, guidance to the bit, an oracle, and that no sample depends on its neighbours."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fasgen.stages.denoising.samplers import advance, walk_table
from fasgen.stages.denoising.schedule import noised, split, target
from fasgen.stages.synth.difffas.diffusion import (
    Move,
    Passes,
    Schedule,
    ancestral,
    drop_style,
    guided,
    level_likelihood,
    move,
    passes_for,
    posterior,
    sample,
    variational_bound,
    walk_of,
)

from .tiny import images

ABAR = Schedule().abar()
KINDS = ["epsilon", "v_prediction", "sample"]
SAMPLERS = ["ddim", "dpmpp_2m", "ddpm"]


def noise_of(count: int, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("step", "value"), [(100, 0.895), (250, 0.521), (500, 0.078), (800, 0.0015)])
def test_schedule_has_the_published_values(step: int, value: float) -> None:
    """Published for time steps counted from 0, which are levels counted from 1."""
    assert float(ABAR[step + 1]) == pytest.approx(value, abs=6e-4)
    assert float(ABAR[0]) == 1


def walked(
    network: Any,
    live: Tensor,
    t: Tensor,
    gamma: Tensor,
    steps: int,
    schedule: Schedule,
    passes: Passes | None = None,
    **how: Any,
) -> Tensor:
    """All of a walk, with ``network(z_t, step, null)``; noise is that of seed 0, and of the next seeds at the steps."""
    count, device = len(live), torch.device("cpu")
    passes = passes or passes_for(gamma)
    both = how.pop("guided_calls", steps) if passes == "both" else 0
    alone = torch.full((count,), passes == "null")
    halves = torch.arange(2 * count) >= count

    def take(z_t: Tensor, before: Tensor, by: Move, draw: Tensor | None) -> tuple[Tensor, Tensor]:
        def told(z: Tensor, step: Tensor) -> tuple[Tensor, Tensor | None]:
            found: tuple[Tensor, Tensor | None] = network(z, step, alone if by.gamma is None else halves)
            return found

        return move(told, z_t, before, by, draw, schedule.clip_sample)

    walk = walk_of(t, gamma, steps, schedule, device, guided_calls=both, **how)
    return sample(take, live, noise_of(count), walk, lambda i: noise_of(count, seed=i + 1))


def oracle(z_0: Tensor, kind: Any) -> Any:
    """A network that knows the clean image."""

    def network(z_t: Tensor, step: Tensor, null: Tensor) -> tuple[Tensor, None]:
        a = ABAR[step + 1].float()[:, None, None, None]
        eps = (z_t - a.sqrt() * z_0) / (1 - a).sqrt()
        return target(z_0.expand_as(z_t), eps, a, kind), None

    return network


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(1, 1000), min_size=3, max_size=3),
    st.integers(1, 30),
    st.sampled_from(["even", "quadratic"]),
)
def test_an_oracle_returns_its_target_at_any_t(sampler: Any, kind: Any, t: list[int], steps: int, spacing: Any) -> None:
    z_0, live = images(3, 8), images(3, 8, seed=1)
    schedule = Schedule(prediction_type=kind)
    out = walked(oracle(z_0, kind), live, torch.tensor(t), torch.ones(3), steps, schedule, sampler=sampler, spacing=spacing)
    assert torch.allclose(out, z_0, atol=1e-3)


def test_the_start_is_the_noised_live_face_at_its_own_level() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def network(z_t: Tensor, step: Tensor, null: Tensor) -> tuple[Tensor, None]:
        seen.append((z_t.clone(), step.clone()))
        return torch.zeros_like(z_t), None

    live, t = images(2, 8), torch.tensor([250, 40])
    walked(network, live, t, torch.ones(2), 10, Schedule())
    a = ABAR[t].float()[:, None, None, None]
    assert torch.allclose(seen[0][0], a.sqrt() * live + (1 - a).sqrt() * noise_of(2))
    assert seen[0][1].tolist() == [249, 39] and len(seen) == 10
    assert [s.tolist() for _, s in seen][-1] == [24, 3]


def toy(z_t: Tensor, step: Tensor, null: Tensor) -> tuple[Tensor, Tensor]:
    """Depends on everything; sample by sample."""
    out = torch.sin(z_t * 2 + step[:, None, None, None] / 300) - 0.3 * null.float()[:, None, None, None]
    return out, torch.cos(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_one_sample_walks_as_the_shared_tables_say(kind: Any, sampler: Any) -> None:
    schedule, live, calls = Schedule(prediction_type=kind), images(1, 8), 6
    grid = [600 - 100 * i for i in range(7)]
    z_t, before = noised(live, noise_of(1), ABAR[600].float()), torch.zeros_like(live)
    for level, weights in zip(grid, walk_table(ABAR[grid], kind, sampler), strict=False):
        said = toy(z_t, torch.tensor([level - 1]), torch.zeros(1))[0]
        z_t, before = advance(z_t, before, said, weights, clip=True)
    out = walked(toy, live, torch.tensor([600]), torch.ones(1), calls, schedule, sampler=sampler)
    assert torch.allclose(out, z_t, atol=1e-5)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_ddpm_draws_from_the_posterior_about_the_clean_image(kind: Any, learned: bool) -> None:
    """Step by step in float64 as DDPM's Eqs. 6 and 7 have it; the last step draws nothing."""
    t, live = torch.tensor([420, 9]), images(2, 8)
    schedule = Schedule(prediction_type=kind)

    def network(z_t: Tensor, step: Tensor, null: Tensor) -> tuple[Tensor, Tensor | None]:
        output, variance = toy(z_t, step, null)
        return output, variance if learned else None

    z_t = noised(live.double(), noise_of(2).double(), ABAR[t][:, None, None, None])
    for i, (upper, lower) in enumerate([([420, 9], [280, 6]), ([280, 6], [140, 3]), ([140, 3], [0, 0])]):
        a_t, a_s = (ABAR[torch.tensor(level)][:, None, None, None] for level in (upper, lower))
        output, variance = network(z_t, torch.tensor(upper) - 1, torch.zeros(2))
        z_0 = split(z_t, output, a_t, schedule.prediction_type)[0].clamp(-1, 1)
        of_z_0, of_z_t, log_variance = posterior(a_t, a_s, variance)
        z_t = of_z_0 * z_0 + of_z_t * z_t
        if i < 2:
            z_t = z_t + (0.5 * log_variance).exp() * noise_of(2, seed=i + 1)
    out = walked(network, live, t, torch.ones(2), 3, schedule, sampler="ddpm")
    assert torch.allclose(out.double(), z_t, atol=1e-4)


def test_ddpm_weights_are_finite_where_nothing_happens() -> None:
    abar = ABAR[torch.tensor([[0, 3], [0, 3], [0, 0]])]
    of_z_t, of_z_0, of_before, low, high = ancestral(abar)
    assert of_z_t[:, 0].tolist() == [1, 1] and of_z_0[:, 0].tolist() == [0, 0] and not of_before.any()
    assert (float(of_z_t[0, 1]), float(of_z_0[0, 1])) == (1, 0)
    assert not (low / 2).float().exp().any() and not (high / 2).float().exp().any()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_gamma_one_is_the_conditional_pass_and_gamma_zero_the_null_pass(kind: Any, sampler: Any) -> None:
    schedule, t = Schedule(prediction_type=kind), torch.tensor([300, 120, 7])

    def run(gamma: list[float], passes: Any = None) -> Tensor:
        return walked(toy, images(3, 8), t, torch.tensor(gamma), 9, schedule, passes, sampler=sampler)

    conditional, null = run([7, 7, 7], "conditional"), run([7, 7, 7], "null")
    assert torch.equal(run([1, 1, 1]), conditional) and torch.equal(run([1, 1, 1], "both"), conditional)
    assert torch.equal(run([0, 0, 0]), null)
    mixed = run([1, 0, 2])
    assert torch.equal(mixed[0], conditional[0])
    assert not torch.allclose(mixed[2], conditional[2], atol=1e-4)
    if sampler != "ddpm":
        # DDPM takes its variance from the pass under the style, whatever gamma is.
        assert torch.equal(mixed[1], null[1])


def test_passes_are_as_few_as_the_gammas_allow() -> None:
    assert passes_for(torch.tensor([1.0, 1.0])) == "conditional"
    assert passes_for(torch.tensor([0.0, 0.0])) == "null"
    assert passes_for(torch.tensor([0.0, 1.0])) == "both"


@pytest.mark.parametrize("guided_calls", [0, 1, 3, 5])
def test_calls_are_guided_first_and_then_under_the_style_alone(guided_calls: int) -> None:
    seen: list[list[bool]] = []

    def network(z_t: Tensor, step: Tensor, null: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(null.tolist())
        return toy(z_t, step, null)

    live, t = images(2, 8), torch.tensor([300, 90])
    out = walked(network, live, t, torch.tensor([2.0, 3.0]), 5, Schedule(), guided_calls=guided_calls)
    assert seen == [[False, False, True, True]] * guided_calls + [[False, False]] * (5 - guided_calls)
    conditional, both = (walked(toy, live, t, torch.tensor(gamma), 5, Schedule()) for gamma in ([1.0, 1.0], [2.0, 3.0]))
    assert torch.equal(out, conditional) == (guided_calls == 0) and torch.equal(out, both) == (guided_calls == 5)


@pytest.mark.parametrize("kind", KINDS)
def test_guiding_the_prediction_guides_the_noise(kind: Any) -> None:
    a, z_t = torch.tensor(0.3), noise_of(2)
    one, two = images(2, 8), images(2, 8, seed=3)
    gamma = torch.tensor([1.7, 2.5])

    def noise(z_0: Tensor) -> Tensor:
        return (z_t - a.sqrt() * z_0) / (1 - a).sqrt()

    said = guided(target(one, noise(one), a, kind), target(two, noise(two), a, kind), gamma)
    g = gamma[:, None, None, None]
    assert torch.allclose(split(z_t, said, a, kind)[1], noise(two) + g * (noise(one) - noise(two)), atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(st.integers(0, 2), st.integers(0, 1000), st.sampled_from([0.0, 1.0, 2.5]))
def test_a_sample_does_not_depend_on_its_neighbours(sampler: Any, place: int, t: int, gamma: float) -> None:
    def run(others: int) -> Tensor:
        live = images(3, 8, seed=others)
        live[place] = images(1, 8, seed=77)[0]
        levels_of, gammas = torch.tensor([10, 500, 1000]) - others, torch.tensor([0.5, 1.0, 3.0]) + others
        levels_of[place], gammas[place] = t, gamma
        return walked(toy, live, levels_of, gammas, 12, Schedule(), "both", sampler=sampler)[place]

    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_t_zero_returns_the_live_face_bit_for_bit(kind: Any, sampler: Any) -> None:
    live, gamma = images(2, 8), torch.full((2,), 3.0)
    schedule = Schedule(prediction_type=kind)
    assert torch.equal(walked(toy, live, torch.tensor([0, 0]), gamma, 5, schedule, sampler=sampler), live)
    mixed = walked(toy, live, torch.tensor([0, 400]), gamma, 5, schedule, sampler=sampler)
    assert torch.equal(mixed[0], live[0]) and not torch.allclose(mixed[1], live[1])


def test_a_clean_image_outside_the_range_is_clamped_if_asked_for() -> None:
    bright = torch.full((1, 3, 8, 8), 3.0)
    args = (torch.zeros(1, 3, 8, 8), torch.tensor([500]), torch.ones(1), 5)
    assert torch.allclose(walked(oracle(bright, "sample"), *args, Schedule(prediction_type="sample")), torch.ones(1), atol=1e-4)
    free = Schedule(prediction_type="sample", clip_sample=False)
    assert torch.allclose(walked(oracle(bright, "sample"), *args, free), bright, atol=1e-4)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="level of 0 to 1000"):
        walked(toy, images(1, 8), torch.tensor([1001]), torch.ones(1), 3, Schedule())
    walk = walk_of(torch.tensor([5]), torch.ones(1), 3, Schedule(), torch.device("cpu"), sampler="ddpm")
    with pytest.raises(ValueError, match="noise for every step"):
        sample(lambda *_: (images(1, 8), images(1, 8)), images(1, 8), noise_of(1), walk)


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
