"""One loop for every network: resume, moving average, precision, ranks, curve and sheets.

A task gives the loop its modules, its batches and its loss; everything that is the same for every network is here. Between two
checkpoints or sheets the host waits for nothing that a GPU computes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen import __version__
from fasgen.manifests.atomic import write_atomic
from fasgen.seen import NAME, Seen, encode
from fasgen.training.average import Follower, ema_decay
from fasgen.training.board import Board
from fasgen.training.checkpoint import Checkpoint
from fasgen.training.clock import Clock, clock_time
from fasgen.training.config import LoopConfig
from fasgen.training.curve import Curve
from fasgen.training.draws import seed_of
from fasgen.training.inscription import inscribe
from fasgen.training.layout import memory_format
from fasgen.training.learner import Learner
from fasgen.training.prefetch import Prefetcher
from fasgen.training.task import Task
from fasgen.training.watch import Watch

FIRST = 10
"""A step with a point and a sheet of its own: what is wrong with data or settings shows in the first minute."""


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


def _silent(line: str) -> None:
    """Says nothing."""


def train(
    task: Task,
    config: LoopConfig,
    device: torch.device,
    *,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], object] = _silent,
    name: str = "",
) -> Path:
    """Train ``task`` to the end of its schedule, resuming from ``config.out`` where a checkpoint lies there.

    Args:
        task: modules, batches, loss.
        config: settings; ``batch`` is the batch over all ranks together.
        device: where this rank computes.
        rank: this rank; only rank 0 writes.
        world: number of ranks; above 1, ``torch.distributed`` must be initialised.
        say: is told what is trained on what, and every point of the curve with the time that is left, as lines.
        name: what the training is called; the finished weights say it.

    Returns:
        the folder of the exported network.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    module: nn.Module = task.module.to(device).to(memory_format=memory_format(task.module, device))  # type: ignore[call-overload]
    weights = {name: value.detach() for name, value in module.state_dict().items()}
    ema = {name: value.clone() for name, value in weights.items()} if config.ema else weights
    watch, checkpoint = Watch(config, device, world), Checkpoint(config.out)
    learner, follow = Learner(task, config, device, watch, world, say), Follower(ema, weights)
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = checkpoint.load(module, ema, learner.optimiser)
        step, spent = int(state["step"]), float(state["seconds"])
    curve = Curve(config.out, say if rank == 0 else _silent, Board(config.out, step) if rank == 0 else None)
    if rank == 0:
        curve.cut(step)
        for line in opening(task, config, device, world, step, spent):
            say(line)
    clock = Clock(config, device, world, time.monotonic() - spent)

    def batch_of(step: int) -> Any:
        return next(task.batches(step, rank, world))

    def save() -> None:
        curve.flush()
        checkpoint.save(module, ema, learner.optimiser, {"step": step, "seconds": clock.seconds()})

    module.train()
    with ExitStack() as running:
        ahead = config.prefetch
        if ahead is None:
            # While a CUDA graph is recorded, no other thread should touch the device.
            threads = device.type == "cuda" and config.compile != "graphs" and getattr(task, "needs_host", True)
            ahead = 4 if threads else 0
        batches = running.enter_context(Prefetcher(batch_of, step, ahead)) if ahead else task.batches(step, rank, world)
        while (done := clock.progress(step)) < 1.0:
            for group in learner.optimiser.param_groups:
                group["lr"] = learning_rate(config, done, step) * group["rate"]
            # Seeded anew at each step, so that a resumed run draws what the uninterrupted one drew.
            torch.manual_seed(seed_of("loss", config.seed, step, rank))
            told = learner(next(batches), step)
            if config.ema:
                follow(ema_decay(config.ema, step))
            step += 1
            saves, shows = step % config.checkpoint_every == 0, step % config.sheet_every == 0 or step == FIRST
            if saves or shows:
                watch.look()
            if rank == 0:
                curve.add(told)
                if step % config.log_every == 0 or step in (1, FIRST):
                    curve.point(step, clock.seconds(), learner.optimiser.param_groups[0]["lr"], clock.left(step))
                if saves:
                    save()
                if shows:
                    _validate(task, module, ema, config.out, step, curve)
    watch.look()
    folder = config.out / "final"
    if rank == 0:
        save()
        _validate(task, module, ema, config.out, step, curve)
        module.load_state_dict(ema)
        module.eval()
        task.export(module, folder)
        if config.stored == "fp16":
            halve(folder)
        inscribe(folder, _facts(task, config, step, name))
        seen: Seen | None = getattr(task, "seen", None)
        if seen is not None:
            write_atomic(folder / NAME, encode(seen))
        curve.close()
    return folder


def opening(task: Task, config: LoopConfig, device: torch.device, world: int, step: int, spent: float) -> list[str]:
    """What is trained, on what, for how long: the lines that a training begins with."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else _cores(torch.get_num_threads())
    ranks = f", {world} ranks" if world > 1 else ""
    every = sum(p.numel() for p in task.module.parameters())
    learning = sum(p.numel() for p in task.module.parameters() if p.requires_grad)
    still = f", {_figure(every - learning)} more stay as they are" if every > learning else ""
    length = f"{config.steps} steps of {config.batch}" + (f", at most {config.minutes:g} min" if config.minutes else "")
    on = f"; going on from step {step}, after {clock_time(spent)}" if step else ""
    return [
        f"device    {where}{ranks}",
        f"data      {_data(task) or 'not counted'}",
        f"network   {_figure(learning)} parameters learn{still}",
        f"schedule  {length}{on}; curve, sheets and checkpoints in {config.out}",
    ]


def _cores(threads: int) -> str:
    return f"CPU, {threads} thread" + ("" if threads == 1 else "s")


def _data(task: Task) -> str:
    counted: Mapping[str, int] = getattr(task, "counted", {})
    return ", ".join(f"{count} {what}" for what, count in counted.items())


def _figure(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.1f} k" if count >= 1e3 else str(count)


def _facts(task: Task, config: LoopConfig, step: int, name: str) -> dict[str, str]:
    """What the finished weights say of themselves: nothing that another run of the same training would say otherwise."""
    facts = {
        "fasgen.version": __version__,
        "fasgen.training": name,
        "fasgen.steps": str(step),
        "fasgen.batch": str(config.batch),
        "fasgen.seed": str(config.seed),
        "fasgen.data": _data(task),
        "fasgen.averaged": str(config.ema),
        "fasgen.stored": config.stored,
    }
    return {key: value for key, value in facts.items() if value}


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
