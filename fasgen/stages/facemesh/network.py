"""The network of the face mesh.

Kartynnik et al., *Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs*, 2019.

Residual blocks of a depthwise and a pointwise convolution, as in BlazeFace (Bazarevsky et al., 2019), with a bias each and no
normalisation; two heads, one for the points and one that says whether there is a face.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 192
"""Side of the input, px, and the unit of the points."""
POINTS = 468


class Block(nn.Module):
    """Depthwise and pointwise convolution beside a shortcut, which is pooled where the block halves the side.

    Args:
        narrow: channels of the input.
        wide: channels of the output; the shortcut's further ones are 0.
        stride: 1 or 2.
    """

    def __init__(self, narrow: int, wide: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, wide - narrow
        self.depthwise = nn.Conv2d(narrow, narrow, 3, stride, 1 if stride == 1 else 0, groups=narrow)
        self.pointwise = nn.Conv2d(narrow, wide, 1)
        self.slope = nn.PReLU(wide)

    def forward(self, x: Tensor) -> Tensor:
        """(N, narrow, H, W) to (N, wide, H / stride, W / stride)."""
        shortcut = x
        if self.stride == 2:
            shortcut, x = F.max_pool2d(x, 2), _before_halving(x)
        if self.more:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        out: Tensor = self.slope(self.pointwise(self.depthwise(x)) + shortcut)
        return out


class Head(nn.Sequential):
    """From the map of 6 x 6 to as many numbers as asked for.

    Args:
        blocks: at 3 x 3, the first of which halves the side.
        outputs: numbers.
    """

    def __init__(self, blocks: int, outputs: int) -> None:
        super().__init__(
            Block(128, 128, 2),
            *(Block(128, 128) for _ in range(blocks - 1)),
            nn.Conv2d(128, 32, 1),
            nn.PReLU(32),
            Block(32, 32),
            nn.Conv2d(32, outputs, 3),
            nn.Flatten(),
        )


class FaceMeshNet(nn.Module):
    """Features of stride 32 and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.slope = nn.Conv2d(3, 16, 3, 2), nn.PReLU(16)
        blocks = [Block(16, 16), Block(16, 16)]
        for narrow, wide in pairwise((16, 32, 64, 128, 128)):
            blocks += [Block(narrow, wide, 2), Block(wide, wide), Block(wide, wide)]
        self.body = nn.Sequential(*blocks)
        self.points, self.presence = Head(3, 3 * POINTS), Head(1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is said of upright faces.

        Args:
            x: (N, 3, 192, 192) RGB in [0, 1].

        Returns:
            points (N, 468, 3), x, y, z in px of the input, z relative to the head's middle and smaller nearer to the camera;
            logit of a face being there (N,).
        """
        features = self.body(self.slope(self.first(_before_halving(x))))
        points: Tensor = self.points(features)
        presence: Tensor = self.presence(features)
        return points.reshape(-1, POINTS, 3), presence[:, 0]


def _before_halving(x: Tensor) -> Tensor:
    """TensorFlow's padding of an even side before a convolution of 3 with stride 2: behind alone."""
    return F.pad(x, (0, 1, 0, 1))
