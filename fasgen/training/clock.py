"""How far a training is, by steps or by time."""

from __future__ import annotations

import time

import torch
from torch import distributed as dist

from fasgen.training.config import LoopConfig

ASKED_EVERY = 20
"""Steps after which ranks ask the first one's clock again; to be told is to wait for it."""


class Clock:
    """How far a training is.

    Args:
        config: says how many steps or minutes it has.
        device: where this rank computes.
        world: number of ranks.
        began: when it began, or would have without interruption, by the monotonic clock.
    """

    def __init__(self, config: LoopConfig, device: torch.device, world: int, began: float) -> None:
        self._config, self._device, self._world, self._began = config, device, world, began
        self._told: float | None = None
        self._start: tuple[float, float] | None = None

    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def progress(self, step: int) -> float:
        """Share that is done: by steps, or by time where that ends first; the same on all ranks."""
        by_steps = step / self._config.steps
        if not self._config.minutes:
            return by_steps
        if self._world == 1:
            return max(by_steps, self._by_time())
        if self._told is None or step % ASKED_EVERY == 0:
            # Clocks differ; ranks must stop at the same step.
            share = torch.tensor(self._by_time(), dtype=torch.float64, device=self._device)
            dist.broadcast(share, 0)
            self._told = float(share)
        return max(by_steps, self._told)

    def left(self, step: int) -> float | None:
        """Seconds that are left at this pace; None when first asked, since the pace is then that of starting and compiling."""
        now, done = self.seconds(), min(1.0, step / self._config.steps)
        if self._start is None:
            self._start = now, done
            return None
        began, before = self._start
        by_steps = (now - began) * (1 - done) / (done - before) if done > before else 0.0
        return min(by_steps, max(0.0, 60 * self._config.minutes - now)) if self._config.minutes else by_steps

    def _by_time(self) -> float:
        return self.seconds() / (60 * self._config.minutes)


def clock_time(seconds: float) -> str:
    """``h:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
