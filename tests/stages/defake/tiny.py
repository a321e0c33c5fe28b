"""A generator so small that it is made in a moment: random weights, real layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.model import DFG, SCHEDULER, Latents
from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens


def tiny_unet(channels: int, size: int, width: int, levels: int = 2) -> UNet2DConditionModel:
    """Random U-Net with cross-attention of ``width`` at its lowest level."""
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16,) * levels,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * (levels - 1) + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        cross_attention_dim=width,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def write_patch(folder: Path, size: int = 4, levels: int = 2) -> Path:
    """Patch autoencoder and learned projection, for crops of ``8 * size`` pixels."""
    torch.manual_seed(0)
    vae = PatchAutoencoder(widths=(16, 16), blocks=1, latent_channels=4, latents_mean=[0.1] * 4, latents_std=[0.5] * 4)
    scheduler = SCHEDULER | {"prediction_type": "v_prediction"}
    DFG(Latents(vae), tiny_unet(4, size, 32, levels), LearnedTokens(width=32), scheduler).save(folder)
    return folder


def write_stable(folder: Path, size: int = 4, levels: int = 2) -> Path:
    """The shape of Stable Diffusion 1.x: AutoencoderKL of factor 8, tokens padded to 768."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    )
    tokens: nn.Module = PaddedTokens(768)
    DFG(Latents(vae), tiny_unet(4, size, 768, levels), tokens, SCHEDULER | {"set_alpha_to_one": False}).save(folder)
    return folder
