"""The four discriminators of STDN+: live faces at three scales, and spoofs. None shares weights with another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from fasgen.stages.stdn.generator import initial, resized

SHARES = (1 / 8, 3 / 8, 1.0, 1.0)
"""Sides of what they see, of the image's: 32, 96, 256 and 256 px at 256."""
_MOST = 3


def sides(size: int) -> tuple[int, ...]:
    """What each discriminator sees of an image of ``size`` px, px."""
    return tuple(max(8, round(size * share)) for share in SHARES)


class PatchDiscriminator(nn.Module):
    """A map of verdicts, each on a patch (Isola et al. 2017): 1 real, 0 made.

    Args:
        side: of what it sees, px; the smaller, the fewer times it is halved.
        width: channels of the first layer, which double with each halving.
    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.side = side
        halvings = max(1, min(_MOST, int(math.log2(side / 8))))
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for _ in range(halvings - 1):
            layers += [
                nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            width *= 2
        layers += [nn.Conv2d(width, 2 * width, 3, 1, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(nn.Conv2d(2 * width, 1, 3, 1, 1))
        self.layers = nn.Sequential(*layers)
        self.apply(initial)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] of any side to (B, 1, h, w)."""
        out: Tensor = self.layers(resized(x, self.side) * 2 - 1)
        return out


class Discriminators(nn.ModuleList):
    """D1 to D4: low, middle and high against live faces, synthesised against spoofs.

    Args:
        size: side of the images, px.
        width: channels of the first layer of each.
    """

    def __init__(self, size: int, width: int = 64) -> None:
        super().__init__(PatchDiscriminator(side, width) for side in sides(size))

    def forward(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Verdicts on one batch for each of the four."""
        return [judge(x) for judge, x in zip(self, images, strict=True)]
