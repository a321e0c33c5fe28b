"""The networks of RetinaFace (Deng et al., *RetinaFace: Single-shot Multi-level Face Localisation in the Wild*, 2020).

Every batch normalisation is folded into the convolution before it, so a network is convolutions with biases only; names
follow the usual public checkpoints, which lets one loader serve all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


def _conv(narrow: int, wide: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, groups=groups)


class MobileNet(nn.Module):
    """MobileNetV1 at a quarter of its width; gives maps of strides 8, 16 and 32."""

    CHANNELS = (64, 128, 256)
    SLOPE = 0.1

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            nn.Sequential(_conv(3, 8, 3, 2)), *self._separable((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        )
        self.stage2 = nn.Sequential(*self._separable((64, 128, 2), *[(128, 128, 1)] * 5))
        self.stage3 = nn.Sequential(*self._separable((128, 256, 2), (256, 256, 1)))

    @staticmethod
    def _separable(*blocks: tuple[int, int, int]) -> list[nn.Module]:
        return [
            nn.Sequential(_conv(narrow, narrow, 3, stride, groups=narrow), _conv(narrow, wide, 1))
            for narrow, wide, stride in blocks
        ]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) to three maps."""
        maps = []
        for stage in (self.stage1, self.stage2, self.stage3):
            for layer in stage.modules():
                if isinstance(layer, nn.Conv2d):
                    x = F.leaky_relu(layer(x), self.SLOPE, inplace=True)
            maps.append(x)
        return maps


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions; the stride lies in the middle one."""

    def __init__(self, narrow: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = _conv(narrow, inner, 1), _conv(inner, inner, 3, stride), _conv(inner, 4 * inner, 1)
        reshapes = stride != 1 or narrow != 4 * inner
        self.downsample = nn.Sequential(_conv(narrow, 4 * inner, 1, stride)) if reshapes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, narrow, H, W) to (N, 4 inner, H', W')."""
        out = F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)), inplace=True)
        out = self.conv3(out) + (x if self.downsample is None else self.downsample(x))
        return F.relu(out, inplace=True)


class ResNet50(nn.Module):
    """ResNet-50 without its classifier; gives the maps of its last three stages."""

    CHANNELS = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 7, 2)
        self.layer1 = self._stage(64, 64, 3, 1)
        self.layer2 = self._stage(256, 128, 4, 2)
        self.layer3 = self._stage(512, 256, 6, 2)
        self.layer4 = self._stage(1024, 512, 3, 2)

    @staticmethod
    def _stage(narrow: int, inner: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [Bottleneck(4 * inner, inner, 1) for _ in range(blocks - 1)]
        return nn.Sequential(Bottleneck(narrow, inner, stride), *rest)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) to three maps."""
        x = self.layer1(F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, 1))
        maps = []
        for stage in (self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class FeaturePyramid(nn.Module):
    """Brings three maps to one width and hands coarse ones down to finer ones."""

    def __init__(self, channels: Sequence[int], width: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.output1, self.output2, self.output3 = (nn.Sequential(_conv(narrow, width, 1)) for narrow in channels)
        self.merge2, self.merge1 = (nn.Sequential(_conv(width, width, 3)) for _ in range(2))

    def _act(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(x, self.slope, inplace=True)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Maps of strides 8, 16, 32 to as many of one width."""
        outputs = (self.output1, self.output2, self.output3)
        fine, middle, coarse = (self._act(output(x)) for output, x in zip(outputs, maps, strict=True))
        middle = self._act(self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest")))
        fine = self._act(self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest")))
        return [fine, middle, coarse]


class Context(nn.Module):
    """SSH's context module (Najibi et al., 2017): fields of 3, 5 and 7 px side by side."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.conv3X3 = nn.Sequential(_conv(width, width // 2, 3))
        self.conv5X5_1 = nn.Sequential(_conv(width, width // 4, 3))
        self.conv5X5_2 = nn.Sequential(_conv(width // 4, width // 4, 3))
        self.conv7X7_2 = nn.Sequential(_conv(width // 4, width // 4, 3))
        self.conv7x7_3 = nn.Sequential(_conv(width // 4, width // 4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width, H, W) to the same shape."""
        shared = F.leaky_relu(self.conv5X5_1(x), self.slope, inplace=True)
        seven = F.leaky_relu(self.conv7X7_2(shared), self.slope, inplace=True)
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(seven)], 1), inplace=True)


class RetinaFaceNet(nn.Module):
    """Backbone, feature pyramid, context modules, and one head a level."""

    HEADS = (("ClassHead", 2), ("BboxHead", 4), ("LandmarkHead", 10))
    ANCHORS = 2

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.body: MobileNet | ResNet50 = MobileNet() if backbone == "mobilenet0.25" else ResNet50()
        width, slope = (64, 0.1) if backbone == "mobilenet0.25" else (256, 0.0)
        self.fpn = FeaturePyramid(self.body.CHANNELS, width, slope)
        self.ssh1, self.ssh2, self.ssh3 = (Context(width, slope) for _ in range(3))
        outputs = self.ANCHORS * sum(size for _, size in self.HEADS)
        self.heads = nn.ModuleList(_conv(width, outputs, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(1, 3, H, W), BGR levels less their means, to what each of A anchors says.

        Returns:
            class logits (A, 2), box offsets (A, 4), landmark offsets (A, 10); anchors by level, row, column, size.
        """
        parts: tuple[list[torch.Tensor], ...] = ([], [], [])
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        for level, context, head in zip(self.fpn(self.body(x)), contexts, self.heads, strict=True):
            out = head(context(level))[0].permute(1, 2, 0)
            sizes = [self.ANCHORS * size for _, size in self.HEADS]
            for part, (_, size), piece in zip(parts, self.HEADS, out.split(sizes, -1), strict=True):
                part.append(piece.reshape(-1, size))
        logits, boxes, points = (torch.cat(part) for part in parts)
        return logits, boxes, points
