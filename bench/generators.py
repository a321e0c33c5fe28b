"""Generators with random weights, in the layout that stages load: what a network has learnt does not change its cost."""

from __future__ import annotations

from pathlib import Path


def defake(folder: Path, *, side: int, tiny: bool = False, device: str = "cpu") -> None:
    """A De-fake Face Generator as AG-FAS has it, Stable Diffusion 1.5's U-Net and autoencoder, in half precision.

    Args:
        folder: where it goes.
        side: of the crops, px.
        tiny: a network of the same kind that a CPU runs in a blink.
        device: where the numbers are drawn.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from fasgen.stages.defake.model import DFG, SCHEDULER, Latents
    from fasgen.stages.defake.tokens import PaddedTokens

    attention = (True, False) if tiny else (True, True, True, False)
    width = 512 if tiny else 768
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=side // 8,
            block_out_channels=(32, 64) if tiny else (320, 640, 1280, 1280),
            layers_per_block=1 if tiny else 2,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
            cross_attention_dim=width,
            attention_head_dim=8,
        )
        autoencoder = AutoencoderKL(
            block_out_channels=(16, 16, 16, 16) if tiny else (128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1 if tiny else 2,
            latent_channels=4,
            norm_num_groups=16 if tiny else 32,
        )
    DFG(Latents(autoencoder), unet, PaddedTokens(width), SCHEDULER).half().save(folder)


def difffas(folder: Path, *, side: int, tiny: bool = False, device: str = "cpu") -> str:
    """DiffFAS at the size of its paper, 256 px, or small; the first of its styles."""
    import torch

    from fasgen.stages.synth.difffas.diffusion import Schedule
    from fasgen.stages.synth.difffas.model import DiffFAS
    from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
    from fasgen.stages.synth.difffas.unet import UNet, UNetConfig

    styles = tuple(f"bench|camera|style {number}" for number in range(17))
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet(UNetConfig(size=side, base=32) if tiny else UNetConfig(size=side))
        encoder = StyleEncoder(StyleEncoderConfig(styles))
    DiffFAS(unet, encoder, Schedule()).save(folder)
    return styles[0]
