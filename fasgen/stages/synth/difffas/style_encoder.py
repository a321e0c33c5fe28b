"""The spoofing style encoder (DiffFAS, section 3.1): a residual network that tells styles apart; its inner maps are the style.

It is trained as a classifier and then frozen. Depth and widths are those of the paper's code: BasicBlocks in stages of
3, 4, 6 and 3, as in ResNet-34, but 64, 256, 512 and 512 channels wide, so that its maps match the U-Net's at 32, 16 and 8 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fasgen.stages.network_folder import load_network, save_network


@dataclass(frozen=True)
class StyleEncoderConfig:
    """Shape of a style encoder; the defaults are the paper's.

    Attributes:
        styles: the style keys that it tells apart, in the order of its logits.
        blocks: residual blocks per stage.
        widths: channels per stage.
        taps: stages, counted from 1, whose outputs are the style features, the finest first.
        kernel: side of the first convolution, whose stride is 2.
        pool: halve once more before the first stage, as ResNet does.
        size: side of the images it was trained on, px; any other works.
        bands: BRISQUE of the pictures of each style, as 5th and 95th percentile; empty where it was not measured.
    """

    styles: tuple[str, ...]
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    widths: tuple[int, ...] = (64, 256, 512, 512)
    taps: tuple[int, ...] = (2, 3, 4)
    kernel: int = 7
    pool: bool = True
    size: int = 256
    bands: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.bands and len(self.bands) != len(self.styles):
            raise ValueError(f"{len(self.styles)} styles, but {len(self.bands)} bands of BRISQUE")
        if len(self.blocks) != len(self.widths):
            raise ValueError(f"{len(self.blocks)} numbers of blocks, but {len(self.widths)} widths")
        if (
            not self.taps
            or list(self.taps) != sorted(set(self.taps))
            or not 1 <= self.taps[0] <= self.taps[-1] <= len(self.blocks)
        ):
            raise ValueError(f"taps {self.taps} are not rising stages of 1 to {len(self.blocks)}")

    def band(self, style: str) -> tuple[float, float] | None:
        """BRISQUE, 5th and 95th percentile, of the pictures of ``style``; ``None`` if the style or its band is not known."""
        if not self.bands or style not in self.styles:
            return None
        low, high = self.bands[self.styles.index(style)]
        return (low, high) if low <= high else None

    @property
    def tap_channels(self) -> tuple[int, ...]:
        """Channels of the style features."""
        return tuple(self.widths[tap - 1] for tap in self.taps)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm about a shortcut, projected where the shape changes (He et al. 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        return cast(Tensor, self.relu(out + shortcut))


class Style(NamedTuple):
    """What the encoder says of images.

    Attributes:
        features: (B, C, h, w) per tap, the finest first.
        logits: (B, styles).
    """

    features: tuple[Tensor, ...]
    logits: Tensor


class StyleEncoder(nn.Module):
    """Classifier of spoofing styles.

    Args:
        config: shape and styles.
    """

    def __init__(self, config: StyleEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[0]
        self.conv1 = nn.Conv2d(3, width, config.kernel, 2, config.kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.pool: nn.Module = nn.MaxPool2d(3, 2, 1) if config.pool else nn.Identity()
        stages: list[nn.Module] = []
        inside = width
        for index, (blocks, outside) in enumerate(zip(config.blocks, config.widths, strict=True)):
            stride = 1 if index == 0 else 2
            stages.append(
                nn.Sequential(
                    *(BasicBlock(inside if i == 0 else outside, outside, stride if i == 0 else 1) for i in range(blocks))
                )
            )
            inside = outside
        self.stages = nn.ModuleList(stages)
        self.fc = nn.Linear(inside, len(config.styles))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Style:
        """(B, 3, H, W) in [-1, 1], the paper's normalisation with mean and deviation 0.5."""
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        taps = []
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if number in self.config.taps:
                taps.append(x)
        return Style(tuple(taps), self.fc(x.mean((2, 3))))

    @torch.no_grad()
    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """The style features (B, C, h, w) per tap, without a graph: the encoder is frozen where they are used."""
        return self(x).features  # type: ignore[no-any-return]

    def logits(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to (B, styles)."""
        return self(x).logits  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """Write ``config.json``, which names the styles, and ``model.safetensors``."""
        save_network(self, self.config, folder)

    @classmethod
    def load(cls, folder: Path) -> StyleEncoder:
        """From a folder that `save` wrote.

        Raises:
            WeightsError: see `fasgen.stages.network_folder.load_network`.
        """
        return load_network(folder, cls, StyleEncoderConfig)
