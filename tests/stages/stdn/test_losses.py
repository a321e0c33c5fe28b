"""Every loss against an answer found by hand, and the direction in which its gradient pushes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fasgen.stages.stdn.losses import (
    BETA,
    depth_loss,
    discriminator_loss,
    generator_loss,
    live_score,
    mask_prior,
    regulariser,
    self_supervision,
    trace_size,
)
from fasgen.stages.stdn.traces import Traces

from . import tiny


def flat(B: float = 0, C: float = 0, T: float = 0, P: float = 0, count: int = 1, size: int = 8) -> Traces:
    colour = torch.zeros(count, 3, size, size)
    return Traces(colour + B, colour + C, colour + T, colour[:, :1] + P, colour)


def value(loss: Tensor) -> float:
    assert loss.shape == ()
    return float(loss)


def test_regulariser() -> None:
    assert value(regulariser(flat(B=0.1, C=0.2, T=-0.5, P=0.5))) == pytest.approx(0.2**2 + 0.5**2)
    assert value(regulariser(flat())) == 0


def test_mask_prior_of_an_attack_that_replaces() -> None:
    """Left half changed by 0.2, above beta; P 0.5 everywhere; the upper half must stay."""
    traces = flat(P=0.5)
    traces.T[..., :4] = 0.2
    traces.T[:, 1:] = 0  # one channel suffices
    kept = torch.zeros(1, 1, 8, 8)
    kept[..., :4, :] = 1
    assert value(mask_prior(traces, kept, torch.tensor([False]))) == pytest.approx(0.25 + 0.25)
    exact = Traces(*traces[:3], (traces.T[:, :1] > BETA).float(), traces.I_P)
    assert value(mask_prior(exact, kept * 0, torch.tensor([False]))) == 0


def test_mask_prior_of_an_additive_attack_has_its_second_term_alone() -> None:
    traces = flat(T=0.5, P=0.5)
    assert value(mask_prior(traces, torch.ones(1, 1, 8, 8), torch.tensor([True]))) == pytest.approx(0.25)
    assert value(mask_prior(traces, torch.ones(1, 1, 8, 8), torch.tensor([False]))) == pytest.approx(0.5)


def test_the_indicator_takes_no_gradient() -> None:
    traces = flat(T=0.5, P=0.25)
    traces.T.requires_grad_(True)
    traces.P.requires_grad_(True)
    mask_prior(traces, torch.zeros(1, 1, 8, 8), torch.tensor([False])).backward()  # type: ignore[no-untyped-call]
    assert traces.T.grad is None and traces.P.grad is not None and bool((traces.P.grad < 0).all())


def test_adversaries_pull_one_verdict_in_opposite_ways() -> None:
    verdicts = [torch.full((2, 1, 3, 3), 0.5), torch.full((2, 1, 1, 1), -1.0)]
    assert value(generator_loss(verdicts)) == pytest.approx(0.25 + 4)
    assert value(discriminator_loss(verdicts, verdicts)) == pytest.approx(0.25 + 4 + 0.25 + 1)
    verdict = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    (up,) = torch.autograd.grad(generator_loss([verdict]), verdict)
    (down,) = torch.autograd.grad(discriminator_loss([torch.ones(1, 1, 2, 2)], [verdict]), verdict)
    (real,) = torch.autograd.grad(discriminator_loss([verdict], [torch.zeros(1, 1, 2, 2)]), verdict)
    assert bool((up < 0).all()) and bool((down > 0).all()) and bool((real < 0).all())


def test_depth_is_pulled_towards_its_target() -> None:
    """A weight of -10, as printed, would push it away."""
    depth = torch.full((1, 1, 4, 4), 0.75, requires_grad=True)
    loss = depth_loss(depth, torch.full((1, 1, 4, 4), 0.25))
    assert value(loss.detach()) == pytest.approx(0.5)
    (gradient,) = torch.autograd.grad(10 * loss, depth)
    assert gradient.flatten().tolist() == pytest.approx([10 / 16] * 16)


def test_traces_that_were_put_in_are_a_target_without_gradient() -> None:
    again, put = flat(T=0.5, P=0.25), flat(B=0.1, T=0.1, P=0.5)
    for part in (*again, *put):
        part.requires_grad_(True)
    loss = self_supervision(again, put)
    assert value(loss.detach()) == pytest.approx(0.3 + 0.25)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(part.grad is None for part in put) and again.T.grad is not None and bool((again.T.grad > 0).all())


def test_the_score_falls_with_traces_and_rises_with_depth() -> None:
    traces = flat(B=0.1, C=-0.1, T=0.2, P=0.1, count=2)
    assert trace_size(traces).tolist() == pytest.approx([0.5, 0.5])
    depth = torch.stack([torch.full((1, 4, 4), 0.8), torch.full((1, 4, 4), 0.2)])
    assert live_score(depth, traces, 1.0).tolist() == pytest.approx([0.4 - 0.25, 0.1 - 0.25])
    assert live_score(depth, traces, 100.0).tolist() == pytest.approx([0.4 - 25, 0.1 - 25])


def test_random_traces_of_a_batch_are_measured_one_by_one() -> None:
    traces = tiny.traces(3)
    assert trace_size(traces)[1] == pytest.approx(float(trace_size(traces.take(slice(1, 2)))[0]))
