"""One loop for every network: resume, moving average, precision, ranks, curve and sheets.

A task gives the loop its modules, its batches and its loss; everything that is the same for every network is here. Checkpoints
are safetensors plus JSON, so resuming opens no pickle either.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch import distributed as dist

from fasgen.errors import WeightsError
from fasgen.training.average import ema_decay, follow
from fasgen.training.config import LoopConfig
from fasgen.training.curve import Curve
from fasgen.training.prefetch import Prefetcher
from fasgen.training.turns import Turn, groups, only, part_of, share_gradients, turns_of
from fasgen.training.watch import Watch


class Task(Protocol):
    """What a network brings to the loop.

    Where networks learn in turn, a task also has ``turns``, a sequence of `Turn`; the loop then calls their losses, not `loss`.
    """

    module: nn.Module
    """Holds every parameter that is trained, and nothing else; `loss` calls it."""

    def batches(self, start: int, rank: int, world: int) -> Iterator[Any]:
        """Endless batches of this rank from step ``start`` on, the same after a resume as without one.

        They draw from generators of their own, never from torch's global one: with ``prefetch`` they are made on other threads.
        """
        ...

    def loss(self, module: nn.Module, batch: Any, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Scalar loss and named parts for the curve. ``module`` is `module`, possibly compiled or wrapped for ranks."""
        ...

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Figures on held-out data under the averaged weights; draws a sheet of samples into ``folder``."""
        ...

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the finished network, with the averaged weights in ``module``, in the layout that its stage loads."""
        ...


def learning_rate(config: LoopConfig, progress: float, step: int) -> float:
    """Learning rate at ``step``, ``progress`` in [0, 1] through the training: by steps, or by time where that ends first.

    A cosine goes with the progress, to a thousandth of the peak; a staircase counts steps from the end of warm-up.
    """
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.schedule == "cosine":
        share = max(0.5 * (1 + math.cos(math.pi * min(1.0, progress))), 1e-3)
    elif config.schedule == "step":
        share = config.decay ** (max(step - config.warmup, 0) // config.decay_every)
    else:
        share = 1.0
    return config.lr * warm * share


def memory_format(module: nn.Module, device: torch.device) -> torch.memory_format:
    """Layout in which ``module`` trains: channels last, which is faster, wherever its backward pass is sound.

    On CPUs with AVX-512, torch 2.13 crashes in the backward pass of channels-last 1 x 1 convolutions with a stride and few
    channels (seen up to 12 at 112 px).
    """
    fragile = device.type == "cpu" and any(
        isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1) and m.in_channels < 16
        for m in module.modules()
    )
    return torch.contiguous_format if fragile else torch.channels_last


def _optimiser(module: nn.Module, turns: Sequence[Turn], config: LoopConfig) -> torch.optim.Optimizer:
    parts = groups(module, turns)
    if config.optimiser == "sgd":
        return torch.optim.SGD(parts, config.lr, config.betas[0], weight_decay=config.weight_decay)
    return torch.optim.AdamW(parts, config.lr, config.betas, weight_decay=config.weight_decay)


def _silent(line: str) -> None:
    """Says nothing."""


def _autocast(config: LoopConfig, device: torch.device) -> Any:
    wanted = config.precision
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.autocast(device.type, torch.bfloat16) if wanted == "bf16" else nullcontext()


class Checkpoint:
    """A training state on disk: raw and averaged weights, optimiser moments, and where it stood.

    Args:
        folder: the run's folder; the state lies in ``checkpoint/`` inside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoint"

    def exists(self) -> bool:
        """True if there is a complete state to resume from."""
        return (self.folder / "state.json").is_file()

    def save(
        self, module: nn.Module, ema: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
    ) -> None:
        """Write a complete new state beside the old one, then put it in its place."""
        new, old = self.folder.with_name("checkpoint.new"), self.folder.with_name("checkpoint.old")
        _remove(new)
        new.mkdir(parents=True)
        save_file({k: v.detach().contiguous().cpu() for k, v in module.state_dict().items()}, new / "weights.safetensors")
        save_file({k: v.contiguous().cpu() for k, v in ema.items()}, new / "ema.safetensors")
        moments = {
            f"{index}.{key}": value.detach().contiguous().cpu()
            for index, slots in optimiser.state_dict()["state"].items()
            for key, value in slots.items()
            if value is not None  # the momentum of an SGD without any
        }
        save_file(moments, new / "optimiser.safetensors")
        (new / "state.json").write_text(json.dumps(state))
        _remove(old)
        if self.folder.exists():
            self.folder.rename(old)
        new.rename(self.folder)
        _remove(old)

    def load(self, module: nn.Module, ema: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Restore everything in place and return the state.

        Raises:
            WeightsError: if the state was written by another architecture.
        """
        try:
            module.load_state_dict(load_file(self.folder / "weights.safetensors"))
        except RuntimeError as error:
            raise WeightsError(
                f"{self.folder}: is of another architecture; choose another out= or delete it "
                f"({str(error).splitlines()[-1].strip()})"
            ) from error
        saved = load_file(self.folder / "ema.safetensors")
        for key, value in ema.items():
            value.copy_(saved[key].to(value))
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(self.folder / "optimiser.safetensors").items():
            index, _, name = key.partition(".")
            slots.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def train(
    task: Task,
    config: LoopConfig,
    device: torch.device,
    *,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], object] = _silent,
) -> Path:
    """Train ``task`` to the end of its schedule, resuming from ``config.out`` where a checkpoint lies there.

    Args:
        task: modules, batches, loss.
        config: settings; ``batch`` is the batch over all ranks together.
        device: where this rank computes.
        rank: this rank; only rank 0 writes.
        world: number of ranks; above 1, ``torch.distributed`` must be initialised.
        say: is told every point of the curve, as a line.

    Returns:
        the folder of the exported network.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    module: nn.Module = task.module.to(device).to(memory_format=memory_format(task.module, device))  # type: ignore[call-overload]
    ema = {k: v.detach().clone() for k, v in module.state_dict().items()}
    turns, alternating = turns_of(task), hasattr(task, "turns")
    optimiser = _optimiser(module, turns, config)
    checkpoint, curve, watch = Checkpoint(config.out), Curve(config.out, say), Watch(config, device, world)
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = checkpoint.load(module, ema, optimiser)
        step, spent = int(state["step"]), float(state["seconds"])
    if rank == 0:
        curve.cut(step)
    runner: nn.Module = module
    if world > 1 and not alternating:
        runner = nn.parallel.DistributedDataParallel(module, device_ids=[device.index] if device.type == "cuda" else None)
    if config.compile and alternating:
        for child in module.children():
            child.compile()
    elif config.compile:
        runner = torch.compile(runner)  # type: ignore[assignment]
    began = time.monotonic() - spent

    def batch_of(step: int) -> Any:
        with _autocast(config, device):
            return next(task.batches(step, rank, world))

    def in_turn() -> Iterator[Any]:
        made = task.batches(step, rank, world)
        while True:
            with _autocast(config, device):
                batch = next(made)
            yield batch

    def progress() -> float:
        if not config.minutes:
            return step / config.steps
        share = max(step / config.steps, (time.monotonic() - began) / (60 * config.minutes))
        if world > 1:
            # Clocks differ; ranks must stop at the same step.
            first = torch.tensor(share, dtype=torch.float64, device=device)
            dist.broadcast(first, 0)
            share = float(first)
        return share

    module.train()
    with ExitStack() as running:
        ahead = config.prefetch if config.prefetch is not None else 4 * (device.type == "cuda")
        batches = running.enter_context(Prefetcher(batch_of, step, ahead)) if ahead else in_turn()
        while (done := progress()) < 1.0:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, done, step) * group["rate"]
            # Seeded anew at each step, so that a resumed run draws what the uninterrupted one drew.
            torch.manual_seed((config.seed * 1_000_003 + step) * world + rank)
            batch = next(batches)
            told: dict[str, Tensor] = {}
            for turn in turns:
                part = part_of(module, turn)
                with only(module, part):
                    with _autocast(config, device):
                        turn_loss, named = turn.loss(runner, batch, step)
                    watch.see(step, turn_loss)
                    optimiser.zero_grad(set_to_none=True)
                    turn_loss.backward()  # type: ignore[no-untyped-call]
                if alternating and world > 1:
                    share_gradients(part, world)
                nn.utils.clip_grad_norm_(part.parameters(), config.clip)
                optimiser.step()
                told |= {"loss": turn_loss} if turn is turns[0] else {}
                told |= named
            decay = ema_decay(config.ema, step) if config.ema else 0.0
            follow(ema, module.state_dict(), decay)
            step += 1
            if any(step % every == 0 for every in (config.log_every, config.checkpoint_every, config.sheet_every)):
                watch.look()
            if rank == 0:
                curve.add(told)
                if step % config.log_every == 0:
                    curve.point(step, time.monotonic() - began, optimiser.param_groups[0]["lr"])
                if step % config.checkpoint_every == 0:
                    checkpoint.save(module, ema, optimiser, {"step": step, "seconds": time.monotonic() - began})
                if step % config.sheet_every == 0:
                    _validate(task, module, ema, config.out, step, curve)
    watch.look()
    folder = config.out / "final"
    if rank == 0:
        checkpoint.save(module, ema, optimiser, {"step": step, "seconds": time.monotonic() - began})
        _validate(task, module, ema, config.out, step, curve)
        module.load_state_dict(ema)
        module.eval()
        task.export(module, folder)
        if config.stored == "fp16":
            halve(folder)
    return folder


def halve(folder: Path) -> None:
    """Rewrite every safetensors file below ``folder`` with its float32 tensors in half precision."""
    for path in sorted(folder.rglob("*.safetensors")):
        tensors = load_file(path)
        save_file({k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}, path, {"format": "pt"})


def _validate(task: Task, module: nn.Module, ema: Mapping[str, Tensor], out: Path, step: int, curve: Curve) -> None:
    raw = {k: v.detach().clone() for k, v in module.state_dict().items()}
    module.load_state_dict(ema)
    module.eval()
    with torch.no_grad():
        figures = task.validate(module, out / "sheets", step)
    module.load_state_dict(raw)
    module.train()
    curve.validation(step, figures)
