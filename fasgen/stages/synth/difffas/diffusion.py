"""From the live face to the spoof: noise it to level t, then denoise under a style (DiffFAS, section 3.3 and supplement).

Levels count noising steps: level 0 is the clean image with ``abar_0 = 1``, level t has ``abar_t`` as the paper writes it, and
the network, whose time steps start at 0, sees level t as step t - 1. Every sample of a batch has its own level t and guidance
gamma and walks its own grid of as many points as the others, so that no sample depends on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from fasgen.stages.batching import to_device
from fasgen.stages.denoising.grids import Spacing, levels
from fasgen.stages.denoising.samplers import SAMPLERS, WEIGHTS, advance
from fasgen.stages.denoising.schedule import Prediction, abar_schedule, clean_weights, noised, split

Passes = Literal["conditional", "null", "both"]
"""Under the style, without it, or one beside the other, guided."""
Sampler = Literal["ddim", "dpmpp_2m", "ddpm"]
Network = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
"""``network(z_t, step)``: images and time steps (N,) to the prediction and the place of the variance. N is B, or 2 B with all
samples once under their style and then once without."""
StepNoise = Callable[[int], Tensor]
"""``noise(i)``: standard normal (B, 3, H, W) for the i-th point of the grid, one seed a sample."""

_NO_DRAW = -1e3
"""Log-variance of no draw: its deviation is 0 in float32."""


@dataclass(frozen=True)
class Schedule:
    """Noise levels and what the network predicts of them.

    Attributes:
        train_steps: T.
        beta_start: beta of the first step.
        beta_end: beta of the last.
        beta_schedule: ``linear``, or ``scaled_linear``.
        prediction_type: ``epsilon`` (DiffFAS), ``v_prediction`` or ``sample``.
        clip_sample: clamp the clean image to [-1, 1] at every step.
    """

    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 2e-2
    beta_schedule: str = "linear"
    prediction_type: Prediction = "epsilon"
    clip_sample: bool = True

    def abar(self) -> Tensor:
        """(T + 1,) float64 by level; ``abar()[0]`` is 1."""
        steps = abar_schedule(self.train_steps, self.beta_start, self.beta_end, self.beta_schedule)
        return torch.cat([torch.ones(1, dtype=torch.float64), steps])


def guided(output: Tensor, null: Tensor, gamma: Tensor) -> Tensor:
    """``null + gamma (output - null)`` (Eq. 12, applied to predictions), exactly one of the two where gamma is 1 or 0.

    For a given z_t all kinds of prediction are the same affine function of the noise, so guiding one guides the noise.

    Args:
        output: (B, 3, H, W) under the style.
        null: (B, 3, H, W) without style.
        gamma: (B,).
    """
    g = gamma.to(output)[:, None, None, None]
    return torch.where(g == 1, output, torch.where(g == 0, null, null + g * (output - null)))


def passes_for(gamma: Tensor) -> Passes:
    """The cheapest passes that serve all of a batch."""
    if bool((gamma == 1).all()):
        return "conditional"
    return "null" if bool((gamma == 0).all()) else "both"


def posterior(abar_t: Tensor, abar_s: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """q(z_s | z_t, z_0) between a level and a lower one (DDPM, Eqs. 6 and 7, on any two levels).

    Args:
        abar_t: of the upper level.
        abar_s: of the lower level.
        variance: place of the log-variance in -1 (posterior) to 1 (beta), or ``None`` for the posterior's.

    Returns:
        weights of z_0 and of z_t in the mean, and the log-variance.
    """
    alpha = abar_t / abar_s
    beta, rest_t, rest_s = 1 - alpha, 1 - abar_t, 1 - abar_s
    of_z_0, of_z_t = abar_s.sqrt() * beta / rest_t, alpha.sqrt() * rest_s / rest_t
    low = (beta * rest_s / rest_t).clamp_min(1e-20).log()
    if variance is None:
        return of_z_0, of_z_t, low
    share = (variance.float() + 1) / 2
    return of_z_0, of_z_t, share * beta.clamp_min(1e-20).log() + (1 - share) * low


class Move(NamedTuple):
    """One step of every sample's walk.

    Attributes:
        step: (B,) int64 time steps, as the network sees them.
        weights: (5, B, 1, 1, 1); see `fasgen.stages.denoising.samplers.walk_table`.
        log_variance: (2, B, 1, 1, 1) the least and the greatest; ``None`` in a walk that draws no noise.
        gamma: (B,) guidance of both passes; ``None`` where there is only one.
    """

    step: Tensor
    weights: Tensor
    log_variance: Tensor | None
    gamma: Tensor | None


class Walk(NamedTuple):
    """The walks of a batch as tables on its device.

    Attributes:
        abar: (B, 1, 1, 1) where they start.
        moves: from there down to level 0.
    """

    abar: Tensor
    moves: list[Move]


def walk_of(
    t: Tensor,
    gamma: Tensor,
    calls: int,
    schedule: Schedule,
    device: torch.device,
    *,
    sampler: Sampler = "ddim",
    spacing: Spacing = "even",
    guided_calls: int | None = None,
) -> Walk:
    """Work out a walk on the host and send it to the device, without waiting for it.

    Args:
        t: (B,) levels, 0 to T, on the CPU.
        gamma: (B,) guidance, on the CPU.
        calls: N, calls of the network.
        schedule: noise levels.
        device: where it will be walked.
        sampler: ``ddim`` with eta 0, ``dpmpp_2m``, or ``ddpm``: one ancestral draw a point, with the learned variance where
            there is one.
        spacing: of the grid.
        guided_calls: how many of the calls, the first ones, make both passes; ``None``: all.
    """
    if not bool(((t >= 0) & (t <= schedule.train_steps)).all()):
        raise ValueError(f"t is a level of 0 to {schedule.train_steps}")
    grid = levels(t, calls, spacing)
    abar = schedule.abar()[grid][..., None, None, None]
    moves = ancestral(abar) if sampler == "ddpm" else SAMPLERS[sampler](abar)
    rows = torch.stack([*clean_weights(abar[:-1], schedule.prediction_type), *moves], 1).float()
    # Each row in memory of its own: compiled kernels copy inputs that do not lie on a boundary.
    table = to_device(rows.numpy(), device)
    steps = to_device((grid[:-1] - 1).clamp_min(0).numpy(), device)
    strength = to_device(gamma.float().numpy(), device)
    both = calls if guided_calls is None else guided_calls
    made = [
        Move(
            step.clone(),
            row[:WEIGHTS].clone(),
            row[WEIGHTS:].clone() if sampler == "ddpm" else None,
            strength if i < both else None,
        )
        for i, (step, row) in enumerate(zip(steps, table, strict=True))
    ]
    return Walk(to_device(abar[0].float().numpy(), device), made)


def ancestral(abar: Tensor) -> tuple[Tensor, ...]:
    """DDPM (Ho et al. 2020, Eqs. 6 and 7, on any two levels): the posterior's mean, to which a draw is added.

    Args:
        abar: (N + 1, ...) float64, by level of the grid; not falling.

    Returns:
        weights of z_t, z_0 and z_0' in the mean, and the log-variance, of the posterior and of beta, (N, ...) float64 each.
        The last step, and one at which nothing happens, draws nothing.
    """
    a_t, a_s = abar[:-1], abar[1:]
    moves = a_s != a_t
    safe = torch.where(moves, a_t, a_s / 2)
    of_z_0, of_z_t, low = posterior(safe, a_s, None)
    high = posterior(safe, a_s, torch.ones(()))[2]
    draws = moves & (a_s < 1)
    low, high = (torch.where(draws, bound, _NO_DRAW) for bound in (low, high))
    return torch.where(moves, of_z_t, 1.0), torch.where(moves, of_z_0, 0.0), torch.zeros_like(of_z_0), low, high


def move(
    network: Network, z_t: Tensor, before: Tensor, by: Move, draw: Tensor | None = None, clip: bool = False
) -> tuple[Tensor, Tensor]:
    """One step of a walk: one call of the network, with both passes in one batch where they are guided, and the move.

    Args:
        network: see `Network`.
        z_t: (B, 3, H, W) float32.
        before: z_0 of the step before; anything finite for the first.
        by: the step.
        draw: (B, 3, H, W) standard normal, for ``ddpm``.
        clip: clamp the clean image to [-1, 1].

    Returns:
        z_s at the lower level, and z_0.
    """
    if by.gamma is None:
        output, variance = network(z_t, by.step)
    else:
        count = len(z_t)
        output, variance = network(torch.cat([z_t, z_t]), torch.cat([by.step, by.step]))
        output = guided(output[:count].float(), output[count:].float(), by.gamma)
        variance = None if variance is None else variance[:count]
    z_s, z_0 = advance(z_t, before, output, by.weights, clip)
    if draw is not None and by.log_variance is not None:
        low, high = by.log_variance
        log_variance = low if variance is None else low + (variance.float() + 1) / 2 * (high - low)
        z_s = z_s + (0.5 * log_variance).exp() * draw
    return z_s, z_0


Take = Callable[[Tensor, Tensor, Move, Tensor | None], tuple[Tensor, Tensor]]
"""``take(z_t, before, by, draw)``: `move` with a network."""


def sample(take: Take, live: Tensor, noise: Tensor, walk: Walk, step_noise: StepNoise | None = None) -> Tensor:
    """Noise the live face to its level and walk down to level 0. Nothing in it waits for the device.

    Args:
        take: makes a step.
        live: (B, 3, H, W) float32 in [-1, 1].
        noise: (B, 3, H, W) float32, standard normal, one seed a sample.
        walk: see `walk_of`. Where a sample's t is 0 it gives the live face back bit for bit.
        step_noise: needed for ``ddpm``.

    Returns:
        (B, 3, H, W) float32.
    """
    if step_noise is None and any(by.log_variance is not None for by in walk.moves):
        raise ValueError("the DDPM sampler needs noise for every step")
    z_t = noised(live, noise, walk.abar).contiguous(memory_format=torch.channels_last)
    before = torch.zeros_like(z_t)
    for i, by in enumerate(walk.moves):
        z_t, before = take(z_t, before, by, None if step_noise is None or by.log_variance is None else step_noise(i))
    return z_t


def variational_bound(
    z_0: Tensor, z_t: Tensor, t: Tensor, output: Tensor, variance: Tensor, schedule: Schedule, abar: Tensor
) -> Tensor:
    """The term L_t of the variational bound, by which the variance is learned (Nichol and Dhariwal 2021, Eqs. 5 to 7).

    Args:
        z_0: (B, 3, H, W) clean target in [-1, 1].
        z_t: (B, 3, H, W) at level t.
        t: (B,) levels, 1 to T.
        output: (B, 3, H, W) prediction; no gradient passes into it from here.
        variance: (B, 3, H, W).
        schedule: noise levels.
        abar: ``schedule.abar()`` on the device.

    Returns:
        (B,) bits a value: the divergence of two normals, or the likelihood of 8-bit levels at t = 1.
    """
    a_t, a_s = (abar[level].float()[:, None, None, None] for level in (t, t - 1))
    guess, _ = split(z_t, output.detach().float(), a_t, schedule.prediction_type)
    if schedule.clip_sample:
        guess = guess.clamp(-1, 1)
    of_z_0, of_z_t, log_true = posterior(a_t, a_s, None)
    _, _, log_model = posterior(a_t, a_s, variance)
    # At t = 1 the posterior has no variance; the next level's is as small as it gets (the code of improved DDPM).
    floor = posterior(abar[2].float(), abar[1].float(), None)[2]
    log_true = torch.where(t[:, None, None, None] == 1, floor, log_true)
    share = (variance.float() + 1) / 2
    log_model = torch.where(t[:, None, None, None] == 1, share * (1 - a_t / a_s).log() + (1 - share) * floor, log_model)
    true_mean, model_mean = of_z_0 * z_0 + of_z_t * z_t, of_z_0 * guess + of_z_t * z_t
    gap = (true_mean - model_mean).square()
    divergence = 0.5 * (log_model - log_true + (log_true - log_model).exp() - 1 + gap * (-log_model).exp())
    bits = torch.where(t[:, None, None, None] == 1, -level_likelihood(z_0, model_mean, log_model), divergence) / math.log(2)
    return bits.flatten(1).mean(1)


def level_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-probability of 8-bit levels under a normal, each level a bin 2 / 255 wide, the outer ones open (DDPM, Eq. 13)."""
    inverse = (-0.5 * log_variance).exp()
    half = 1 / 255
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    # Of the two equal expressions for the inner bins, the one in the lower tail keeps its digits.
    mirrored = (upper + lower) > 0
    high, low = torch.where(mirrored, -lower, upper), torch.where(mirrored, -upper, lower)
    inner = (torch.special.ndtr(high) - torch.special.ndtr(low)).clamp_min(1e-12).log()
    outer = torch.where(x < -0.999, torch.special.log_ndtr(upper), torch.special.log_ndtr(-lower))
    return torch.where((x < -0.999) | (x > 0.999), outer, inner)


def drop_style(count: int, share: float, generator: torch.Generator) -> Tensor:
    """(count,) true for the samples that learn without a style; their live face stays (Eq. 12's unconditional branch)."""
    return torch.rand(count, generator=generator, device=generator.device) < share
