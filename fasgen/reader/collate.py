"""From samples to batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack samples: tensors along a new first axis, labels into an int64 tensor, meta into a list.

    Raises:
        ValueError: tensors of one field differ in shape, or samples in their fields.
    """
    out: dict[str, Any] = {}
    if odd := set().union(*samples) - set(samples[0]).intersection(*samples[1:]):
        raise ValueError(f"not every sample of the batch has {', '.join(sorted(odd))}: name the cues that all have")
    for name, first in samples[0].items():
        column = [sample[name] for sample in samples]
        if name == "label":
            out[name] = torch.tensor(column, dtype=torch.int64)
        elif isinstance(first, torch.Tensor):
            shapes = sorted({tuple(x.shape) for x in column})
            if len(shapes) > 1:
                raise ValueError(f"{name} has shapes {shapes} in one batch: give the reader size=(height, width)")
            out[name] = torch.stack(column)
        else:
            out[name] = column
    return out
