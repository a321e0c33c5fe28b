"""From the live face to the spoof: noise it to level t, then denoise under a style (DiffFAS, section 3.3 and supplement).

Levels count noising steps: level 0 is the clean image with ``abar_0 = 1``, level t has ``abar_t`` as the paper writes it, and
the network, whose time steps start at 0, sees level t as step t - 1. Every sample of a batch has its own level t and guidance
gamma and walks its own grid of as many points as the others, so that no sample depends on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fasgen.stages.denoising.schedule import Prediction, abar_schedule, noised, split

Passes = Literal["auto", "conditional", "null", "both"]
Sampler = Literal["ddim", "ddpm"]
Network = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""``network(z_t, step, null)``: images, time steps (N,), and which samples have no style (N,) or ``None``; gives the prediction
and the place of the variance. N is B, or 2 B with all samples once under their style and once without."""
StepNoise = Callable[[int], Tensor]
"""``noise(i)``: standard normal (B, 3, H, W) for the i-th point of the grid, one seed a sample."""


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


def levels(t: Tensor, points: int) -> Tensor:
    """Grid of every sample: its own t first, ``points`` even strides down, 0 at the end.

    Args:
        t: (B,) levels, 0 to T.
        points: N, calls of the network.

    Returns:
        (N + 1, B) int64, never rising. A t below N repeats points, at which nothing happens.
    """
    left = torch.arange(points, -1, -1, dtype=torch.int64)
    return (t.to("cpu", torch.int64)[None] * left[:, None] + points - 1) // points


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


def predict(network: Network, z_t: Tensor, step: Tensor, gamma: Tensor, passes: Passes) -> tuple[Tensor, Tensor | None]:
    """Guided prediction and the variance of the pass under the style; both passes travel in one batch."""
    count = len(z_t)
    if passes == "conditional":
        output, variance = network(z_t, step, None)
        return output.float(), variance
    nothing = torch.ones(count, dtype=torch.bool, device=z_t.device)
    if passes == "null":
        output, variance = network(z_t, step, nothing)
        return output.float(), variance
    output, variance = network(torch.cat([z_t, z_t]), torch.cat([step, step]), torch.cat([~nothing, nothing]))
    output = output.float()
    return guided(output[:count], output[count:], gamma), None if variance is None else variance[:count]


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


def sample(
    network: Network,
    live: Tensor,
    noise: Tensor,
    t: Tensor,
    gamma: Tensor,
    steps: int,
    schedule: Schedule,
    *,
    sampler: Sampler = "ddim",
    step_noise: StepNoise | None = None,
    passes: Passes = "auto",
) -> Tensor:
    """Noise the live face to level t and walk down to level 0.

    Args:
        network: see `Network`.
        live: (B, 3, H, W) float32 in [-1, 1].
        noise: (B, 3, H, W) standard normal, one seed a sample.
        t: (B,) levels, 0 to T; 0 gives the live face back bit for bit.
        gamma: (B,) guidance; 1 is the pass under the style alone, 0 the pass without.
        steps: N, points of every sample's grid.
        schedule: noise levels.
        sampler: ``ddim`` with eta 0, or ``ddpm``: one ancestral draw a point, with the learned variance where there is one.
        step_noise: needed for ``ddpm``.
        passes: ``auto`` calls the network as cheaply as the batch's gammas allow. A caller whose gammas differ from batch to
            batch fixes it, since another number of passes may round otherwise.

    Returns:
        (B, 3, H, W) float32; clamped to [-1, 1] if the schedule says so.
    """
    if sampler == "ddpm" and step_noise is None:
        raise ValueError("the DDPM sampler needs noise for every step")
    if not bool(((t >= 0) & (t <= schedule.train_steps)).all()):
        raise ValueError(f"t is a level of 0 to {schedule.train_steps}")
    if passes == "auto":
        passes = passes_for(gamma)
    grid = levels(t, steps)
    if not bool(grid[0].any()):
        return live
    device = live.device
    abar = schedule.abar()[grid].to(device, torch.float32)[..., None, None, None]
    moves = (grid[1:] < grid[:-1]).to(device)[..., None, None, None]
    step = (grid - 1).clamp_min(0).to(device)
    gamma = gamma.to(device)
    z_t = noised(live, noise.to(device, torch.float32), abar[0])
    for i in range(steps):
        a_t, a_s = abar[i], abar[i + 1]
        output, variance = predict(network, z_t, step[i], gamma, passes)
        # Where t is 0 there is no noise to divide by; what is computed there is not used.
        safe = torch.where(moves[i], a_t, 0.5)
        z_0, eps = split(z_t, output, safe, schedule.prediction_type)
        if schedule.clip_sample:
            z_0 = z_0.clamp(-1, 1)
            eps = (z_t - safe.sqrt() * z_0) / (1 - safe).sqrt()
        if sampler == "ddim":
            z_s = a_s.sqrt() * z_0 + (1 - a_s).sqrt() * eps
        else:
            assert step_noise is not None
            of_z_0, of_z_t, log_variance = posterior(safe, a_s, variance)
            draw = step_noise(i).to(device, torch.float32)
            # The last step returns the mean.
            z_s = of_z_0 * z_0 + of_z_t * z_t + torch.where(a_s < 1, (0.5 * log_variance).exp() * draw, 0.0)
        z_t = torch.where(moves[i], z_s, z_t)
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
