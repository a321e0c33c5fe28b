"""The three networks of MTCNN (Zhang et al., *Joint Face Detection and Alignment using Multitask Cascaded Convolutional
Networks*, 2016), with the ceil-mode pooling of the original release."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from fasgen.stages.align.pyramid import Copy


class _Convolutions(nn.Sequential):
    """Alternating convolution, PReLU and pooling."""

    def __init__(self, *channels: int, kernels: Sequence[int], pools: Sequence[int | None]) -> None:
        layers: list[nn.Module] = []
        for wide, (narrow, kernel, pool) in zip(channels[1:], zip(channels, kernels, pools, strict=False), strict=True):
            layers += [nn.Conv2d(narrow, wide, kernel), nn.PReLU(wide)]
            if pool is not None:
                layers.append(MaxPool(pool))
        super().__init__(*layers)


class MaxPool(nn.Module):
    """Max pooling with a stride of 2 that rounds up.

    Args:
        size: side of the window, 2 or 3; with 2, the sides of what is pooled have to be even.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        if x.device.type != "cpu":
            return F.max_pool2d(x, self.size, 2, ceil_mode=True)
        # torch's pooling on a CPU also notes where each maximum was, and takes four times as long.
        return self._along(self._along(x, 2), 3)

    def _along(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        first, second, *third = (x[(slice(None),) * axis + (slice(i, None, 2),)] for i in range(self.size))
        out = torch.maximum(first.narrow(axis, 0, second.shape[axis]), second)
        for more in third:
            inner = out.narrow(axis, 0, min(more.shape[axis], out.shape[axis]))
            torch.maximum(inner, more, out=inner)
        return out


class PNet(nn.Module):
    """Proposal network: slides over an image of any size with a window of 12 px and a stride of 2 px.

    Its first PReLU moves behind the pooling, to a quarter of the values, without changing a result. Where a channel's slope
    ``a`` is positive the two commute. Where it is negative, ``prelu(x) = max(x, a x)``, so the maximum over a window is that of
    the pooled ``x`` and the pooled ``a x``, and ``a x`` is one more channel of the convolution. The released weights have 4
    positive and 6 negative slopes: 4 + 6 + 6 channels.
    """

    RISING, FALLING = 4, 6

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, self.RISING + 2 * self.FALLING, 3)
        self.slope = nn.Parameter(torch.zeros(self.RISING))
        self.pool = MaxPool(2)
        self.body = _Convolutions(self.RISING + self.FALLING, 16, 32, kernels=(3, 3), pools=(None, None))
        self.box = nn.Linear(32, 4)
        self.face = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor, edges: Sequence[Copy]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run on a canvas (or a band of its rows) whose first map is mended by ``edges``.

        Args:
            x: (1, 3, H, W) in [-1, 1].
            edges: copies of ``Layout.edges``.

        Returns:
            face logits (H', W'), and features (H', W', 32) of which ``box`` gives the offsets of a cell's box.
        """
        x = self.first(x)
        for rows, columns, from_rows, from_columns in edges:
            x[:, :, rows, columns] = x[:, :, from_rows, from_columns]
        x = self.pool(x)
        rising, falling, scaled = x.split_with_sizes([self.RISING, self.FALLING, self.FALLING], 1)
        x = torch.empty_like(x[:, : self.RISING + self.FALLING], memory_format=torch.channels_last)
        x[:, : self.RISING] = F.prelu(rising, self.slope)
        torch.maximum(falling, scaled, out=x[:, self.RISING :])
        features = self.body(x).permute(0, 2, 3, 1)[0]
        return self.face(features)[..., 0], features


class RNet(nn.Module):
    """Refinement network over windows of 24 px."""

    SIDE = 24

    def __init__(self) -> None:
        super().__init__()
        self.body = _Convolutions(3, 28, 48, 64, kernels=(3, 3, 2), pools=(3, 3, None))
        self.dense = nn.Sequential(nn.Linear(576, 128), nn.PReLU(128))
        self.heads = nn.Linear(128, 4 + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 24, 24) to (N, 5): box offsets, face logit."""
        out: torch.Tensor = self.heads(self.dense(self.body(x).permute(0, 2, 3, 1).flatten(1)))
        return out


class ONet(nn.Module):
    """Output network over windows of 48 px."""

    SIDE = 48

    def __init__(self) -> None:
        super().__init__()
        self.body = _Convolutions(3, 32, 64, 64, 128, kernels=(3, 3, 3, 2), pools=(3, 3, 2, None))
        self.dense = nn.Sequential(nn.Linear(1152, 256), nn.PReLU(256))
        self.heads = nn.Linear(256, 4 + 10 + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 48, 48) to (N, 15): box offsets, landmark fractions (5 x, then 5 y), face logit."""
        out: torch.Tensor = self.heads(self.dense(self.body(x).permute(0, 2, 3, 1).flatten(1)))
        return out


def in_chunks(network: RNet | ONet, windows: torch.Tensor, chunk: int, grain: int) -> torch.Tensor:
    """Run windows of one image in chunks, the last one padded with zeros to a multiple of ``grain`` to keep shapes few."""
    lacking = -len(windows) % grain
    padded = torch.cat([windows, windows.new_zeros(lacking, *windows.shape[1:])]) if lacking else windows
    padded = padded.contiguous(memory_format=torch.channels_last)
    return torch.cat([network(part) for part in torch.split(padded, chunk)])[: len(windows)]
