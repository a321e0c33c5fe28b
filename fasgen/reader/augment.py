"""Joint geometric augmentation: one movement, drawn once, for the image and all of its cues.

AG-FAS's published code flips the image and its reconstruction independently, so that half of its training residuals compare
mirrored faces. Here image and cues are moved as one stack of channels, which cannot come apart. All movements are linear
in the pixels: moving a difference equals the difference of what was moved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

from fasgen.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Move:
    """One drawn movement.

    Attributes:
        flip: mirrored left to right.
        theta: 2 x 3, output to input in normalised coordinates, as ``affine_grid`` takes it; None for no resampling.
        window: top, left, height and width of the crop in px; None for the whole.
    """

    flip: bool = False
    theta: torch.Tensor | None = None
    window: tuple[int, int, int, int] | None = None

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Move ``x`` (C, H, W). Flips and crops move pixels exactly; the affine part is bilinear, mirrored at the border."""
        if self.theta is not None:
            grid = affine_grid(self.theta[None].to(x), [1, *x.shape], align_corners=False)
            x = grid_sample(x[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
        if self.flip:
            x = x.flip(-1)
        if self.window is not None:
            top, left, height, width = self.window
            x = x[:, top : top + height, left : left + width]
        return x


@dataclass(frozen=True, slots=True)
class JointAugment:
    """Random flip, small affine movement and crop, applied to every field of a sample alike.

    Attributes:
        flip: probability of mirroring left to right.
        degrees: rotation is uniform in ``[-degrees, degrees]``.
        scale: magnification is uniform in this range; above 1 the face grows.
        shift: displacement is uniform in ``[-shift, shift]`` of the side, in both directions.
        crop: height and width of a crop in px at a random place; None keeps the whole.
    """

    flip: float = 0.5
    degrees: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip is {self.flip}, a probability in [0, 1] is needed")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale is {self.scale}, a positive range (low, high) is needed")
        if self.degrees < 0 or not 0 <= self.shift < 1:
            raise ConfigError(f"degrees is {self.degrees} and shift {self.shift}; needed are degrees >= 0 and shift in [0, 1)")

    def draw(self, height: int, width: int, generator: torch.Generator) -> Move:
        """Draw a movement for images of ``height`` x ``width`` px.

        The number of random draws is fixed, so one setting does not change what another one draws.

        Raises:
            ConfigError: the crop is larger than the image.
        """
        u = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
        theta = self._theta(height, width, u[1:5]) if self._resamples else None
        window = None
        if self.crop is not None:
            h, w = self.crop
            if not (0 < h <= height and 0 < w <= width):
                raise ConfigError(f"crop is {h} x {w} px, the images are {height} x {width}")
            window = (int(u[5] * (height - h + 1)), int(u[6] * (width - w + 1)), h, w)
        return Move(u[0] < self.flip, theta, window)

    def __call__(self, fields: Mapping[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Move all ``fields`` (C_i, H, W) by one drawn movement.

        Raises:
            ValueError: the fields differ in height or width.
        """
        sizes = {tuple(x.shape[-2:]) for x in fields.values()}
        if len(sizes) != 1:
            shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in fields.items())
            raise ValueError(f"fields of one sample must have the same height and width: {shapes}")
        [(height, width)] = sizes
        move = self.draw(height, width, generator)
        moved = move.apply(torch.cat(list(fields.values())))
        parts = torch.split(moved, [x.shape[0] for x in fields.values()])
        return {name: part.contiguous() for name, part in zip(fields, parts, strict=True)}

    @property
    def _resamples(self) -> bool:
        return self.degrees > 0 or self.shift > 0 or self.scale != (1.0, 1.0)

    def _theta(self, height: int, width: int, u: list[float]) -> torch.Tensor:
        angle = math.radians(self.degrees) * (2 * u[0] - 1)
        zoom = self.scale[0] + (self.scale[1] - self.scale[0]) * u[1]
        dx, dy = (2 * self.shift * (2 * v - 1) for v in u[2:4])  # normalised coordinates span 2 over the side
        cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
        # Rotating normalised coordinates would shear an image that is not square; the ratios undo that.
        a, b = torch.tensor([cos, sin * height / width]), torch.tensor([-sin * width / height, cos])
        offset = torch.tensor([dx, dy])
        return torch.stack([torch.cat([row, -(row @ offset)[None]]) for row in (a, b)])


def resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize (C, H, W) to ``size`` = (height, width): bilinear with antialiasing, linear in the pixels."""
    if tuple(x.shape[-2:]) == size:
        return x
    return interpolate(x[None], size=list(size), mode="bilinear", align_corners=False, antialias=True)[0]
