"""From the identity map to the condition tokens of the cross-attention."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F


def identity_tokens(identity_map: Tensor) -> Tensor:
    """(B, 512, 7, 7) to (B, 49, 512): flattened, then transposed (AG-FAS III-B; a raw reshape would mix positions)."""
    return identity_map.flatten(2).transpose(1, 2)


def withheld(tokens: Tensor, where: Tensor | None = None) -> Tensor:
    """Tokens (B, 49, C) of no identity, zeros before they are padded or projected: all, or those ``where`` (B,) is true."""
    return torch.zeros_like(tokens) if where is None else tokens.masked_fill(where[:, None, None], 0.0)


class PaddedTokens(nn.Module):
    """Zeros after the identity channels, up to the width of the cross-attention (AG-FAS).

    Args:
        width: length of a token, 768 for Stable Diffusion 1.x.
    """

    def __init__(self, width: int = 768) -> None:
        super().__init__()
        self.width = width

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 49, 512) to (B, 49, width)."""
        return F.pad(tokens, (0, self.width - tokens.shape[-1]))


class LearnedTokens(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A linear layer and a learned position for each token, where no pretrained cross-attention fixes the width.

    Args:
        channels: of the identity map.
        width: length of a token.
        count: tokens.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int = 512, width: int = 768, count: int = 49) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width)
        self.position = nn.Parameter(torch.randn(1, count, width) * 0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 49, 512) to (B, 49, width)."""
        out: Tensor = self.linear(tokens) + self.position
        return out
