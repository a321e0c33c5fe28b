"""SSDG's losses and the relative-quality loss against loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from fasgen.downstream.losses import (
    DomainAdversary,
    asymmetric_labels,
    batch_all_triplet,
    distances,
    focal_loss,
    live_cross_entropy,
    reversal_coefficient,
    reverse_gradient,
)
from fasgen.downstream.networks import SoftmaxHead, normalise
from fasgen.downstream.rq_loss import RqHead, relative_quality, rq_logits

seeds = st.integers(0, 2**31)


def test_gradient_is_reversed_and_scaled() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.5)
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, 4.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [-1.5, -2.0]


def test_coefficient_rises_from_0_to_1() -> None:
    assert reversal_coefficient(0) == 0.0
    assert reversal_coefficient(400) == pytest.approx(2 / (1 + math.e**-1) - 1)
    assert 0.9999 < reversal_coefficient(4000) < 1


def test_a_step_of_the_embedding_makes_domains_harder_and_of_the_adversary_easier() -> None:
    torch.manual_seed(0)
    adversary = DomainAdversary(6, 2).eval()
    f, domain, live = torch.randn(8, 6, requires_grad=True), torch.arange(8) % 2, torch.ones(8, dtype=torch.long)
    before = live_cross_entropy(adversary(f, 1.0), domain, live)
    before.backward()
    assert f.grad is not None
    with torch.no_grad():
        assert live_cross_entropy(adversary(f - 0.1 * f.grad, 1.0), domain, live) > before
        for parameter in adversary.parameters():
            parameter -= 0.1 * parameter.grad  # type: ignore[operator]
        assert live_cross_entropy(adversary(f, 1.0), domain, live) < before


def test_the_adversary_sees_live_samples_alone() -> None:
    logits = torch.randn(5, 3, requires_grad=True)
    domain, label = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1, 0, 1, 0, 0])
    loss = live_cross_entropy(logits, domain, label)
    assert torch.isclose(loss, cross_entropy(logits[[0, 2]], domain[[0, 2]]))
    loss.backward()
    assert logits.grad is not None and (logits.grad[label == 0] == 0).all() and (logits.grad[label == 1] != 0).any()
    assert live_cross_entropy(logits, domain, torch.zeros(5, dtype=torch.long)) == 0


def test_live_is_one_class_and_spoof_one_a_domain() -> None:
    label, domain = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 2, 2])
    assert asymmetric_labels(label, domain).tolist() == [0, 1, 0, 3]


@given(seeds, st.integers(1, 9), st.integers(1, 4), st.floats(0, 0.5))
def test_triplets_equal_a_loop(seed: int, size: int, classes: int, margin: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    f = torch.randn(size, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (size,), generator=generator)
    violations = []
    for a in range(size):
        for p in range(size):
            for n in range(size):
                if a != p and labels[a] == labels[p] and labels[a] != labels[n]:
                    violation = float((f[a] - f[p]).norm() - (f[a] - f[n]).norm()) + margin
                    violations += [violation] if violation > 0 else []
    expected = sum(violations) / len(violations) if violations else 0.0
    assert float(batch_all_triplet(f, labels, margin)) == pytest.approx(expected)


def test_equal_embeddings_have_a_finite_gradient() -> None:
    f = torch.ones(4, 3, requires_grad=True)
    loss = batch_all_triplet(f, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.1) and f.grad is not None and torch.isfinite(f.grad).all()
    assert torch.equal(distances(f), torch.zeros(4, 4))


def test_both_normalisations() -> None:
    f = torch.tensor([[3.0, 4.0]])
    assert torch.allclose(normalise(f, unit=True), f / 5)
    assert torch.allclose(normalise(f, unit=False), f / math.sqrt(2 * 5))
    torch.manual_seed(0)
    head = SoftmaxHead(2, True, 16.0)
    assert torch.allclose(head(f / 5).abs().max(), head(-f / 5).abs().max())
    assert torch.allclose(head.score(head(f / 5)), head(f / 5).softmax(1)[:, 1])


def test_hand_computed_quality() -> None:
    # Mean 25, population standard deviation 15; two of three scores are better than the mean.
    b = torch.tensor([15.0, 15.0, 45.0], dtype=torch.float64)
    std = math.sqrt(200)
    assert relative_quality(b).tolist() == pytest.approx([10 / std / 3, 10 / std / 3, -20 / std / 3])
    # One outstanding sample: bn / 3 is sqrt(7) / 3 = 0.882 and -1 / (3 sqrt(7)) = -0.126; both exceed n2 / N and n1 / N.
    b = torch.tensor([0.0] + [50.0] * 7, dtype=torch.float64)
    assert relative_quality(b).tolist() == pytest.approx([7 / 8] + [-1 / 8] * 7)


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=30))
def test_quality_keeps_to_its_caps(scores: list[float]) -> None:
    b = torch.tensor(scores, dtype=torch.float64)
    q, mean = relative_quality(b), b.mean()
    n1, n2 = float((b < mean).double().mean()), float((b > mean).double().mean())
    assert float(q.min()) >= -n1 - 1e-12 and float(q.max()) <= n2 + 1e-12
    assert (q[b < mean] >= 0).all() and (q[b > mean] <= 0).all()


def test_the_caps_are_reached() -> None:
    worst = torch.tensor([0.0] * 99 + [1000.0], dtype=torch.float64)
    assert float(relative_quality(worst)[-1]) == pytest.approx(-0.99)  # bn / 3 = -3.3, n1 / N = 0.99
    best = torch.tensor([1000.0] * 99 + [0.0], dtype=torch.float64)
    assert float(relative_quality(best)[-1]) == pytest.approx(0.99)


@given(seeds, st.floats(0.05, 0.6))
def test_equal_scores_are_cosface(seed: int, s: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    cosines = torch.rand(6, 4, generator=generator, dtype=torch.float64) * 1.98 - 0.99
    target = torch.randint(0, 4, (6,), generator=generator)
    q = relative_quality(torch.full((6,), 31.4, dtype=torch.float64))
    assert torch.equal(q, torch.zeros(6, dtype=torch.float64))
    margin = torch.full((6,), s, dtype=torch.float64)
    out = rq_logits(cosines, target, margin, q)
    cosface = cosines - s * torch.nn.functional.one_hot(target, 4)
    # torch's arc cosine of doubles is off by up to 1.2e-8 on some CPUs.
    assert torch.allclose(out, cosface, atol=1e-7)


@given(st.floats(-0.99, 0.99), st.floats(-1, 1), st.floats(0, 1))
def test_margins_follow_the_equation_and_the_angle_is_clamped(cosine: float, q: float, s: float) -> None:
    one = torch.tensor([[cosine, 0.3]], dtype=torch.float64)
    out = rq_logits(one, torch.tensor([0]), torch.tensor([s], dtype=torch.float64), torch.tensor([q], dtype=torch.float64))
    theta = min(max(math.acos(cosine) - s * q, 0.0), math.pi)
    assert float(out[0, 0]) == pytest.approx(math.cos(theta) - s * (1 + q), abs=1e-7)
    assert float(out[0, 1]) == pytest.approx(0.3)


def test_head_takes_the_margin_of_its_class_and_scores_live_styles_together() -> None:
    torch.manual_seed(0)
    head = RqHead(5, [True, False, True], 0.4, 0.2, m=8.0)
    f, target = torch.randn(4, 5), torch.tensor([0, 1, 2, 1])
    cosines = head(f)
    assert cosines.abs().max() <= 1 + 1e-6
    margins = torch.tensor([0.4, 0.2, 0.4, 0.2])
    expected = cross_entropy(8 * (cosines - margins[:, None] * torch.nn.functional.one_hot(target, 3)), target)
    assert torch.isclose(head.loss(cosines, target, None), expected, atol=1e-5)
    assert torch.isclose(head.loss(cosines, target, torch.full((4,), 20.0)), expected, atol=1e-5)
    assert not torch.isclose(head.loss(cosines, target, torch.tensor([0.0, 20.0, 90.0, 5.0])), expected, atol=1e-3)
    p = (8 * cosines).softmax(1)
    assert torch.allclose(head.score(cosines), p[:, 0] + p[:, 2])


def test_gradients_are_finite_at_the_ends_of_the_angle() -> None:
    cosines = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    out = rq_logits(cosines, torch.tensor([0, 0]), torch.tensor([0.4, 0.4]), torch.tensor([0.5, -0.5]))
    out.sum().backward()
    assert cosines.grad is not None and torch.isfinite(cosines.grad).all()


def test_focal_loss_is_cross_entropy_at_0_and_forgets_what_is_easy() -> None:
    logits = torch.tensor([[0.0, math.log(9.0)], [math.log(3.0), 0.0]])
    label = torch.tensor([1, 1])
    assert focal_loss(logits, label, 0.0) == pytest.approx(float(cross_entropy(logits, label)))
    # p = 0.9 and 0.25.
    wanted = -(0.1**2 * math.log(0.9) + 0.75**2 * math.log(0.25)) / 2
    assert float(focal_loss(logits, label)) == pytest.approx(wanted, rel=1e-5)
    sure = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    focal_loss(sure, label[:1]).backward()
    assert sure.grad is not None and torch.isfinite(sure.grad).all()
