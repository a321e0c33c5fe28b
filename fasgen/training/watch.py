"""Stopping a training whose loss is not finite, without waiting for the device."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor
from torch import distributed as dist

from fasgen.errors import WeightsError
from fasgen.training.config import LoopConfig
from fasgen.training.residency import Fetch


def ahead(device: torch.device) -> int:
    """Losses that are looked at together: a CPU has each at once, from a GPU many are fetched while it goes on."""
    return 1 if device.type == "cpu" else 64


class Watch:
    """Looks at losses, some of them together and as soon as they have arrived.

    Until then a loss that is not finite has gone into the weights of this process and of other ranks. Whoever writes weights
    down calls `look` first.

    Args:
        config: of the training; its learning rate and folder are named in the advice.
        device: where losses are.
        world: number of ranks, all of which see as many losses and look at the same times.
    """

    def __init__(self, config: LoopConfig, device: torch.device, world: int = 1) -> None:
        self._config, self._ahead = config, ahead(device)
        # Where every loss is looked at before it is learned from, none of another rank's can have come here.
        self._together = world > 1 and self._ahead > 1
        self._waiting: list[tuple[int, Tensor]] = []
        self._under_way: deque[tuple[list[int], Fetch]] = deque()

    def see(self, step: int, loss: Tensor) -> None:
        """Take note of a loss, a scalar that stays what it is, of ``step``.

        Raises:
            WeightsError: see `look`.
        """
        self._waiting.append((step, loss.detach().float().reshape(())))
        if len(self._waiting) >= self._ahead:
            self._send()
        while self._under_way and self._under_way[0][1].ready():
            self._judge(*self._under_way.popleft())

    def look(self) -> None:
        """Look at all losses not yet looked at; they are waited for.

        Raises:
            WeightsError: one is not finite, the first of which is named, or one of another rank.
        """
        self._send()
        while self._under_way:
            self._judge(*self._under_way.popleft())

    def _send(self) -> None:
        if not self._waiting:
            return
        values = torch.stack([loss for _, loss in self._waiting])
        flag = (~values.isfinite()).any().to(values)
        if self._together:
            dist.all_reduce(flag, dist.ReduceOp.MAX)
        self._under_way.append(([step for step, _ in self._waiting], Fetch(torch.cat([values, flag[None]]))))
        self._waiting.clear()

    def _judge(self, steps: Sequence[int], fetch: Fetch) -> None:
        *values, flag = fetch.read()
        if not flag:
            return
        self._waiting.clear()
        self._under_way.clear()
        bad = [(step, value) for step, value in zip(steps, values, strict=True) if not math.isfinite(value)]
        what = (
            f"step {bad[0][0]}: the loss is {bad[0][1]}"
            if bad
            else f"up to step {steps[-1]}: another rank's loss is not finite"
        )
        raise WeightsError(f"{what}; lower lr (now {self._config.lr}) and start again from {self._config.out}")
