"""MobileViT (Mehta and Rastegari, ICLR 2022), the classifier's network of DiffFAS, with timm's names of parameters."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from fasgen.downstream.vit import Attention

PATCH, HEADS = 2, 4


class Sizes(NamedTuple):
    """Channels of the five stages, widths of the three transformers, expansion of the bottlenecks, channels at the end."""

    stages: tuple[int, int, int, int, int]
    tokens: tuple[int, int, int]
    expansion: int
    width: int


DEPTHS = (2, 4, 3)
"""Blocks of the three transformers."""


class ConvNorm(nn.Module):
    """Convolution, batch norm and, where it acts, SiLU."""

    def __init__(self, inside: int, width: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, width, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self._act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride), sides rounded up."""
        out: Tensor = self.bn(self.conv(x))
        return silu(out) if self._act else out


class Bottleneck(nn.Module):
    """MobileNetV2's block: 1 x 1 up, depthwise, 1 x 1 down; beside a shortcut where the shape stays."""

    def __init__(self, inside: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * inside
        self.conv1_1x1 = ConvNorm(inside, wide, 1)
        self.conv2_kxk = ConvNorm(wide, wide, 3, stride, groups=wide)
        self.conv3_1x1 = ConvNorm(wide, width, 1, act=False)
        self._adds = stride == 1 and inside == width

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride)."""
        out: Tensor = self.conv3_1x1(self.conv2_kxk(self.conv1_1x1(x)))
        return out + x if self._adds else out


class Mlp(nn.Module):
    """Two linear layers around a SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        out: Tensor = self.fc2(silu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Self-attention and MLP, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, HEADS)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) to the same."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class MobileVitBlock(nn.Module):
    """Local features by convolution, global ones by a transformer over one place of all patches; both are joined."""

    def __init__(self, width: int, tokens: int, depth: int) -> None:
        super().__init__()
        self.conv_kxk = ConvNorm(width, width, 3)
        self.conv_1x1 = nn.Conv2d(width, tokens, 1, bias=False)
        self.transformer = nn.Sequential(*(Block(tokens) for _ in range(depth)))
        self.norm = nn.LayerNorm(tokens)
        self.conv_proj = ConvNorm(tokens, width, 1)
        self.conv_fusion = ConvNorm(2 * width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same; sides that patches do not divide are stretched to a multiple within."""
        side = x.shape[-2:]
        y = self.conv_1x1(self.conv_kxk(x))
        rows, columns = (-(-s // PATCH) for s in side)
        if (rows * PATCH, columns * PATCH) != tuple(side):
            y = interpolate(y, size=(rows * PATCH, columns * PATCH), mode="bilinear", align_corners=False)
        batch, width = y.shape[:2]
        # (B, C, rows, p, columns, p) to (B p p, rows columns, C): each place in a patch attends to itself in all patches.
        cut = y.reshape(batch, width, rows, PATCH, columns, PATCH).permute(0, 3, 5, 2, 4, 1)
        z = self.norm(self.transformer(cut.reshape(batch * PATCH**2, rows * columns, width)))
        back = z.reshape(batch, PATCH, PATCH, rows, columns, width).permute(0, 5, 3, 1, 4, 2)
        y = back.reshape(batch, width, rows * PATCH, columns * PATCH)
        if y.shape[-2:] != side:
            y = interpolate(y, size=side, mode="bilinear", align_corners=False)
        out: Tensor = self.conv_fusion(torch.cat([x, self.conv_proj(y)], 1))
        return out


class MobileVit(nn.Module):
    """The network below its classifier.

    Args:
        sizes: of the variant.
        channels: of the input.
    """

    def __init__(self, sizes: Sizes, channels: int = 3) -> None:
        super().__init__()
        self.width, grow = sizes.width, sizes.expansion
        first, second, *rest = sizes.stages
        self.stem = ConvNorm(channels, 16, 3, 2)
        stages = [
            nn.Sequential(Bottleneck(16, first, 1, grow)),
            nn.Sequential(Bottleneck(first, second, 2, grow), *(Bottleneck(second, second, 1, grow) for _ in range(2))),
        ]
        inside = second
        for width, tokens, depth in zip(rest, sizes.tokens, DEPTHS, strict=True):
            stages.append(nn.Sequential(Bottleneck(inside, width, 2, grow), MobileVitBlock(width, tokens, depth)))
            inside = width
        self.stages = nn.Sequential(*stages)
        self.final_conv = ConvNorm(inside, self.width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width), averaged over space."""
        out: Tensor = self.final_conv(self.stages(self.stem(x)))
        return out.mean((2, 3))
