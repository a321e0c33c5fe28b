"""Stands in for torchvision, which does not import beside CPU builds of torch, for what piq and facenet-pytorch use."""

from __future__ import annotations

import sys
import types
from typing import Any

import torch
from torch import Tensor, nn


class _Anything(types.ModuleType):
    """A module of which any name is a class that nothing calls."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (nn.Module,), {})


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression inside each group; indices of what stays, best first."""
    low, high = boxes[:, :2], boxes[:, 2:]
    area = (high - low).clamp(min=0).prod(1)
    left = scores.argsort(descending=True)
    kept = []
    while left.numel():
        best, left = left[0], left[1:]
        kept.append(best)
        overlap = (torch.minimum(high[best], high[left]) - torch.maximum(low[best], low[left])).clamp(min=0).prod(1)
        union = area[best] + area[left] - overlap
        left = left[(overlap <= threshold * union) | (groups[left] != groups[best])]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def install() -> None:
    """Put the stand-in where ``import torchvision`` finds it."""
    for name in (
        "",
        ".models",
        ".models.inception",
        ".models.utils",
        ".ops",
        ".ops.boxes",
        ".transforms",
        ".transforms.functional",
    ):
        full = f"torchvision{name}"
        module = sys.modules[full] = _Anything(full)
        if name:
            parent, _, child = full.rpartition(".")
            setattr(sys.modules[parent], child, module)
    sys.modules["torchvision.ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]
