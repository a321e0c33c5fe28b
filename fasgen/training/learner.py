"""One optimiser step: losses of the turns, gradients, clipping, update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from fasgen.errors import ResourceError
from fasgen.training import compiling
from fasgen.training.config import LoopConfig
from fasgen.training.task import Task
from fasgen.training.turns import Loss, Turn, groups, others, part_of, standing, turns_of
from fasgen.training.watch import Watch

_LOSS = "loss"
BUCKET = 1 << 26
"""Bytes of gradients that ranks exchange at a time."""


def autocast(config: LoopConfig, device: torch.device) -> Any:
    """The precision in which losses compute."""
    choice = config.precision
    if choice == "auto":
        choice = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.autocast(device.type, torch.bfloat16) if choice == "bf16" else nullcontext()


def optimiser_of(module: nn.Module, turns: Sequence[Turn], config: LoopConfig, device: torch.device) -> torch.optim.Optimizer:
    """The configured optimiser with a group for each part that learns; Adam in one launch, or few, for all parameters."""
    parts = groups(module, turns)
    if config.optimiser == "sgd":
        return torch.optim.SGD(parts, config.lr, config.betas[0], weight_decay=config.weight_decay)
    fused = True if device.type in ("cpu", "cuda") else None
    kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
    return kind(parts, config.lr, config.betas, weight_decay=config.weight_decay, fused=fused)


class Learner:
    """Takes steps.

    Args:
        task: what is trained; its module lies on ``device``.
        config: settings.
        device: where this rank computes.
        watch: is shown every loss before it is learned from.
        world: number of ranks.
        say: is told if the training goes on without a compiler.

    Attributes:
        optimiser: the optimiser; the caller sets its learning rates.
    """

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        device: torch.device,
        watch: Watch,
        world: int,
        say: Callable[[str], object],
    ) -> None:
        self._task, self._config, self._device = task, config, device
        self._watch, self._world, self._say = watch, world, say
        self._turns = turns_of(task)
        parts = [part_of(task.module, turn) for turn in self._turns]
        self._learning = [[p for p in part.parameters() if p.requires_grad] for part in parts]
        self._still = [others(task.module, part) if turn.part else [] for turn, part in zip(self._turns, parts, strict=True)]
        self.optimiser = optimiser_of(task.module, self._turns, config, device)
        self._runner: nn.Module = task.module
        self._losses: list[Loss] = [turn.loss for turn in self._turns]
        self._refusals: tuple[type[Exception], ...] = ()
        self._graphs = config.compile == "graphs"
        self._split: Callable[[Any], Sequence[Any]] = getattr(task, "parts", lambda batch: [batch])
        if compiling.wanted(config, device):
            self._runner, self._losses = compiling.compiled(task, self._turns, task.module, config, device)
            self._refusals = compiling.refusals()

    def __call__(self, batch: Any, step: int) -> Mapping[str, Tensor]:
        """Learn from ``batch``, and return the first turn's loss as ``loss``, with all named parts.

        Raises:
            WeightsError: a loss is not finite.
            ResourceError: the step does not compile, although it is set to.
        """
        told: dict[str, Tensor] = {}
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        parts: Sequence[Any] = self._split(batch)
        gradients = self._first_gradients if self._refusals else self._gradients
        for number, parameters in enumerate(self._learning):
            with standing(self._still[number]):
                found = gradients(number, parts, step)
            loss = found.pop(_LOSS)
            self._watch.see(step, loss)
            if self._world > 1:
                share_gradients(parameters, self._world)
            if self._config.clip:
                nn.utils.clip_grad_norm_(parameters, self._config.clip)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            told |= ({_LOSS: loss} if number == 0 else {}) | found
        # What compiled once goes on doing so: what is raised later is of another kind.
        self._refusals = ()
        return told

    def _first_gradients(self, number: int, parts: Sequence[Any], step: int) -> dict[str, Tensor]:
        """As `_gradients`, where it is not known yet whether the loss compiles; if not, nothing has been drawn or learned."""
        drawn = _generators(self._device)
        try:
            return self._gradients(number, parts, step)
        except self._refusals as error:
            self._go_on_without(error)
        for generator, state in drawn:
            generator.set_state(state)
        return self._gradients(number, parts, step)

    def _gradients(self, number: int, parts: Sequence[Any], step: int) -> dict[str, Tensor]:
        """Gradients of the mean loss over ``parts``; gives that mean, and those of all that the loss names."""
        found = []
        for part in parts:
            with autocast(self._config, self._device):
                loss, named = self._losses[number](self._runner, part, step)
            (loss if len(parts) == 1 else loss / len(parts)).backward()  # type: ignore[no-untyped-call]
            # In one copy: what a CUDA graph gave is overwritten when it is replayed.
            found.append(torch.stack([value.detach().float().reshape(()) for value in (loss, *named.values())]))
        means = found[0] if len(found) == 1 else torch.stack(found).mean(0)
        return dict(zip((_LOSS, *named), means.unbind(), strict=True))

    def _go_on_without(self, error: Exception) -> None:
        """Forget the compiler, where it was not asked for by name."""
        cause = getattr(error, "inner_exception", error)
        reason = f"{type(cause).__name__}: {cause}".strip().splitlines()[0]
        if self._config.compile != "auto":
            raise ResourceError(
                f"compile={self._config.compile}: this training does not compile here ({reason}); a C++ compiler may be "
                f"missing. Take compile=off"
            ) from error
        self._say(f"not compiled, so slower: {reason}")
        self._runner, self._losses, self._refusals = self._task.module, [turn.loss for turn in self._turns], ()
        self.optimiser.zero_grad(set_to_none=True)


def _generators(device: torch.device) -> list[tuple[torch.Generator, Tensor]]:
    """The generators that losses draw from, and their states."""
    found = [torch.default_generator]
    if device.type == "cuda":
        found.append(torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index])
    return [(generator, generator.get_state()) for generator in found]


def share_gradients(parameters: Iterable[nn.Parameter], world: int) -> None:
    """Replace every gradient by its mean over ranks, some of them at a time.

    All ranks have the same parameters, and started from the same weights. ``DistributedDataParallel`` would expect one backward
    pass a step in which all parameters take part, and divide what is compiled.
    """
    buckets: list[list[Tensor]] = []
    room = 0
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
        if not buckets or p.grad.nbytes > room or buckets[-1][0].dtype != p.grad.dtype:
            buckets.append([])
            room = BUCKET
        buckets[-1].append(p.grad)
        room -= p.grad.nbytes
    for gradients in buckets:
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= world
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [piece.view_as(gradient) for piece, gradient in zip(pieces, gradients, strict=True)])
