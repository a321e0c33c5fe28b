"""The spoof cue generator and the auxiliary classifier (Feng et al. 2020, "Learning Generalized Spoof Cues", section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.stages.lgsc.resnet import BasicBlock, Norm, ResNet

Padding = Literal["zeros", "replicate"]

START = 0.1
"""First scale of the last instance normalisations."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of a generator; the defaults are the paper's.

    Attributes:
        stem: channels of the encoder's stem.
        widths: channels of the encoder's layers.
        blocks: basic blocks of the encoder's layers.
        decoder: channels of the first four decoder stages, the coarsest first.
        norm: normalisation in the decoder. ``instance`` is the paper's. ``batch`` keeps how strong a feature is in one image
            beside another; the map itself is then brought to unit variance over a batch before tanh, so that a short training
            cannot make live cues small by making all cues small: only by telling live from spoof.
        kernel: side of the stem's convolution.
        padding: what convolutions see beyond the border. With ``zeros``, the paper's, they can tell where it is, and a short
            training lights a strip along it as a flag for "an attack"; with ``replicate``, the pixels at the border go on.

    Raises:
        ValueError: if lengths or figures do not fit.
    """

    stem: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    decoder: tuple[int, ...] = (256, 128, 64, 64)
    norm: Literal["instance", "batch"] = "instance"
    kernel: int = 7
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.blocks) == len(self.decoder) == 4:
            raise ValueError("widths, blocks and decoder need four numbers each")
        if min(self.stem, *self.widths, *self.blocks, *self.decoder) < 1 or self.kernel % 2 == 0:
            raise ValueError("channels and blocks must be positive, and the kernel's side odd")
        if self.norm not in ("instance", "batch"):
            raise ValueError(f"norm is {self.norm!r}, not instance or batch")
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding is {self.padding!r}, not zeros or replicate")


class Cue(NamedTuple):
    """What the generator makes of a batch.

    Attributes:
        map: (B, 3, H, W) spoof cue map in [-1, 1]; near 0 for a live face.
        features: outputs of encoder (E5) and first four decoder stages (D1 to D4), on which the triplets are.
    """

    map: Tensor
    features: tuple[Tensor, ...]


class DecoderStage(nn.Module):
    """Doubles the side: nearest, padded right and below by one, 2 x 2 convolution; joined by the encoder's tap; two basic
    blocks beside a 1 x 1 convolution.

    Args:
        inside: channels that come in.
        tap: channels of the encoder's tap; 0 without one.
        up: channels after the 2 x 2 convolution.
        width: channels that go out.
        norm: makes a normalisation.
        padding: beyond the border.
    """

    def __init__(self, inside: int, tap: int, up: int, width: int, norm: Norm, padding: Padding) -> None:
        super().__init__()
        self._beyond = "constant" if padding == "zeros" else padding
        self.up = nn.Conv2d(inside, up, 2, bias=False)
        self.norm = norm(up)
        self.block1 = BasicBlock(up + tap, width, norm=norm)
        self.block2 = BasicBlock(width, width, norm=norm)
        self.side = nn.Sequential(nn.Conv2d(up + tap, width, 1, bias=False), norm(width))

    def forward(self, x: Tensor, size: tuple[int, int], tap: Tensor | None, activate: bool = True) -> Tensor:
        """(B, inside, h, w) to (B, width, *size): the tap's size, which for odd sides is not twice h and w."""
        x = F.interpolate(x, size=size, mode="nearest")
        x = F.relu(self.norm(self.up(F.pad(x, (0, 1, 0, 1), self._beyond))))
        if tap is not None:
            x = torch.cat([x, tap], 1)
        out: Tensor = self.block2(self.block1(x), activate) + self.side(x)
        return out


class SpoofCueGenerator(nn.Module):
    """Encoder, five decoder stages, tanh. Fully convolutional: any size from 32 px up.

    Args:
        config: its shape.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        norm: Norm = nn.BatchNorm2d if config.norm == "batch" else _instance
        self.encoder = ResNet(config.stem, config.widths, config.blocks, config.kernel)
        taps = (*reversed(config.widths[:3]), config.stem)
        inside, stages = config.widths[3], []
        for width, tap in zip(config.decoder, taps, strict=True):
            stages.append(DecoderStage(inside, tap, width, width, norm, config.padding))
            inside = width
        self.decoder = nn.ModuleList(stages)
        self.last = DecoderStage(inside, 0, inside, 3, norm, config.padding)
        self.scale: nn.Module = nn.Identity()
        if config.norm == "batch":
            self.scale = nn.BatchNorm2d(3, affine=False)
        else:
            _start_small(self.last)
        _pad(self, config.padding)

    def forward(self, x: Tensor) -> Cue:
        """Faces (B, 3, H, W) in [-1, 1] to their cue maps and the features that training compares."""
        *taps, out = self.encoder.taps(x)
        features = [out]
        for stage, tap in zip(self.decoder, reversed(taps), strict=True):
            out = stage(out, (tap.shape[2], tap.shape[3]), tap)
            features.append(out)
        # A last ReLU would keep the map from being negative.
        drawn = self.last(out, (x.shape[2], x.shape[3]), None, activate=False)
        return Cue(torch.tanh(self.scale(drawn)), tuple(features))


def _pad(network: nn.Module, padding: Padding) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and any(module.padding):
            module.padding_mode = padding


def _start_small(last: DecoderStage) -> None:
    """The map starts near zero, where live faces are to have it, rather than where tanh is flat."""
    for part in (last.block1.bn2, last.block1.downsample, last.block2.bn2, last.side):
        for module in part.modules():
            if isinstance(module, nn.InstanceNorm2d):
                nn.init.constant_(module.weight, START)


def _instance(width: int) -> nn.Module:
    return nn.InstanceNorm2d(width, affine=True)


class AuxiliaryClassifier(nn.Module):
    """Live or spoof, told from the face with its cue added (section 3.3). It trains the generator and is then left behind.

    Args:
        stem: channels of its stem.
        widths: channels of its layers; the paper's is a second ResNet-18.
        dropout: before the last layer.
        kernel: side of the stem's convolution.
        padding: beyond the border.
    """

    def __init__(
        self,
        stem: int = 64,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        dropout: float = 0.5,
        kernel: int = 7,
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        self.trunk = ResNet(stem, widths, (2, 2, 2, 2), kernel)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1], 2)
        _pad(self, padding)

    def forward(self, x: Tensor) -> Tensor:
        """``input + cue`` (B, 3, H, W) to logits (B, 2): spoof, live."""
        logits: Tensor = self.fc(self.dropout(self.trunk(x)))
        return logits
