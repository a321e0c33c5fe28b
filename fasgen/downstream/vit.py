"""Vision transformer (Dosovitskiy et al. 2021), with names of parameters as the common ImageNet checkpoints have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from fasgen.errors import ConfigError


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention of queries (B, N, D) to keys and values (B, M, D)."""
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) to the same."""
        q, k, v = self.qkv(x).chunk(3, -1)
        out: Tensor = self.proj(attend(q, k, v, self.heads))
        return out


class Mlp(nn.Module):
    """Two linear layers around a GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Self-attention and MLP, each behind a layer norm and beside a shortcut.

    The halves are methods of their own, so that OA-Net can attend to its cue between them.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def look(self, x: Tensor) -> Tensor:
        """The half with self-attention."""
        out: Tensor = x + self.attn(self.norm1(x))
        return out

    def think(self, x: Tensor) -> Tensor:
        """The half with the MLP."""
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    """Patches to tokens."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width, H / patch, W / patch)."""
        out: Tensor = self.proj(x)
        return out


class Vit(nn.Module):
    """Vision transformer with a class token and learned positions.

    Args:
        size: side of the images it is made for, px; positions are interpolated for others.
        patch: side of a patch, px.
        width: of tokens.
        depth: number of blocks.
        heads: of each attention.
        channels: of the input.

    Raises:
        ConfigError: the sizes do not divide.
    """

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int, channels: int = 3) -> None:
        super().__init__()
        if size % patch or width % heads:
            raise ConfigError(f"vit: {size} px do not divide by patches of {patch}, or width {width} by {heads} heads")
        self.width, self.patch, self.grid, self.heads = width, patch, size // patch, heads
        self.patch_embed = PatchEmbed(channels, width, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def tokens(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 1 + patches, width), positions added.

        Raises:
            ConfigError: the sides are not multiples of the patch.
        """
        if x.shape[-2] % self.patch or x.shape[-1] % self.patch:
            raise ConfigError(f"vit: images are {x.shape[-2]} x {x.shape[-1]} px, sides must be multiples of {self.patch}")
        patches = self.patch_embed(x)
        grid = (patches.shape[-2], patches.shape[-1])
        out = torch.cat([self.cls_token.expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        return out + resize_positions(self.pos_embed, grid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width): the class token after the last layer norm."""
        out = self.tokens(x)
        for block in self.blocks:
            out = block.think(block.look(out))  # type: ignore[operator]
        return self.read(out)

    def read(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, width) to the class token (B, width), normalised."""
        out: Tensor = self.norm(tokens)[:, 0]
        return out


def resize_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Positions (1, 1 + g^2, width) for a grid of other height and width, bicubic; the class token's stays."""
    side = round((positions.shape[1] - 1) ** 0.5)
    if grid == (side, side):
        return positions
    image = positions[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
    resized = interpolate(image, size=list(grid), mode="bicubic", align_corners=False, antialias=True)
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], 1)
