"""facenet-pytorch as a peer: it needs one function of torchvision, which does not import beside every torch.

Install it without its own pins: ``pip install --no-deps facenet-pytorch==2.6.0``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """What torchvision's function of this name does: greedy suppression by IoU inside each group, by falling score."""
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64)
    apart = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]
    order = torch.argsort(scores, descending=True, stable=True)
    area = (apart[:, 2] - apart[:, 0]) * (apart[:, 3] - apart[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(apart[best, :2], apart[rest, :2])
        high = torch.minimum(apart[best, 2:], apart[rest, 2:])
        shared = (high - low).clamp_min(0).prod(1)
        order = rest[shared / (area[best] + area[rest] - shared) <= threshold]
    return torch.stack(kept)


def facenet_mtcnn(nms: Callable[[Tensor, Tensor, Tensor, float], Tensor] = batched_nms, **settings: Any) -> Any:
    """``facenet_pytorch.MTCNN``, with ``nms`` in the place of torchvision's ``batched_nms``.

    Args:
        nms: the function above, which is plain, or one that is as fast as torchvision's.
        settings: arguments of ``MTCNN``.

    Raises:
        ImportError: facenet-pytorch is not installed.
    """
    names = ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms")
    before = {name: sys.modules.get(name) for name in names}
    modules = {name: ModuleType(name) for name in names}
    modules["torchvision.ops.boxes"].__dict__["batched_nms"] = batched_nms
    modules["torchvision.transforms"].__dict__["functional"] = ModuleType("torchvision.transforms.functional")
    sys.modules.update(modules)
    try:
        from facenet_pytorch.models.mtcnn import MTCNN
        from facenet_pytorch.models.utils import detect_face
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    vars(detect_face)["batched_nms"] = nms
    return MTCNN(**settings)
