"""A generator small enough for tests, pictures and landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fasgen.stages.align.template import target
from fasgen.stages.stdn.generator import Generator, GeneratorConfig
from fasgen.stages.stdn.traces import Traces

SIZE = 32
GENERATOR: dict[str, Any] = {"size": SIZE, "stem": 4, "widths": (4, 8, 8), "blocks": (0, 0, 1), "depth_width": 4}
POINTS = target("arcface", SIZE)
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def generator(seed: int = 0, loud: float = 10.0, **changes: Any) -> Generator:
    """Weights so much larger than the initial ones that every output differs from picture to picture."""
    torch.manual_seed(seed)
    network = Generator(GeneratorConfig(**(GENERATOR | changes)))
    for p in network.parameters():
        if p.ndim == 4:
            p.data.mul_(loud)
    return network.eval().requires_grad_(False)


def weights(folder: Path, **changes: Any) -> Path:
    """A folder as `fasgen train stdn` writes it."""
    generator(**changes).save(folder / "generator")
    return folder


def images(count: int, size: int = SIZE, seed: int = 0) -> Tensor:
    """Smooth pictures in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)


def traces(count: int, size: int = SIZE, seed: int = 0, mask: float | None = None) -> Traces:
    """Random traces; the mask is random too, or the same everywhere."""
    coin = torch.Generator().manual_seed(seed)
    B, C, T = (torch.rand(count, 3, size, size, generator=coin) - 0.5 for _ in range(3))
    P = torch.rand(count, 1, size, size, generator=coin) if mask is None else torch.full((count, 1, size, size), mask)
    return Traces(B, C, T, P, torch.rand(count, 3, size, size, generator=coin))


def crop(seed: int, size: int = SIZE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
