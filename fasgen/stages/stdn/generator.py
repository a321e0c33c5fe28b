"""The generator of STDN+: an encoder and decoder that give traces, and a depth map from both.

What the paper's text says of the layers is the default: F1, F2 and F3 of 64, 96 and 128 channels at a half, a quarter and an
eighth of the side, F3 the heaviest; skips; 13 channels out; CDCN's spatial attention before the depth. The other widths, tanh
and sigmoid at the end are choices of this implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.stages.network_folder import load_network, save_network
from fasgen.stages.stdn.bands import banded
from fasgen.stages.stdn.geometry import DEPTH_SIDE
from fasgen.stages.stdn.traces import Traces

SPREAD = 0.02
"""Deviation of initial weights."""
CHANNELS = 13
"""Of the output: B, C, T, P, I_P."""
_BLURRED = 6
"""The first of them, B and C, count only below n1 and n2."""
_HALVED = 8
"""By how much F3 is smaller than the folded image."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of a generator.

    Attributes:
        size: side of the images that it was trained on, px.
        stem: channels at the full side, on the way down and up.
        widths: channels of F1, F2 and F3.
        blocks: further convolutions after each of them.
        depth_width: channels of the depth head.
        fold: px folded into channels, each way, before the first convolution and back after the last; 1 in the paper.
        mask_bias: initial bias of P's logit; below 0, so that P begins small.
        alpha0: weight of the traces in the score, as tuned on held-out faces; 100 in the paper.
        smooth: take out of T, P and I_P what repeats every ``fold`` px, as `evened` does; B and C are low-passed anyway.
    """

    size: int = 256
    stem: int = 32
    widths: tuple[int, int, int] = (64, 96, 128)
    blocks: tuple[int, int, int] = (1, 2, 6)
    depth_width: int = 64
    fold: int = 1
    mask_bias: float = -4.0
    alpha0: float = 100.0
    smooth: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or len(self.blocks) != 3 or min(self.stem, self.depth_width, *self.widths) < 1:
            raise ValueError("widths and blocks have three entries each, all widths are positive")
        if self.fold < 1 or self.size % self.factor:
            raise ValueError(f"size {self.size} is no multiple of {self.factor}")

    @property
    def factor(self) -> int:
        """Sides of images are multiples of it."""
        return _HALVED * self.fold


class Analysis(NamedTuple):
    """What the generator says of B images: traces, and M (B, 1, 32, 32) in [0, 1], high where it sees the depth of a face."""

    traces: Traces
    depth: Tensor


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)
    )


def upwards(inputs: int, outputs: int) -> nn.Sequential:
    """Transposed convolution to twice the side, batch normalisation, LeakyReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)
    )


class SpatialAttention(nn.Module):
    """Features times a map made of their mean and maximum over channels (CDCN; Yu et al. 2020).

    Args:
        kernel: side of the convolution; the finer the features, the larger.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.map = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x * torch.sigmoid(self.map(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


def resized(x: Tensor, side: int) -> Tensor:
    """(B, C, H, H) to (B, C, side, side), averaging on the way down."""
    if x.shape[-1] >= side:
        return F.interpolate(x, size=(side, side), mode="area")
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def evened(x: Tensor, fold: int) -> Tensor:
    """(B, C, S, S) without what repeats every ``fold`` px, each way: a window of that length, twice, so that nothing moves.

    Unfolding gives each of the fold's places filters of its own, whose least difference is a grid over the whole picture
    (Odena et al. 2016). It has the period of the fold, and this the zeros at that frequency and its multiples.
    """
    if fold == 1:
        return x
    window = torch.ones(fold, dtype=x.dtype, device=x.device)
    taps = F.conv1d(window.reshape(1, 1, -1), window.reshape(1, 1, -1), padding=fold - 1) / fold**2
    channels = x.shape[1]
    x = F.pad(x, (fold - 1,) * 4, mode="reflect")
    x = F.conv2d(x, taps.reshape(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(x, taps.reshape(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)


class Generator(nn.Module):
    """Faces in, traces and depth out.

    Args:
        config: shape.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        stem, (one, two, three) = config.stem, config.widths
        inside = config.fold**2
        self.stem = convolution(9 * inside, stem)
        levels = zip((stem, one, two), config.widths, config.blocks, strict=True)
        self.down = nn.ModuleList(
            nn.Sequential(convolution(i, o, 2), *(convolution(o, o) for _ in range(blocks))) for i, o, blocks in levels
        )
        self.up = nn.ModuleList([upwards(three, two), upwards(2 * two, one), upwards(2 * one, stem)])
        self.last = nn.Conv2d(2 * stem, CHANNELS * inside, 3, padding=1)
        self.attention = nn.ModuleList(SpatialAttention(kernel) for kernel in (7, 5, 3, 7))
        joined = one + two + three + stem
        self.head = nn.Sequential(
            convolution(joined, config.depth_width),
            convolution(config.depth_width, config.depth_width),
            nn.Conv2d(config.depth_width, 1, 3, padding=1),
        )
        self.apply(initial)
        if self.last.bias is not None:
            nn.init.constant_(self.last.bias[9 * inside : 10 * inside], config.mask_bias)

    def forward(self, image: Tensor) -> Analysis:
        """Take faces apart.

        Args:
            image: (B, 3, S, S) in [0, 1], S a multiple of the configuration's ``factor``.
        """
        fold = self.config.fold
        top = self.stem(F.pixel_unshuffle(banded(image), fold).to(self.last.weight.dtype))
        features = [top]
        for level in self.down:
            features.append(level(features[-1]))
        x = features[3]
        for level, skip in zip(self.up, features[2::-1], strict=True):
            risen = level(x)
            x = torch.cat([risen, skip], 1)
        out = F.pixel_shuffle(self.last(x), fold).float()
        if self.config.smooth:
            out = torch.cat([out[:, :_BLURRED], evened(out[:, _BLURRED:], fold)], 1)
        colour, content, texture, mask, filling = torch.split(out, [3, 3, 3, 1, 3], 1)
        traces = Traces(torch.tanh(colour), torch.tanh(content), torch.tanh(texture), mask.sigmoid(), filling.sigmoid())
        seen = zip(self.attention, (*features[1:], risen), strict=True)
        depth = self.head(torch.cat([resized(attend(f), DEPTH_SIDE) for attend, f in seen], 1))
        return Analysis(traces, depth.float().sigmoid())

    @classmethod
    def load(cls, folder: Path) -> Generator:
        """From ``config.json`` and ``model.safetensors``, for inference.

        Raises:
            WeightsError: if one is missing, unsafe, or does not fit the other.
        """
        return load_network(folder, cls, GeneratorConfig)

    def save(self, folder: Path) -> None:
        """Write both files."""
        save_network(self, self.config, folder)


def initial(module: nn.Module) -> None:
    """N(0, 0.02) for weights of convolutions, N(1, 0.02) for normalisations, 0 for biases."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, SPREAD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, SPREAD)
        nn.init.zeros_(module.bias)
