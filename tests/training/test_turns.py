"""Networks that learn in turn: each turn moves its own part alone, and what resumes is what never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.training.config import LoopConfig
from fasgen.training.loop import train
from fasgen.training.turns import Turn, groups, others, standing, turns_of

CPU = torch.device("cpu")


class Duel:
    """``maker`` makes numbers that ``judge`` is to take for the real ones, about 2; noise comes from the loop's own seeds."""

    def __init__(self, fail_at: int = -1, bad: bool = False) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.ModuleDict({"maker": nn.Linear(1, 1), "judge": nn.Linear(1, 1)})
        self.turns = (Turn("maker", self.loss), Turn("judge", self.verdict, 0.5), Turn("maker", self.again))
        self.fail_at, self.bad = fail_at, bad
        self.noted: list[tuple[str, dict[str, Tensor]]] = []
        self.made = torch.zeros(8, 1)

    def note(self, turn: str) -> None:
        self.noted.append((turn, {name: p.detach().clone() for name, p in self.module.named_parameters()}))

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        step = start
        while True:
            yield torch.linspace(-1, 1, 8)[:, None] * (1 + step % 3)
            step += 1

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        if step == self.fail_at:
            raise KeyboardInterrupt
        self.note("maker")
        made = module.get_submodule("maker")(batch + 0.1 * torch.randn_like(batch))
        self.made = made.detach()
        return (module.get_submodule("judge")(made) - 1).square().mean(), {"first": made.mean()}

    def verdict(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.note("judge")
        judge = module.get_submodule("judge")
        real = 2 + 0.1 * torch.randn(8, 1)
        loss = (judge(real) - 1).square().mean() + judge(self.made).square().mean()
        return loss * torch.nan if self.bad else loss, {"judge": loss}

    def again(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.note("again")
        error = (module.get_submodule("maker")(batch) - 2).square().mean()
        return error, {"again": error}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        return {}

    def export(self, module: nn.Module, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(dict(module.state_dict()), folder / "model.safetensors")


def config(out: Path, **changes: object) -> LoopConfig:
    values = {"out": out, "steps": 20, "batch": 8, "lr": 0.05, "ema": 0.9, "log_every": 5, "checkpoint_every": 5}
    return LoopConfig.model_validate(values | {"weight_decay": 0.0} | changes)


def test_each_turn_moves_its_own_part(tmp_path: Path) -> None:
    task = Duel()
    train(task, config(tmp_path, steps=2), CPU)
    order = [turn for turn, _ in task.noted]
    assert order == ["maker", "judge", "again"] * 2
    for (turn, before), (_, after) in zip(task.noted, task.noted[1:], strict=False):
        part = "judge" if turn == "judge" else "maker"
        moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert moved == {part}


def test_parts_have_their_own_rates(tmp_path: Path) -> None:
    """The first step of Adam is as long as its learning rate."""
    task = Duel()
    train(task, config(tmp_path, steps=1, clip=1e9), CPU)
    start, judged, again = (state for _, state in task.noted)
    assert float((judged["maker.bias"] - start["maker.bias"]).abs()) == pytest.approx(0.05, rel=1e-3)
    assert float((again["judge.bias"] - judged["judge.bias"]).abs()) == pytest.approx(0.025, rel=1e-3)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_resumed_is_byte_identical_to_uninterrupted(tmp_path: Path, optimiser: str) -> None:
    whole = train(Duel(), config(tmp_path / "a", optimiser=optimiser), CPU)
    with pytest.raises(KeyboardInterrupt):
        train(Duel(fail_at=13), config(tmp_path / "b", optimiser=optimiser), CPU)
    resumed = train(Duel(), config(tmp_path / "b", optimiser=optimiser), CPU)
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[key], two[key]) for key in one)
    points = [json.loads(line) for line in (tmp_path / "a" / "curve.jsonl").read_text().splitlines()]
    assert {"loss", "first", "judge", "again"} <= points[0].keys()


def test_a_loss_that_is_not_finite_in_any_turn_stops(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="step 0: the loss is nan"):
        train(Duel(bad=True), config(tmp_path), CPU)


def test_what_stands_still_is_released() -> None:
    module = Duel().module
    still = others(module, module.get_submodule("maker"))
    assert {id(p) for p in still} == {id(p) for p in module.get_submodule("judge").parameters()}
    with pytest.raises(RuntimeError), standing(still):
        assert not any(p.requires_grad for p in still)
        raise RuntimeError
    assert all(p.requires_grad for p in module.parameters())


def test_turns_of_one_part_share_a_rate() -> None:
    task = Duel()
    assert [group["rate"] for group in groups(task.module, task.turns)] == [1.0, 0.5]
    with pytest.raises(ValueError, match="different rates"):
        groups(task.module, (Turn("maker", task.loss), Turn("maker", task.again, 0.1)))


def test_a_task_without_turns_is_one_turn() -> None:
    class Plain:
        loss = Duel.loss

    task = Plain()
    (turn,) = turns_of(task)
    assert turn.part == "" and turn.loss == task.loss
