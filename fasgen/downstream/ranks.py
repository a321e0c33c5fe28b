"""Batches that several ranks hold together: losses that compare samples see all of them, as one rank alone would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        ctx.own = slice(dist.get_rank() * len(x), (dist.get_rank() + 1) * len(x))
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradient: Any) -> Any:
        # Every rank computes the same loss of all samples; what each says of this rank's adds up, and ranks are averaged later.
        whole = gradient[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole[ctx.own]


def of_all_ranks(x: Tensor) -> Tensor:
    """(B, ...) of this rank to (world * B, ...) of all, in the order of ranks, with gradients; ``x`` itself where it is alone.

    Every rank must have the same B, and compute the same function of the result: averaged over ranks, as the training loop
    does, gradients are then those of one rank with the whole batch.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return x
    out: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return out
