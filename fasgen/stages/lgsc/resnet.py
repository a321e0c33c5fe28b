"""ResNet of basic blocks (He et al. 2016) with taps, its parameters named as the common ImageNet checkpoints name them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Args:
        inside: channels that come in.
        width: channels that go out.
        stride: of the first convolution.
        norm: makes a normalisation of so many channels.
    """

    def __init__(self, inside: int, width: int, stride: int = 1, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != width:
            self.downsample = nn.Sequential(nn.Conv2d(inside, width, 1, stride, bias=False), norm(width))

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride); without the last ReLU unless ``activate``."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + self.downsample(x)
        return F.relu(out) if activate else out


class ResNet(nn.Module):
    """A stem and four layers of basic blocks.

    Args:
        stem: channels of the stem.
        widths: channels of the layers; a stem of 64 with (64, 128, 256, 512) and two blocks each is ResNet-18.
        blocks: of each layer.
        kernel: side of the stem's convolution.
        stem_stride: its stride, 2 in ResNet-18.
    """

    def __init__(self, stem: int, widths: Sequence[int], blocks: Sequence[int], kernel: int = 7, stem_stride: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, kernel, stem_stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        inside, layers = stem, []
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            first = BasicBlock(inside, width, 1 if number == 0 else 2)
            layers.append(nn.Sequential(first, *(BasicBlock(width, width) for _ in range(count - 1))))
            inside = width
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def taps(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to the outputs of stem and layers, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side, rounded up."""
        stem = F.relu(self.bn1(self.conv1(x)))
        found = [stem]
        out = F.max_pool2d(stem, 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            out = layer(out)
            found.append(out)
        return tuple(found)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, widths[-1]), averaged over space."""
        return self.taps(x)[-1].mean((2, 3))
