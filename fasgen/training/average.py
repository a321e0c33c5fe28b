"""The moving average of a network's weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor


def ema_decay(limit: float, step: int) -> float:
    """Decay of the moving average at ``step``: rises as (1 + step) / (10 + step), so that early weights are forgotten."""
    return min(limit, (1 + step) / (10 + step))


@torch.no_grad()
def follow(average: Mapping[str, Tensor], state: Mapping[str, Tensor], decay: float) -> None:
    """Move ``average`` to ``decay average + (1 - decay) state``, in place; counters and other whole numbers are copied.

    Tensors of one kind go together: on a GPU one launch a hundred tensors, where one each would cost more than the arithmetic.

    Args:
        average: tensors by name.
        state: of the same names, shapes and kinds.
        decay: in [0, 1].
    """
    kinds: defaultdict[tuple[torch.device, torch.dtype], list[str]] = defaultdict(list)
    for name, value in state.items():
        kinds[value.device, value.dtype].append(name)
    for (_, dtype), names in kinds.items():
        mine, theirs = [average[name] for name in names], [state[name] for name in names]
        if dtype.is_floating_point:
            torch._foreach_lerp_(mine, theirs, 1 - decay)
        else:
            torch._foreach_copy_(mine, theirs)
