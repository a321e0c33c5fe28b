"""iResNet, the backbone of ArcFace (Deng et al., CVPR 2019; Duta et al., Improved Residual Networks, ICPR 2020).

Module names are those of the public ArcFace training checkpoints, so that their state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS: dict[int, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Blocks per stage of the published depths."""

INPUT_SIZE = 112
"""Side of the input in pixels; four stages of stride 2 leave a 7 x 7 map."""


@dataclass(frozen=True)
class IResNetConfig:
    """Shape of an iResNet.

    Attributes:
        blocks: blocks per stage.
        widths: channels per stage.
        map_channels: channels of the identity map; where the last stage is narrower, a 1 x 1 convolution widens it.
        embedding: length of the embedding.
        head: ``fc`` flattens the map into one linear layer, as ArcFace does; ``gdc`` pools it with a depthwise 7 x 7
            convolution first (MobileFaceNets, Chen et al. 2018), 50 times fewer weights.
    """

    blocks: tuple[int, ...] = DEPTHS[18]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    map_channels: int = 512
    embedding: int = 512
    head: str = "fc"

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> IResNetConfig:
        """From the ``config.json`` that lies beside the weights; lists become tuples."""
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in cls.__dataclass_fields__}
        return cls(**known)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return asdict(self)


class Identity(NamedTuple):
    """What the network says of a face.

    Attributes:
        map: (B, 512, 7, 7), output of the final BatchNorm before pooling: AG-FAS's condition.
        embedding: (B, 512), unit length; cosine similarity compares two faces.
        norm: (B,), length of the embedding before normalisation; low for faces that are hard to recognise.
    """

    map: Tensor
    embedding: Tensor
    norm: Tensor


class IBasicBlock(nn.Module):
    """BN, 3 x 3 convolution, BN, PReLU, 3 x 3 convolution (stride), BN; identity or projected shortcut, no final activation."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside, eps=1e-5)
        self.conv1 = nn.Conv2d(inside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside, eps=1e-5)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside, eps=1e-5)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside, eps=1e-5)
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        return out + shortcut


class IResNet(nn.Module):
    """iResNet with ArcFace's head; the final BatchNorm's output is the identity map.

    Args:
        config: shape; the defaults are iResNet-18.
    """

    def __init__(self, config: IResNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or IResNetConfig()
        width = config.widths[0]
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=1e-5)
        self.prelu = nn.PReLU(width)
        inside = width
        for index, (blocks, outside) in enumerate(zip(config.blocks, config.widths, strict=True), start=1):
            layers = [IBasicBlock(inside if i == 0 else outside, outside, 2 if i == 0 else 1) for i in range(blocks)]
            setattr(self, f"layer{index}", nn.Sequential(*layers))
            inside = outside
        channels = config.map_channels
        self.widen: nn.Module | None = nn.Conv2d(inside, channels, 1, bias=False) if inside != channels else None
        self.bn2 = nn.BatchNorm2d(channels, eps=1e-5)
        if config.head == "gdc":
            self.pool = nn.Conv2d(channels, channels, 7, groups=channels, bias=False)
            self.fc = nn.Linear(channels, config.embedding)
        else:
            self.fc = nn.Linear(channels * 49, config.embedding)
        self.features = nn.BatchNorm1d(config.embedding, eps=1e-5)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu", a=0.25)

    def stages(self) -> Sequence[nn.Module]:
        """The four residual stages, in order."""
        return [self.get_submodule(f"layer{index}") for index in range(1, 5)]

    def identity_map(self, x: Tensor) -> Tensor:
        """(B, 3, 112, 112) in [-1, 1] to the identity map (B, 512, 7, 7)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        for stage in self.stages():
            x = stage(x)
        if self.widen is not None:
            x = self.widen(x)
        out: Tensor = self.bn2(x)
        return out

    def embed(self, identity_map: Tensor) -> tuple[Tensor, Tensor]:
        """Identity map to (unit embedding (B, 512), its length before normalisation (B,))."""
        if self.config.head == "gdc":
            identity_map = self.pool(identity_map)
        raw = self.features(self.fc(identity_map.flatten(1)))
        return F.normalize(raw, dim=1), torch.linalg.vector_norm(raw, dim=1)

    def forward(self, x: Tensor) -> Identity:
        """(B, 3, H, W) in [-1, 1]; any size is bilinearly resized to 112 x 112, as AG-FAS does."""
        if x.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
            x = F.interpolate(x, (INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        identity_map = self.identity_map(x)
        embedding, norm = self.embed(identity_map)
        return Identity(identity_map, embedding, norm)
