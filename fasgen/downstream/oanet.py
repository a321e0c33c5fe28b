"""OA-Net of AG-FAS: a vision transformer that looks at the cue's tokens after every self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from fasgen.downstream.resnet import ResNet
from fasgen.downstream.vit import Vit, attend


class CueAttention(nn.Module):
    """``W_o CA(LN(x), cue)``: queries from the image's tokens, keys and values from the cue's.

    ``W_o`` begins at zero, weight and bias, so that the network begins as the plain transformer.

    Args:
        width: of the image's tokens.
        cue_width: of the cue's tokens.
        heads: of the attention.
    """

    def __init__(self, width: int, cue_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(cue_width, 2 * width)
        self.proj = nn.Linear(width, width)
        for layer in (self.q, self.kv):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor, cue: Tensor) -> Tensor:
        """Tokens (B, N, width) and cue tokens (B, M, cue_width) to (B, N, width)."""
        k, v = self.kv(cue).chunk(2, -1)
        out: Tensor = self.proj(attend(self.q(self.norm(x)), k, v, self.heads))
        return out


class OaNet(nn.Module):
    """The transformer with its cue encoder (AG-FAS, section III-C).

    The published code reshapes the cue's map into 64 tokens raw, which mixes the samples of a batch at any input but 256 px.
    Here (B, C, h, w) becomes (B, h w, C) by flattening and transposing, at any size.

    Args:
        vit: the transformer.
        encoder: of the cue; its last map is flattened to tokens, without positions.
    """

    def __init__(self, vit: Vit, encoder: ResNet) -> None:
        super().__init__()
        self.width = vit.width
        self.vit, self.encoder = vit, encoder
        self.cross = nn.ModuleList(CueAttention(vit.width, encoder.width, vit.heads) for _ in vit.blocks)

    def cue_tokens(self, cue: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, H / 32 * W / 32, encoder.width)."""
        return self.encoder.maps(cue).flatten(2).transpose(1, 2)

    def forward(self, image: Tensor, cue: Tensor) -> Tensor:
        """Image and cue (B, C, H, W), of sizes of their own, to (B, width)."""
        x, tokens = self.vit.tokens(image), self.cue_tokens(cue)
        for block, cross in zip(self.vit.blocks, self.cross, strict=True):
            x = block.look(x)  # type: ignore[operator]
            x = x + cross(x, tokens)
            x = block.think(x)  # type: ignore[operator]
        return self.vit.read(x)
