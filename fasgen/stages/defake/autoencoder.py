"""A small autoencoder for latent diffusion on two CPU cores, in the diffusers layout.

It has the interface that fasgen needs of diffusers' ``AutoencoderKL`` and a quarter of its layers: the image enters as 4 x 4
patches, so no convolution ever runs at full resolution, which is where the time of a small autoencoder goes.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """GroupNorm, SiLU, 3 x 3 convolution, twice, with a shortcut; the second convolution starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return out


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Autoencoder of images (B, 3, H, W) in [-1, 1] to latents (B, latent_channels, H / 8, W / 8).

    Args:
        in_channels: colours.
        patch: side of the patches that become channels.
        widths: channels at 1/4 and at 1/8 of the resolution.
        blocks: residual blocks at each of the two, in encoder and decoder alike.
        latent_channels: channels of the latent.
        latents_mean: mean of each latent channel over the training faces.
        latents_std: standard deviation of each latent channel over the training faces.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int = 3,
        patch: int = 4,
        widths: tuple[int, int] = (96, 160),
        blocks: int = 2,
        latent_channels: int = 12,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        pixels, (wide, deep) = in_channels * patch * patch, widths
        self.patch = patch
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(patch),
            nn.Conv2d(pixels, wide, 3, 1, 1),
            *[ResBlock(wide) for _ in range(blocks)],
            nn.Conv2d(wide, deep, 3, 2, 1),
            *[ResBlock(deep) for _ in range(blocks)],
            nn.GroupNorm(8, deep),
            nn.SiLU(),
            nn.Conv2d(deep, latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, deep, 3, 1, 1),
            *[ResBlock(deep) for _ in range(blocks)],
            nn.Conv2d(deep, 4 * wide, 1),
            nn.PixelShuffle(2),
            *[ResBlock(wide) for _ in range(blocks)],
            nn.GroupNorm(8, wide),
            nn.SiLU(),
            nn.Conv2d(wide, pixels, 3, 1, 1),
            nn.PixelShuffle(patch),
        )

    def encode(self, x: Tensor) -> Tensor:
        """Images in [-1, 1] to raw latents; H and W must be multiples of 8."""
        out: Tensor = self.encoder(x)
        return out

    def decode(self, latents: Tensor) -> Tensor:
        """Raw latents to images; values may leave [-1, 1] slightly."""
        out: Tensor = self.decoder(latents)
        return out

    def forward(self, x: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Images to (reconstructions, latents); ``noise`` is added to the latents, in their standard deviations."""
        latents = self.encode(x)
        seen = latents
        if noise:
            scale = latents.detach().std(dim=(0, 2, 3), keepdim=True)
            seen = latents + noise * scale * torch.randn_like(latents)
        return self.decode(seen), latents
