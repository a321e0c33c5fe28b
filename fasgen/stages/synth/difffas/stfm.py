"""The Spoofing Style Fusion Module (DiffFAS, section 3.2, Eqs. 8 to 11).

Of the U-Net's map X and the style's map K it looks at two things apart: the means of patches, which carry colour and light, and
the variances of patches, which carry texture. Two cross-attentions ask the style for either, and X is modulated by the answers.

Where the published code departs from the paper, the paper is followed: the global statistic is the last token and is dropped
from the output, a variance is E[x^2] - E[x]^2, maps are upsampled bilinearly, and nothing normalises the output again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def patch_means(x: Tensor, p: int) -> Tensor:
    """Means of patches ``p`` x ``p`` set side by side; what is left over at the edge belongs to none.

    Args:
        x: (B, C, H, W).
        p: side of a patch; cut to the map where it is larger.

    Returns:
        (B, C, floor(H / p), floor(W / p)).
    """
    window = (min(p, x.shape[2]), min(p, x.shape[3]))
    return F.avg_pool2d(x, window, window)


def tokens(maps: Tensor, whole: Tensor) -> Tensor:
    """Patches in row-major order, then the statistic of the whole map: (B, C, h, w), (B, C) to (B, h w + 1, C)."""
    return torch.cat([maps.flatten(2), whole[:, :, None]], 2).transpose(1, 2)


def mean_tokens(x: Tensor, p: int) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (B, h w + 1, C) of patch means, and (h, w)."""
    maps = patch_means(x, p)
    return tokens(maps, x.mean((2, 3))), (maps.shape[2], maps.shape[3])


def variance_tokens(x: Tensor, p: int) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (B, h w + 1, C) of patch variances E[x^2] - E[x]^2, and (h, w)."""
    maps = patch_means(x.square(), p) - patch_means(x, p).square()
    whole = x.square().mean((2, 3)) - x.mean((2, 3)).square()
    # Rounding can leave a constant patch a little below zero.
    return tokens(maps, whole).clamp_min(0), (maps.shape[2], maps.shape[3])


class GroupNorm(nn.GroupNorm):
    """Keeps channels last where they are; CUDA's own kernel gives them first, and all that follows would mix the two."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape and memory format."""
        last = x.is_contiguous(memory_format=torch.channels_last)
        return super().forward(x).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def group_norm(channels: int) -> GroupNorm:
    """In 32 groups, or in fewer that divide the channels."""
    return GroupNorm(math.gcd(32, channels), channels)


class CrossAttention(nn.Module):
    """Single-head attention; X's tokens ask, K's tokens answer.

    Args:
        channels: of X's tokens and of the output.
        style_channels: of K's tokens.
    """

    def __init__(self, channels: int, style_channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(style_channels, channels)
        self.value = nn.Linear(style_channels, channels)
        self.out = nn.Linear(channels, channels)

    def answers(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, m, C) of K's tokens (B, m, C_K)."""
        return self.key(k), self.value(k)

    def forward(self, x: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """X's tokens (B, n, C) and `answers` to (B, n, C)."""
        out: Tensor = self.out(F.scaled_dot_product_attention(self.query(x), key, value))
        return out


class Answers(NamedTuple):
    """All that a style has to say to one STFM, whatever X asks.

    Attributes:
        mean_key: (B, m, C) of patch means.
        mean_value: (B, m, C).
        variance_key: (B, n, C) of patch variances.
        variance_value: (B, n, C).
    """

    mean_key: Tensor
    mean_value: Tensor
    variance_key: Tensor
    variance_value: Tensor


class STFM(nn.Module):
    """``X + conv3x3(GN(X) sigma_f + mu_f)`` (Eq. 11), with mu_f and sigma_f fetched from the style by attention.

    The convolution starts at zero, so that the module starts as the identity. The output projections do not: with both at zero
    neither would ever receive a gradient.

    Args:
        channels: of X.
        style_channels: of K.
        p_mu: side of the patches of means, in cells of the map.
        p_sigma: side of the patches of variances.
        null: learn a pair of tokens that stands for "no style".
    """

    def __init__(self, channels: int, style_channels: int, p_mu: int = 6, p_sigma: int = 2, null: bool = True) -> None:
        super().__init__()
        self.p_mu, self.p_sigma = p_mu, p_sigma
        self.norm_style = nn.BatchNorm2d(style_channels)
        self.means = CrossAttention(channels, style_channels)
        self.variances = CrossAttention(channels, style_channels)
        self.norm = group_norm(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        # What BatchNorm makes of an average style: mean 0 and variance 1.
        self.null_mean = nn.Parameter(torch.zeros(style_channels)) if null else None
        self.null_variance = nn.Parameter(torch.ones(style_channels)) if null else None

    def forward(self, x: Tensor, k: Tensor, null: Tensor | None = None) -> Tensor:
        """Fuse style into the map.

        Args:
            x: X (B, C, H, W).
            k: K (B, C_K, h, w); of X's size in the paper, any size here.
            null: (B,) true where the learned tokens take the style's place.

        Returns:
            X_out (B, C, H, W).
        """
        return self.fuse(x, self.answers(k, null))

    def answers(self, k: Tensor, null: Tensor | None = None) -> Answers:
        """The style's part of `forward`, which is the same at every step of a walk."""
        # Squares of half-precision numbers cancel badly, and tokens are few.
        k_32, dtype = self.norm_style(k).float(), self.means.key.weight.dtype
        mu_k, _ = mean_tokens(k_32, self.p_mu)
        sigma_k, _ = variance_tokens(k_32, self.p_sigma)
        if null is not None and self.null_mean is not None and self.null_variance is not None:
            mu_k = torch.where(null[:, None, None], self.null_mean.float(), mu_k)
            sigma_k = torch.where(null[:, None, None], self.null_variance.float(), sigma_k)
        return Answers(*self.means.answers(mu_k.to(dtype)), *self.variances.answers(sigma_k.to(dtype)))

    def fuse(self, x: Tensor, style: Answers) -> Tensor:
        """X's part of `forward`."""
        x_32 = x.float()
        mu_x, at_mu = mean_tokens(x_32, self.p_mu)
        sigma_x, at_sigma = variance_tokens(x_32, self.p_sigma)
        mu_f = _as_map(self.means(mu_x.to(x.dtype), style.mean_key, style.mean_value), at_mu, x)
        sigma_f = _as_map(self.variances(sigma_x.to(x.dtype), style.variance_key, style.variance_value), at_sigma, x)
        out: Tensor = x + self.conv(self.norm(x) * sigma_f + mu_f)
        return out


def _as_map(answer: Tensor, at: tuple[int, int], like: Tensor) -> Tensor:
    """What was fetched, without the global token, as a map of the size of ``like``."""
    maps = answer[:, :-1].transpose(1, 2).reshape(len(answer), -1, *at).contiguous(memory_format=torch.channels_last)
    return F.interpolate(maps, like.shape[2:], mode="bilinear", align_corners=False).to(like.dtype)
