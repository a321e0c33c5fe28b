"""From samples to tensors in fixed slots, so that a sample's result never depends on its company."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.stages.stage import Sample


def in_slots(samples: Sequence[Sample], batch: int, take: Callable[[Sample], NDArray[Any]]) -> NDArray[Any]:
    """Array ``(batch, *item)`` with each sample's item in its slot and zeros elsewhere.

    Kernels may choose another order of summation for another batch shape; a fixed shape and a fixed place keep every
    sample's bytes the same whether or not its neighbours were rejected.
    """
    items = [np.asarray(take(sample)) for sample in samples]
    out = np.zeros((batch, *items[0].shape), items[0].dtype)
    for sample, item in zip(samples, items, strict=True):
        out[sample.slot] = item
    return out


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bf16 where CUDA computes in it and fp32 elsewhere: on CPUs bf16 is several times slower."""
    if name != "auto":
        return DTYPES[name]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array on ``device``; to a GPU by pinned memory, without waiting for it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Fetched:
    """Tensors on their way from the device; called, it waits for them and gives them as arrays.

    Args:
        tensors: by name. The copies are ordered now, behind whatever the device has still to do for them.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._arrived: torch.cuda.Event | None = None
        self._tensors = dict(tensors)
        if any(tensor.is_cuda for tensor in self._tensors.values()):
            pinned = {name: torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for name, t in self._tensors.items()}
            self._tensors = {name: pinned[name].copy_(t, non_blocking=True) for name, t in self._tensors.items()}
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def __call__(self) -> dict[str, NDArray[Any]]:
        """The arrays, by name."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return {name: tensor.numpy() for name, tensor in self._tensors.items()}


def signed(levels: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Levels (B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1], as diffusion and ArcFace networks take them."""
    return (levels.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0).to(dtype)


def to_signed(images: NDArray[np.uint8], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Images (B, H, W, 3) as `signed` tensors on ``device``."""
    return signed(to_device(images, device), dtype)
