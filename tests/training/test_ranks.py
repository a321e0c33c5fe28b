"""Networks that learn in turn on two ranks: both end alike, and as one rank with the whole batch would."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from fasgen.cli import main
from fasgen.errors import WeightsError
from fasgen.stages.stdn.generator import Generator
from fasgen.training import watch
from fasgen.training.config import LoopConfig
from fasgen.training.loop import train
from fasgen.training.turns import Turn
from tests.stages.gallery.toy import crop_store
from tests.stages.stdn import tiny

BATCH, STEPS, WORLD = 8, 6, 2


class Halves:
    """``maker`` against ``judge``, losses that are means over samples, no noise; each rank has its share of a known batch."""

    def __init__(self, bad: bool = False) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.ModuleDict(
            {"maker": nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)), "judge": nn.Linear(3, 1)}
        )
        self.turns = (Turn("maker", self.loss), Turn("judge", self.verdict, 0.5), Turn("maker", self.again))
        self.bad = bad

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        step, share = start, BATCH // world
        while True:
            whole = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(step))
            yield whole[rank * share : (rank + 1) * share]
            step += 1

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        made = module.get_submodule("maker")(batch)
        self.made = made.detach()
        loss = (module.get_submodule("judge")(made) - 1).square().mean()
        return loss * torch.nan if self.bad and step == 2 else loss, {}

    def verdict(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        judge = module.get_submodule("judge")
        return (judge(batch + 2) - 1).square().mean() + judge(self.made).square().mean(), {}

    def again(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        return (module.get_submodule("maker")(batch) - batch).abs().mean(), {}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        return {}

    def export(self, module: nn.Module, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(module.state_dict()), folder / "model.safetensors")


def config(out: Path, **changes: object) -> LoopConfig:
    values = {"out": out, "steps": STEPS, "batch": BATCH, "lr": 0.02, "ema": 0.0, "clip": 0.2, "log_every": 2, "threads": 1}
    return LoopConfig.model_validate(values | changes)


def rank_of_two(rank: int, port: int, out: Path, bad: bool) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    # One rank alone has the bad loss; looked at together, as on a GPU, it has reached the other by then.
    if bad:
        watch.ahead = lambda device: 1000
    task = Halves(bad=bad and rank == 1)
    settings = config(out, checkpoint_every=3 if bad else 1000)
    try:
        train(task, settings, torch.device("cpu"), rank=rank, world=WORLD)
    except WeightsError as error:
        (out / f"rank-{rank}.txt").write_text(str(error))
    save_file(dict(task.module.state_dict()), out / f"rank-{rank}.safetensors")
    dist.destroy_process_group()


def on_two(out: Path, bad: bool = False) -> None:
    out.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start_processes(rank_of_two, args=(port, out, bad), nprocs=WORLD, start_method="spawn")  # type: ignore[no-untyped-call]


def test_two_ranks_end_alike_and_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    on_two(tmp_path / "two")
    first, second = (load_file(tmp_path / "two" / f"rank-{rank}.safetensors") for rank in range(WORLD))
    whole = load_file(train(Halves(), config(tmp_path / "one"), torch.device("cpu")) / "model.safetensors")
    start = Halves().module.state_dict()
    for name, value in whole.items():
        assert torch.equal(first[name], second[name]), name
        # Gradients of two halves average to those of the whole, up to the rounding of sums.
        assert torch.allclose(first[name], value, rtol=1e-4, atol=1e-5), name
        assert float((value - start[name]).abs().max()) > 0.05, f"{name} hardly moved: the test would prove nothing"


def test_a_bad_loss_of_one_rank_stops_all_before_it_is_written(tmp_path: Path) -> None:
    on_two(tmp_path / "two", bad=True)
    said = [(tmp_path / "two" / f"rank-{rank}.txt").read_text() for rank in range(WORLD)]
    assert said[1].startswith("step 2: the loss is nan; lower lr (now 0.02)")
    assert said[0].startswith(("up to step 2: another rank's loss is not finite; lower lr", "step 2: the loss is nan"))
    assert not (tmp_path / "two" / "checkpoint").exists() and not (tmp_path / "two" / "final").exists()


def test_the_command_trains_stdn_on_two_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = crop_store(tmp_path / "store", 32)
    shape = {key: value for key, value in tiny.GENERATOR.items() if key != "size"}
    settings = {
        "out": tmp_path / "out", "steps": 3, "batch": 4, "landmarks": "template", "discriminator_width": 4, "log_every": 1,
        "threads": 1, "faces.size": 32, "pairs.path": store, "pairs.holdout": ["d/eve"], **shape,
    }  # fmt: skip
    words = [
        f"{key}={json.dumps(list(value) if isinstance(value, tuple) else value, default=str)}"
        for key, value in settings.items()
    ]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["train", "stdn", "--gpus", "0", "--ranks", "2", *words])
    assert result.exit_code == 0, result.output
    assert Generator.load(tmp_path / "out" / "final" / "generator").config.size == 32
    points = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points if "loss" in point] == [1, 2, 3]
