"""The fusion module against its definition: what the tokens are, and known answers of whole fusions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fasgen.stages.synth.difffas.stfm import STFM, CrossAttention, group_norm, mean_tokens, patch_means, variance_tokens


def by_hand(x: Tensor, p_y: int, p_x: int) -> tuple[Tensor, Tensor]:
    """Means and variances, patch by patch, then of the whole."""
    patches = [
        x[:, :, i * p_y : (i + 1) * p_y, j * p_x : (j + 1) * p_x].flatten(2)
        for i in range(x.shape[2] // p_y)
        for j in range(x.shape[3] // p_x)
    ]
    patches.append(x.flatten(2))
    return torch.stack([p.mean(2) for p in patches], 1), torch.stack([p.var(2, correction=0) for p in patches], 1)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_tokens_are_patches_in_rows_then_the_whole(height: int, width: int, p: int) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height * 10 + width))
    p_y, p_x = min(p, height), min(p, width)
    means, variances = by_hand(x, p_y, p_x)
    got_means, at = mean_tokens(x, p)
    got_variances, at_too = variance_tokens(x, p)
    assert at == at_too == (height // p_y, width // p_x)
    assert torch.allclose(got_means, means, atol=1e-5) and torch.allclose(got_variances, variances, atol=1e-5)


@pytest.mark.parametrize(("size", "p", "count"), [(32, 6, 25), (16, 6, 4), (8, 6, 1), (32, 2, 256), (16, 2, 64), (8, 2, 16)])
def test_the_papers_numbers_of_tokens(size: int, p: int, count: int) -> None:
    assert mean_tokens(torch.zeros(1, 1, size, size), p)[0].shape[1] == count + 1


def transparent(attention: CrossAttention, sharpness: float) -> None:
    """Identity projections; large queries make the softmax pick the nearest key."""
    for layer, gain in ((attention.query, sharpness), (attention.key, 1.0), (attention.value, 1.0), (attention.out, 1.0)):
        nn.init.eye_(layer.weight).mul_(gain)
        nn.init.zeros_(layer.bias)


def copying(channels: int, p_mu: int, p_sigma: int) -> STFM:
    """Identity projections, an identity for the last convolution, and a BatchNorm that changes nothing."""
    module = STFM(channels, channels, p_mu, p_sigma).eval().requires_grad_(False)
    module.norm_style.eps = 0.0
    for attention in (module.means, module.variances):
        transparent(attention, 1e4)
    nn.init.dirac_(module.conv.weight)
    return module


def distinct(channels: int, size: int, p: int) -> Tensor:
    """A map whose patches have means and variances of equal length but different directions, so that each finds itself."""
    generator = torch.Generator().manual_seed(3)
    cells = torch.nn.functional.normalize(torch.randn(1, channels, size // p, size // p, generator=generator), dim=1)
    ripple = torch.ones(p, p)
    ripple[(torch.arange(p)[:, None] + torch.arange(p)[None]) % 2 == 1] = -1
    strength = torch.nn.functional.normalize(torch.rand(1, channels, size // p, size // p, generator=generator), dim=1).sqrt()
    grow = torch.ones(1, 1, p, p)
    return torch.kron(cells, grow) + torch.kron(strength, ripple[None, None])


def test_fusion_with_itself_fetches_its_own_statistics_in_place() -> None:
    """K = X and identity projections: mu_f and sigma_f are X's own patch means and variances, none moved by a cell."""
    x = distinct(32, 8, 2)
    module = copying(32, 2, 2)
    mean = patch_means(x, 2)
    variance = patch_means(x.square(), 2) - mean.square()
    up = {"size": (8, 8), "mode": "bilinear", "align_corners": False}
    wanted = (
        x + module.norm(x) * nn.functional.interpolate(variance, **up) + nn.functional.interpolate(mean, **up)  # type: ignore[arg-type]
    )
    assert torch.allclose(module(x, x), wanted, atol=1e-3)


def test_with_variances_silenced_only_the_means_are_added() -> None:
    x = distinct(32, 8, 2)
    module = copying(32, 2, 2)
    nn.init.zeros_(module.variances.out.weight)
    wanted = x + nn.functional.interpolate(patch_means(x, 2), (8, 8), mode="bilinear", align_corners=False)
    assert torch.allclose(module(x, x), wanted, atol=1e-3)


def test_a_constant_style_has_no_variance_to_give() -> None:
    module = copying(8, 4, 2)
    x, k = torch.randn(1, 8, 8, 8), torch.full((1, 8, 8, 8), 0.3)
    assert torch.allclose(module(x, k), x + 0.3, atol=1e-5)


def test_starts_as_the_identity_and_yet_learns() -> None:
    torch.manual_seed(0)
    module, x, k = STFM(8, 4).train(), torch.randn(2, 8, 9, 9), torch.randn(2, 4, 5, 5)
    out = module(x, k)
    assert torch.equal(out, x)
    out.square().mean().backward()
    assert module.conv.weight.grad is not None and bool(module.conv.weight.grad.any())


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (7, 7), (8, 9), (33, 31)])
@pytest.mark.parametrize("style_size", [(1, 1), (7, 5)])
def test_any_size_of_map_and_style(size: tuple[int, int], style_size: tuple[int, int]) -> None:
    module = copying(8, 6, 2)
    out = module(torch.randn(2, 8, *size), torch.randn(2, 8, *style_size))
    assert out.shape == (2, 8, *size) and bool(torch.isfinite(out).all())


def test_null_ignores_the_style_and_only_where_it_is_asked_for() -> None:
    torch.manual_seed(0)
    module = copying(8, 4, 2)
    x, one, two = torch.randn(2, 8, 8, 8), torch.randn(2, 8, 8, 8), torch.randn(2, 8, 8, 8)
    null = torch.tensor([True, False])
    a, b = module(x, one, null), module(x, two, null)
    assert torch.equal(a[0], b[0]) and not torch.allclose(a[1], b[1])
    assert torch.equal(a[1], module(x, one, torch.tensor([False, False]))[1])


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_group_norm_keeps_the_memory_format(layout: torch.memory_format) -> None:
    x = torch.randn(2, 8, 5, 7).contiguous(memory_format=layout)
    out = group_norm(8)(x)
    assert out.is_contiguous(memory_format=layout)
    assert torch.allclose(out, nn.functional.layer_norm(x.reshape(2, 8, -1), (35,)).reshape(2, 8, 5, 7), atol=1e-5)


def test_means_never_see_variances() -> None:
    """A style with the same patch means but other textures changes sigma_f alone."""
    module = copying(8, 2, 2)
    nn.init.zeros_(module.variances.out.weight)
    x = torch.randn(1, 8, 8, 8)
    k = torch.randn(1, 8, 8, 8)
    ripple = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)
    assert torch.allclose(module(x, k), module(x, k + ripple), atol=1e-4)
