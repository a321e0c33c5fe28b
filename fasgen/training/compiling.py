"""Losses that are compiled, with their forward and backward passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fasgen.errors import ConfigError
from fasgen.training.config import LoopConfig
from fasgen.training.layout import memory_format
from fasgen.training.turns import Loss, Turn

BACKEND = "inductor"
"""Of torch.compile."""


def wanted(config: LoopConfig, device: torch.device) -> bool:
    """Whether steps are compiled on ``device``.

    Raises:
        ConfigError: CUDA graphs are wanted where there is no CUDA.
    """
    if config.compile == "graphs" and device.type != "cuda":
        raise ConfigError(f"compile=graphs replays CUDA graphs, but this training computes on {device.type}; take compile=on")
    return config.compile != "off" and (config.compile != "auto" or device.type == "cuda")


def compiled(
    task: Any, turns: Sequence[Turn], module: nn.Module, config: LoopConfig, device: torch.device
) -> tuple[nn.Module, list[Loss]]:
    """What losses call, and the losses of the turns, one or the other compiled.

    A task whose losses can be traced (see `fasgen.training.task.Task`) has each of them compiled as a whole for one shape of
    batches, of others the module is compiled.

    CUDA graphs are those of torch.compile: its trees belong to one thread, and here one thread takes all steps. What they give
    is overwritten by the next step's; the learner copies the losses that it keeps.
    """
    settings: dict[str, Any] = {"backend": BACKEND}
    if config.compile == "graphs":
        settings["mode"] = "reduce-overhead"
    elif memory_format(module, device) == torch.contiguous_format and BACKEND == "inductor":
        # The compiler would lay channels last by itself, where that crashes.
        settings["options"] = {"layout_optimization": False}
    if getattr(task, "traced", False):
        return module, [torch.compile(turn.loss, dynamic=False, **settings) for turn in turns]
    runner: Any = module if hasattr(task, "turns") else torch.compile(module, **settings)
    return runner, [turn.loss for turn in turns]


def refusals() -> tuple[type[Exception], ...]:
    """What a compiler raises that cannot do it, for want of a C compiler perhaps."""
    from torch._dynamo.exc import TorchDynamoException

    return (TorchDynamoException,)
