"""Steps in which networks learn in turn, as a generator and its discriminators do.

A task that has ``turns`` gives the loop several losses a step, each of them for one part of its module. A task that has none is
one turn in which everything learns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Loss = Callable[[nn.Module, Any, int], tuple[Tensor, Mapping[str, Tensor]]]


@dataclass(frozen=True)
class Turn:
    """One update within a step.

    Attributes:
        part: name of the child of the task's module that learns; everything else stands still. Empty: all of it.
        loss: as a task's ``loss``; it may call parts that stand still, through which gradients pass.
        rate: factor on the learning rate; turns of one part have the same.
    """

    part: str
    loss: Loss
    rate: float = 1.0


def turns_of(task: Any) -> Sequence[Turn]:
    """The turns of a step, in order."""
    turns: Sequence[Turn] = getattr(task, "turns", ())
    return turns or (Turn("", task.loss),)


def part_of(module: nn.Module, turn: Turn) -> nn.Module:
    """What learns in a turn."""
    return module.get_submodule(turn.part)


def groups(module: nn.Module, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Parameter groups of an optimiser, one a part that learns, in order of their first turns, each with its ``rate``.

    Raises:
        ValueError: turns of one part have different rates.
    """
    rates: dict[str, float] = {}
    for turn in turns:
        if rates.setdefault(turn.part, turn.rate) != turn.rate:
            raise ValueError(f"the turns of {turn.part} have different rates: one optimiser has one for each part")
    return [{"params": list(module.get_submodule(part).parameters()), "rate": rate} for part, rate in rates.items()]


def others(module: nn.Module, part: nn.Module) -> list[nn.Parameter]:
    """The parameters of ``module`` that learn, but not in ``part``."""
    mine = {id(p) for p in part.parameters()}
    return [p for p in module.parameters() if p.requires_grad and id(p) not in mine]


@contextmanager
def standing(still: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, ``still`` collect no gradients."""
    for p in still:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in still:
            p.requires_grad_(True)
