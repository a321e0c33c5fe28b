"""Stopping a training whose loss is not finite, without waiting for the device at every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributed as dist

from fasgen.errors import WeightsError
from fasgen.training.config import LoopConfig


def ahead(device: torch.device) -> int:
    """Losses that may be under way on ``device`` before one is looked at: a CPU has them at once, a GPU would be waited for."""
    return 1 if device.type == "cpu" else 64


class Watch:
    """Looks at losses, some of them together.

    Until then a loss that is not finite has gone into the weights of this process and of other ranks. Whoever writes weights
    down calls `look` first.

    Args:
        config: of the training; its learning rate and folder are named in the advice.
        device: where losses are.
        world: number of ranks, all of which see as many losses and look at the same times.
    """

    def __init__(self, config: LoopConfig, device: torch.device, world: int = 1) -> None:
        self._config, self._device, self._ahead = config, device, ahead(device)
        # Where every loss is looked at before it is learned from, none of another rank's can have come here.
        self._together = world > 1 and self._ahead > 1
        self._waiting: list[tuple[int, Tensor]] = []

    def see(self, step: int, loss: Tensor) -> None:
        """Take note of a loss, a scalar, of ``step``.

        Raises:
            WeightsError: see `look`.
        """
        self._waiting.append((step, loss.detach().float().reshape(())))
        if len(self._waiting) >= self._ahead:
            self.look()

    def look(self) -> None:
        """Look at all losses not yet looked at.

        Raises:
            WeightsError: one is not finite, the first of which is named, or one of another rank.
        """
        if not self._waiting:
            return
        values = torch.stack([loss for _, loss in self._waiting]).tolist()
        bad = [(step, value) for (step, _), value in zip(self._waiting, values, strict=True) if not math.isfinite(value)]
        last = self._waiting[-1][0]
        self._waiting.clear()
        anywhere = bool(bad)
        if self._together:
            flag = torch.tensor(int(anywhere), device=self._device)
            dist.all_reduce(flag, dist.ReduceOp.MAX)
            anywhere = bool(flag)
        if anywhere:
            what = (
                f"step {bad[0][0]}: the loss is {bad[0][1]}" if bad else f"up to step {last}: another rank's loss is not finite"
            )
            raise WeightsError(f"{what}; lower lr (now {self._config.lr}) and start again from {self._config.out}")
