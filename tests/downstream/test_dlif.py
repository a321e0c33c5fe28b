"""DLIF: every loss against a loop or a closed form, and who is moved by which loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from fasgen.downstream.dlif import VIEWS, Dlif, Encoder, StyleAttention, partners, style, style_cross
from fasgen.downstream.dlif_losses import (
    ambiguity,
    asymmetric_am_softmax,
    liveness_contrast_labels,
    orthogonality,
    supervised_contrast,
)
from fasgen.downstream.resnet import ResNet

seeds = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seeds)
def test_a_crossed_feature_has_its_partners_statistics(seed: int) -> None:
    a, b = 3 * normal(seed, 2, 3, 5, 5) + 1, 0.5 * normal(seed + 1, 2, 3, 5, 5) - 2
    out = style_cross(a, b)
    for got, wanted in zip(style(out), style(b), strict=True):
        assert torch.allclose(got, wanted, atol=1e-4)


@given(seeds)
def test_swapping_back_restores_the_feature(seed: int) -> None:
    a, b = 3 * normal(seed, 2, 3, 5, 5) + 1, 0.5 * normal(seed + 1, 2, 3, 5, 5) - 2
    assert torch.allclose(style_cross(style_cross(a, b), a), a, atol=1e-2)
    assert torch.allclose(style_cross(a, a), a, atol=1e-9)


@given(seeds, st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_partners_are_others_of_the_same_label(seed: int, words: list[int]) -> None:
    labels = torch.tensor(words)
    chosen = partners(labels, torch.Generator().manual_seed(seed))
    assert torch.equal(labels[chosen], labels)
    alone = torch.tensor([words.count(word) == 1 for word in words])
    assert torch.equal(chosen == torch.arange(len(words)), alone)


def test_partners_are_drawn_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(4)
    for _ in range(3000):
        counts[partners(torch.zeros(4, dtype=torch.long), generator)[0]] += 1
    assert counts[0] == 0 and (counts[1:] / 1000 - 1).abs().max() < 0.1


def test_style_attention_is_between_once_and_twice_the_feature() -> None:
    torch.manual_seed(0)
    attention, x = StyleAttention(32), torch.rand(2, 32, 4, 4)
    gain = attention(x) / x
    assert (gain > 1).all() and (gain < 2).all()
    assert torch.allclose(gain, gain[:, :, :1, :1].expand_as(gain), atol=1e-5)
    shuffled = x.flatten(2)[:, :, torch.randperm(16)].reshape(x.shape)  # the style is the same, so is the attention
    assert torch.allclose((attention(shuffled) / shuffled)[:, :, 0, 0], gain[:, :, 0, 0], atol=1e-5)


@given(seeds)
def test_orthogonality_is_zero_for_orthogonal_features_and_counts_all_pairs(seed: int) -> None:
    basis = torch.linalg.qr(normal(seed, 8, 8))[0]
    assert float(orthogonality(2 * basis[:3], 5 * basis[3:])) == pytest.approx(0, abs=1e-20)
    u, v = normal(seed, 4, 8), normal(seed + 1, 5, 8)
    pairs = [float(normalize(u[i], dim=0) @ normalize(v[j], dim=0)) ** 2 for i in range(4) for j in range(5)]
    assert float(orthogonality(u, v)) == pytest.approx(sum(pairs) / 20)


def test_ambiguity_is_zero_where_nothing_can_be_told() -> None:
    assert float(ambiguity(torch.full((3, 5), 7.0))) == pytest.approx(0, abs=1e-12)
    certain = torch.tensor([[100.0, 0.0]])
    assert float(ambiguity(certain)) == pytest.approx(0.5)  # (1 - 1/2)^2 + (0 - 1/2)^2


def test_margins_of_the_liveness_head() -> None:
    cosines, label = torch.tensor([[0.2, 0.5], [0.3, -0.1]]), torch.tensor([1, 0])
    expected = cross_entropy(30 * torch.tensor([[0.2, 0.1], [0.2, -0.1]]), label)
    assert torch.isclose(asymmetric_am_softmax(cosines, label), expected)


def contrast_loop(f: Tensor, labels: Tensor, tau: float) -> float:
    f = normalize(f)
    terms = []
    for i in range(len(f)):
        positives = [p for p in range(len(f)) if p != i and labels[p] == labels[i]]
        if positives:
            whole = sum(math.exp(float(f[i] @ f[k]) / tau) for k in range(len(f)) if k != i)
            terms.append(-sum(math.log(math.exp(float(f[i] @ f[p]) / tau) / whole) for p in positives) / len(positives))
    return sum(terms) / len(terms) if terms else 0.0


@given(seeds, st.integers(1, 9), st.integers(1, 4), st.floats(0.05, 1))
def test_contrast_equals_a_loop(seed: int, size: int, classes: int, tau: float) -> None:
    f = normal(seed, size, 6)
    labels = torch.randint(0, classes, (size,), generator=torch.Generator().manual_seed(seed))
    assert float(supervised_contrast(f, labels, tau)) == pytest.approx(contrast_loop(f, labels, tau))


@given(seeds)
def test_instance_contrast_does_not_depend_on_the_order(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 2, (6,), generator=generator)
    f = normal(seed, VIEWS * 6, 5)
    order = torch.randperm(6, generator=generator)
    views = torch.cat([order + 6 * view for view in range(VIEWS)])
    whole = supervised_contrast(f, liveness_contrast_labels(label, VIEWS))
    permuted = supervised_contrast(f[views], liveness_contrast_labels(label[order], VIEWS))
    assert torch.isclose(whole, permuted)


def test_live_share_a_label_and_spoofs_have_their_own() -> None:
    assert liveness_contrast_labels(torch.tensor([1, 0, 1, 0]), 2).tolist() == [0, 2, 0, 4] * 2


def test_contrast_has_a_finite_gradient_without_positives() -> None:
    f = torch.randn(3, 4, requires_grad=True)
    loss = supervised_contrast(f, torch.arange(3))
    loss.backward()
    assert loss.detach() == 0 and f.grad is not None and torch.equal(f.grad, torch.zeros(3, 4))


@pytest.fixture
def dlif() -> Dlif:
    torch.manual_seed(0)
    return Dlif(ResNet((4, 4, 8, 16)), ResNet((4, 4, 8, 16)), subjects=3)


def losses(net: Dlif) -> dict[str, Tensor]:
    torch.manual_seed(1)
    label, subject = torch.tensor([1, 0] * 3), torch.arange(6) // 2
    return dict(net(torch.randn(6, 3, 64, 64), label, subject, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(
    ("names", "moved"), [(("cls", "aaicU", "idamb", "orthoU"), ("u", "c")), (("id", "aaicV", "liamb", "orthoV"), ("v", "d"))]
)
def test_each_side_is_moved_by_its_own_losses_alone(dlif: Dlif, names: tuple[str, ...], moved: tuple[str, ...]) -> None:
    for name in names:
        dlif.zero_grad()
        losses(dlif)[name].backward()
        touched = {key.split(".")[0] for key, p in dlif.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
        assert touched and touched <= set(moved), name
        assert moved[0] in touched


def test_one_backward_pass_of_the_sum_moves_everything(dlif: Dlif) -> None:
    found = losses(dlif)
    assert set(found) == {"cls", "aaicU", "idamb", "orthoU", "id", "aaicV", "liamb", "orthoV"}
    torch.stack(list(found.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in dlif.parameters())


def test_views_are_the_original_and_two_crossed() -> None:
    torch.manual_seed(0)
    encoder = Encoder(ResNet((4, 4, 8, 16)), attention=True).eval()
    image = torch.randn(4, 3, 64, 64)
    views = encoder.views(image, torch.tensor([1, 0, 3, 2]))
    assert views.shape == (VIEWS * 4, 16)
    assert torch.allclose(views[:4], encoder(image), atol=1e-5)
    assert not torch.allclose(views[:4], views[4:8], atol=1e-3) and not torch.allclose(views[4:8], views[8:], atol=1e-3)
    itself = encoder.views(image, torch.arange(4))
    assert torch.allclose(itself, encoder(image).repeat(VIEWS, 1), atol=1e-3)


def test_score_is_the_probability_of_live(dlif: Dlif) -> None:
    dlif.eval()
    image = torch.randn(2, 3, 64, 64)
    cosines = normalize(dlif.u(image)) @ normalize(dlif.c).T
    assert torch.allclose(dlif.score(image), (30 * cosines).softmax(1)[:, 1])
