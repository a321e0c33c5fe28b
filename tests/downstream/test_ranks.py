"""Two ranks with half of a batch each learn what one with all of it does, losses that compare samples included."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from fasgen.downstream.config import Experiment
from fasgen.downstream.data import Shards
from fasgen.downstream.dlif import Encoder
from fasgen.downstream.protocols import folds
from fasgen.downstream.tasks import DlifTask, build_task
from fasgen.training.learner import share_gradients

CPU, WORLD = torch.device("cpu"), 2

WAYS: dict[str, dict[str, Any]] = {
    "ssdg": {"loss": {"kind": "ssdg", "classifier": "rq", "adversarial": 0.0}},
    "dlif": {"method": "dlif", "dlif": {"subjects": 2, "live": 2, "spoof": 2}, "model": {"backbone": "resnet18-tiny"}},
}


def uncrossed(encoder: Encoder, x: Tensor, partner: Tensor) -> Tensor:
    """Three views that hang on no partner, each another one's."""
    return torch.cat([encoder(x * share) for share in (1.0, 0.9, 0.8)])


def gradients(shards: Path, way: str, rank: int, world: int) -> dict[str, Tensor]:
    """Of one step, averaged over ranks as the loop does it; every network begins alike and without noise."""
    torch.manual_seed(0)
    tree: dict[str, Any] = {
        "data": {"shards": (str(shards),), "size": 32, "flip": 0.0},
        "protocol": {"targets": ["c"], "dev_share": 0.0},
        "model": {"use": "image", "backbone": "vit-tiny", "embedding": 8},
        "loop": {"batch": 8},
    }
    more = WAYS[way]
    tree = {key: {**tree.get(key, {}), **more[key]} if key in tree else more[key] for key in more} | {
        key: value for key, value in tree.items() if key not in more
    }
    one = Experiment.model_validate(tree)
    opened = Shards(one.data, False)
    [fold] = folds(opened.table, one.protocol)
    task = build_task(one, opened, fold, 0, CPU)
    # Batch statistics are per rank on a CPU, and partners of styles are drawn within a rank.
    task.module.eval()
    if isinstance(task, DlifTask):
        for encoder in (task.net.u, task.net.v):
            encoder.views = partial(uncrossed, encoder)  # type: ignore[method-assign]
    loss, _ = task.loss(task.module, next(task.batches(0, rank, world)), 0)
    loss.backward()
    parameters = [p for p in task.module.parameters() if p.requires_grad]
    if world > 1:
        share_gradients(parameters, world)
    return {name: p.grad for name, p in task.module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def rank_of_two(rank: int, port: int, shards: Path, out: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    for way in WAYS:
        save_file(gradients(shards, way, rank, WORLD), out / f"{way}-{rank}.safetensors")
    dist.destroy_process_group()


def test_gradients_do_not_hang_on_the_number_of_ranks(three: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start_processes(rank_of_two, args=(port, three, tmp_path), nprocs=WORLD, start_method="spawn")  # type: ignore[no-untyped-call]
    for way in WAYS:
        whole = gradients(three, way, 0, 1)
        first, second = (load_file(tmp_path / f"{way}-{rank}.safetensors") for rank in range(WORLD))
        assert set(first) == set(whole) and len(whole) > 10
        for name, value in whole.items():
            assert torch.equal(first[name], second[name]), name
            assert torch.allclose(first[name], value, rtol=1e-3, atol=1e-6 + 1e-4 * float(value.abs().max())), (way, name)
