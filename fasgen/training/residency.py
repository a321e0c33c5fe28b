"""Where training data lies: on the device that learns from it, where it fits there, else on the host.

A GPU that asks the host for every batch waits for Python. Rows that lie on the device are taken by numbers that lie there too,
in one small launch. Rows on the host are gathered into page-locked memory, from where the device fetches them while both go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from fasgen.training.draws import CPU

SHARE = 0.4
"""Of the memory that is free when a training begins, how much its data may take; networks and activations need the rest."""
_PORTION = 1 << 28
"""Bytes copied to the device at a time: a mapped file is read in portions."""


def free_memory(device: torch.device) -> int:
    """Free bytes on a GPU."""
    free: int = torch.cuda.mem_get_info(device)[0]
    return free


def fits(tensors: Sequence[Tensor], device: torch.device) -> bool:
    """Whether ``tensors``, on the host, may lie on ``device`` all together; what is on a CPU lies there already."""
    return device.type == "cpu" or sum(tensor.nbytes for tensor in tensors) <= SHARE * free_memory(device)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """``x`` on ``device``; a GPU is not waited for."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" and x.device.type == "cpu" else x.to(device)


def gathered(parts: Sequence[Tensor], index: Tensor, out: Tensor | None = None) -> Tensor:
    """Rows ``index`` (B,), counted through all ``parts`` (n, ...) on the host; into ``out`` if it is given."""
    if len(parts) == 1:
        return torch.index_select(parts[0], 0, index) if out is None else torch.index_select(parts[0], 0, index, out=out)
    made = torch.empty((len(index), *parts[0].shape[1:]), dtype=parts[0].dtype) if out is None else out
    start = 0
    for part in parts:
        places = ((index >= start) & (index < start + len(part))).nonzero().flatten()
        made[places] = part[index[places] - start]
        start += len(part)
    return made


class Bank:
    """Rows that batches are taken from.

    Args:
        parts: (n, ...) each, on the host, of one kind and of equal rows; mapped files will do. Rows are counted through all.
        device: that learns from them.
        resident: put them there; see `fits`.
    """

    def __init__(self, parts: Sequence[Tensor], device: torch.device, resident: bool) -> None:
        self._device, self.resident = device, resident
        self._parts = list(parts) if device.type == "cpu" or not resident else [_moved(parts, device)]

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    @property
    def where(self) -> torch.device:
        """Where the rows lie, and numbers of rows had best lie too."""
        return self._device if self.resident else CPU

    def take(self, index: Tensor) -> Tensor:
        """Rows ``index`` (B,), which lies on `where` or on the host, as (B, ...) on the device that learns."""
        if self.resident:
            return gathered(self._parts, sent(index, self._device))
        shape = (len(index), *self._parts[0].shape[1:])
        buffer = torch.empty(shape, dtype=self._parts[0].dtype, pin_memory=self._device.type == "cuda")
        return gathered(self._parts, index, buffer).to(self._device, non_blocking=True)


def _moved(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """All parts as one tensor on ``device``."""
    starts = [0, *accumulate(len(part) for part in parts)]
    whole = torch.empty((starts[-1], *parts[0].shape[1:]), dtype=parts[0].dtype, device=device)
    for start, part in zip(starts, parts, strict=False):
        rows = max(1, _PORTION * len(part) // max(1, part.nbytes))
        for first in range(0, len(part), rows):
            some = part[first : first + rows]
            whole[start + first : start + first + len(some)] = some.to(device)
    return whole


class Fetch:
    """Numbers on their way from a device to the host, which goes on meanwhile.

    Args:
        values: (n,) on any device; what they become afterwards does not matter.
    """

    def __init__(self, values: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._here = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._here.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._here = values.to(CPU, copy=True)

    def ready(self) -> bool:
        """Whether they have arrived."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def read(self) -> list[float]:
        """The numbers; they are waited for if need be."""
        if self._event is not None:
            self._event.synchronize()
        found: list[float] = self._here.tolist()
        return found
