"""From a named training to ranks: one process a GPU, or one on the CPU."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from fasgen.errors import ConfigError, ResourceError
from fasgen.training.config import LoopConfig, TrainingSpec, trainings
from fasgen.training.loop import train
from fasgen.training.task import Task

PATIENCE = timedelta(hours=6)
"""How long a rank waits for another."""


def launch(spec: TrainingSpec, config: LoopConfig, gpus: int, ranks: int = 1) -> Path:
    """Train ``spec`` on ``gpus`` GPUs, or on the CPU if 0 with ``ranks`` processes.

    Args:
        spec: what to train.
        config: its configuration; ``batch`` must divide by the number of ranks.
        gpus: GPUs; each gets a process.
        ranks: processes on the CPU when ``gpus`` is 0.

    Returns:
        folder of the exported network.

    Raises:
        ResourceError: if the machine has fewer GPUs.
        ConfigError: if the batch cannot be shared evenly.
    """
    have = torch.cuda.device_count() if gpus else 0
    if gpus > have:
        change = "ask for at most that many" if have else "leave --gpus out, and it trains on the CPU"
        raise ResourceError(f"--gpus {gpus}: this machine has {have}; {change}")
    world = gpus or ranks
    if config.batch % world:
        raise ConfigError(
            f"batch={config.batch} does not divide by {world} ranks; take {config.batch // world * world or world}"
        )
    if world == 1:
        return _rank(0, 1, spec.name, config, bool(gpus), 0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start_processes(  # type: ignore[no-untyped-call]
        _rank, args=(world, spec.name, config, bool(gpus), port), nprocs=world, start_method="spawn"
    )
    return config.out / "final"


def _rank(rank: int, world: int, name: str, config: LoopConfig, on_gpu: bool, port: int) -> Path:
    device = torch.device("cuda", rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if config.threads:
        torch.set_num_threads(config.threads)
    if world > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        # Others wait while the first rank reads faces or validates, which can take longer than NCCL's ten minutes; a rank that
        # dies ends the others without that.
        dist.init_process_group("nccl" if on_gpu else "gloo", rank=rank, world_size=world, timeout=PATIENCE)
    try:
        # Every rank starts from the same weights; ranks part only after the networks are built.
        torch.manual_seed(config.seed)
        if rank == 0:
            print(f"training  {name}: reading what it learns from; this takes minutes where there is much", flush=True)
        task = build_task(trainings()[name], config, device)
        return train(task, config, device, rank=rank, world=world, say=partial(print, flush=True), name=name)
    finally:
        if world > 1:
            dist.destroy_process_group()


def build_task(spec: TrainingSpec, config: LoopConfig, device: torch.device) -> Task:
    """The task of ``spec``: its networks are built and its faces are read."""
    module, _, attribute = spec.factory.partition(":")
    factory: Any = getattr(import_module(module), attribute)
    task: Task = factory(config, device)
    return task
