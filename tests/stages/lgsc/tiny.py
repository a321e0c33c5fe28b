"""A generator small enough for a test."""

from __future__ import annotations

from typing import Any

import torch

from fasgen.stages.lgsc.network import GeneratorConfig, SpoofCueGenerator

SHAPE: dict[str, Any] = {
    "stem": 16, "widths": (16, 16, 16, 16), "blocks": (1, 1, 1, 1), "decoder": (16, 16, 16, 16), "kernel": 3,
}  # fmt: skip


def generator(seed: int = 0, **changes: Any) -> SpoofCueGenerator:
    torch.manual_seed(seed)
    return SpoofCueGenerator(GeneratorConfig(**(SHAPE | changes))).eval().requires_grad_(False)
