"""Networks of DiffFAS small enough for tests, every part of them at work."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from fasgen.stages.synth.difffas.unet import UNet, UNetConfig

STYLES = ("live", "physical|simulated|dark", "physical|simulated|striped")
ENCODER: dict[str, Any] = {"blocks": (1, 1, 1), "widths": (8, 8, 16), "taps": (2, 3), "kernel": 3, "pool": False}
UNET: dict[str, Any] = {
    "size": 32,
    "base": 8,
    "multipliers": (1, 1, 2),
    "blocks": 1,
    "fusion": (1, 2),
    "style_channels": (8, 16),
    "mean_patches": (6, 6),
    "variance_patches": (2, 2),
    "dropout": 0.0,
}


def awake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that start at zero made small instead, so that every branch speaks."""
    generator = torch.Generator().manual_seed(seed)
    for p in network.parameters():
        if not bool(p.any()):
            p.data.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    return network.eval().requires_grad_(False)


def encoder(**changes: Any) -> StyleEncoder:
    torch.manual_seed(1)
    network = StyleEncoder(StyleEncoderConfig(STYLES, **(ENCODER | {"size": 32} | changes)))
    return network.eval()


def unet(**changes: Any) -> UNet:
    torch.manual_seed(2)
    network = UNet(UNetConfig(**(UNET | changes)))
    awake(network)
    return network


def model(prediction: Any = "epsilon", **changes: Any) -> DiffFAS:
    return DiffFAS(unet(**changes), encoder(), Schedule(prediction_type=prediction)).eval()


def images(count: int, height: int = 32, width: int | None = None, seed: int = 0) -> torch.Tensor:
    """Smooth pictures in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator) * 2 - 1
    return nn.functional.interpolate(coarse, (height, width or height), mode="bilinear", align_corners=False)
