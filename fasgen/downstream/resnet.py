"""ResNet-18 (He et al. 2016), with names of parameters as the common ImageNet checkpoints have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != width:
            self.downsample = nn.Sequential(nn.Conv2d(inside, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride)."""
        out = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(out)) + self.downsample(x))


class ResNet(nn.Module):
    """ResNet of basic blocks, two a layer.

    Args:
        widths: channels of the four layers; (64, 128, 256, 512) is ResNet-18.
        channels: of the input.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512), channels: int = 3) -> None:
        super().__init__()
        self.widths, self.width = tuple(widths), widths[-1]
        self.conv1 = nn.Conv2d(channels, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = _layers(widths)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, widths[0], H / 4, W / 4)."""
        return torch.nn.functional.max_pool2d(relu(self.bn1(self.conv1(x))), 3, 2, 1)

    def maps(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width, H / 32, W / 32), sides rounded up."""
        out: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width), averaged over space."""
        return self.maps(x).mean((2, 3))


def _layers(widths: Sequence[int]) -> Iterator[nn.Sequential]:
    inside = widths[0]
    for number, width in enumerate(widths):
        yield nn.Sequential(BasicBlock(inside, width, 1 if number == 0 else 2), BasicBlock(width, width, 1))
        inside = width
