"""Averages of weights: the moving one of a training, and the mean of two networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def ema_decay(limit: float, step: int) -> float:
    """Decay of the moving average at ``step``: rises as (1 + step) / (10 + step), so that early weights are forgotten."""
    return min(limit, (1 + step) / (10 + step))


class Follower:
    """Moves an average after a state, in place; counters and other whole numbers are copied.

    Tensors of one kind go together: on a GPU one launch a hundred tensors, where one each would cost more than the arithmetic.
    Which go together is found once: both sides keep their tensors, whose values change.

    Args:
        average: tensors by name.
        state: of the same names, shapes and kinds.
    """

    def __init__(self, average: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        kinds: defaultdict[tuple[torch.device, torch.dtype], list[str]] = defaultdict(list)
        for name, value in state.items():
            kinds[value.device, value.dtype].append(name)
        self._groups = [
            (dtype.is_floating_point, [average[name] for name in names], [state[name] for name in names])
            for (_, dtype), names in kinds.items()
        ]

    @torch.no_grad()
    def __call__(self, decay: float) -> None:
        """Move the average to ``decay average + (1 - decay) state``.

        Args:
            decay: in [0, 1].
        """
        for floating, mine, theirs in self._groups:
            if floating:
                torch._foreach_lerp_(mine, theirs, 1 - decay)
            else:
                torch._foreach_copy_(mine, theirs)


@torch.no_grad()
def average(network: nn.Module, other: nn.Module) -> None:
    """Make every weight and running statistic of ``network`` the mean of both; whole numbers stay its own."""
    theirs = other.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name].to(value), 0.5)
