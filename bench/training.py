"""Steps a second of a training beside the bare step: forward and backward pass and update, on tensors that lie ready.

The bare step draws no batch, clips no gradient, keeps no average, watches no loss and writes no curve. Both sides take turns
within one run of the loop, on networks of one shape, compiled or not alike.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.harness import Row, median_ratio, table
from fasgen.stages.defake.train_dfg import Batch, DFGTask
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.training import compiling
from fasgen.training.layout import memory_format
from fasgen.training.learner import autocast, optimiser_of
from fasgen.training.loop import train
from fasgen.training.turns import turns_of

AIM, ROUNDS, SIDE = 0.9, 3, 112
SHAPE = {"channels": [64, 160], "attention": [False, True], "layers": 1, "heads": 4, "condition": 192, "projection": "learned"}
"""The generator of 112 px that comes with fasgen, or nearly; its autoencoder and identity network are those that do."""
SMALL = SHAPE | {"channels": [32, 32]}


class Timed(DFGTask):
    """A training that times itself: spans of steps, with as many bare steps before each.

    Args:
        config: settings.
        device: where it computes.
        warm: steps that are not timed.
        span: steps of a span.
        bare: take the bare steps too.

    Attributes:
        loop: seconds a step of each span of the loop.
        bare: the same of the bare step.
    """

    def __init__(self, config: DFGTraining, device: torch.device, warm: int, span: int, bare: bool) -> None:
        super().__init__(config, device)
        self._marks = {warm + number * span for number in range(ROUNDS + 1)}
        self._span, self._bare = span, Bare(self) if bare else None
        self.loop: list[float] = []
        self.bare: list[float] = []

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        since = 0.0
        for step, batch in enumerate(super().batches(start, rank, world), start):
            if step in self._marks:
                if step > min(self._marks):
                    self.loop.append((self._now() - since) / self._span)
                if self._bare is not None and step < max(self._marks):
                    # One that is not timed: the first compiles, and later ones find the device as it was left.
                    self._bare(batch)
                    since = self._now()
                    for _ in range(self._span):
                        self._bare(batch)
                    self.bare.append((self._now() - since) / self._span)
                since = self._now()
            yield batch

    def _now(self) -> float:
        """The time, when the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Bare:
    """The least that a step is, on a copy of a task's network.

    Args:
        task: its loss is taken.
    """

    def __init__(self, task: DFGTask) -> None:
        self._config, self._device, turns = task.config, task.device, turns_of(task)
        module = copy.deepcopy(task.module).to(self._device)
        self._module = module.to(memory_format=memory_format(module, self._device)).train()  # type: ignore[call-overload]
        self._optimiser = optimiser_of(self._module, turns, task.config, self._device)
        self._loss = turns[0].loss
        if compiling.wanted(task.config, self._device):
            _, (self._loss,) = compiling.compiled(task, turns, self._module, task.config, self._device)

    def __call__(self, batch: Batch) -> None:
        """A step of which nothing is told."""
        if self._config.compile == "graphs":
            torch.compiler.cudagraph_mark_step_begin()
        with autocast(self._config, self._device):
            loss, _ = self._loss(self._module, batch, 0)
        loss.backward()
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)


def timed(folder: Path, batch: int, device: torch.device, warm: int, span: int, *, bare: bool = True, **changes: Any) -> Timed:
    """Train the generator of 112 px on made-up faces for as long as `ROUNDS` spans take.

    Args:
        folder: an empty one.
        batch: samples a step.
        device: where.
        warm: steps that are not timed.
        span: steps of a span.
        bare: time the bare step too.
        changes: settings other than the training's defaults.
    """
    faces = folder / "faces"
    if not faces.is_dir():
        _write_faces(faces, max(64, 2 * batch))
    steps, never = warm + ROUNDS * span + 1, 10**9
    values: dict[str, Any] = SHAPE | {
        "out": folder / "run",
        "steps": steps,
        "batch": batch,
        "lr": 1e-4,
        "prediction": "v_prediction",
    }
    values |= {"min_snr": 5.0, "checkpoint_every": never, "sheet_every": never, "faces": {"path": faces, "size": SIDE}}
    config = DFGTraining.model_validate(values | changes)
    torch.manual_seed(0)
    task = Timed(config, device, warm, span, bare)
    train(task, config, device)
    return task


def _write_faces(folder: Path, count: int) -> None:
    import cv2

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (7, 7, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def steps_a_second(batch: int, *, compile: str = "auto", cache: bool = True) -> float:
    """Of the loop, with the generator of 112 px on the GPU, or on the CPU where there is none; the median of `ROUNDS` spans.

    Args:
        batch: samples a step.
        compile: the training's setting.
        cache: of latents and tokens made before; else each step encodes its faces.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    with tempfile.TemporaryDirectory() as name:
        warm, span = (20, 100) if cuda else (1, 2)
        done = timed(Path(name), batch, device, warm, span, bare=False, compile=compile, cache=cache)
    return 1 / statistics.median(done.loop)


def run() -> list[Row]:
    """Steps a second of the loop beside those of the bare step, from latents and from faces; on a GPU compiled in all ways."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    batch, warm, span, shape = (256, 20, 100, SHAPE) if cuda else (8, 2, 12, SMALL)
    ways = [("on", True), ("on", False), ("off", True), ("graphs", True)] if cuda else [("off", True), ("off", False)]
    on = torch.cuda.get_device_name() if cuda else "one CPU thread"
    rows = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if not cuda else threads)
    try:
        for how, cache in ways:
            with tempfile.TemporaryDirectory() as name:
                done = timed(Path(name), batch, device, warm, span, compile=how, cache=cache, **shape)
            what = "latents" if cache else "faces, encoded in the step"
            rows.append(
                Row(
                    f"train dfg, {SIDE} px, {shape['channels']} channels, batch {batch} of {what}, compile={how}, {on}",
                    1 / statistics.median(done.loop),
                    1 / statistics.median(done.bare),
                    f"bare step, torch {torch.__version__}",
                    median_ratio(done.loop, done.bare),
                    AIM,
                    "steps/s",
                )
            )
            torch.compiler.reset()
    finally:
        torch.set_num_threads(threads)
    return rows


if __name__ == "__main__":
    print(table(run()))
