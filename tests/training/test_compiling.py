"""Every training as it is on a GPU: compiled, whole, once, in half precision, with the numbers of one that is not compiled.

By default the compiler is torch's tracer and its differentiation, which is where a loss can fail to be compiled; kernels are
those of eager torch. ``FASGEN_COMPILER=inductor`` makes kernels too, for hours on a CPU.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch._dynamo.utils import counters

from fasgen.errors import ConfigError, ResourceError
from fasgen.training import compiling
from fasgen.training.config import LoopConfig, trainings
from fasgen.training.launch import build_task
from fasgen.training.learner import autocast
from fasgen.training.loop import train
from fasgen.training.turns import turns_of
from tests.stages.lgsc.test_training import faces_folder, toy_physical, train_simulation
from tests.training.every import TRAINED, VARIANTS, ids
from tests.training.test_loop import Line, config

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COMPILER = os.environ.get("FASGEN_COMPILER", "aot_eager")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled twice, and what is drawn in compiled code is what eager code draws."""
    import torch._inductor.config as inductor

    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    monkeypatch.setattr(compiling, "BACKEND", COMPILER)
    torch.compiler.reset()
    counters.clear()
    with torch._dynamo.config.patch(error_on_recompile=True), inductor.patch(fallback_random=True):
        yield
    torch.compiler.reset()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_folder(tmp_path_factory.mktemp("faces"))


def compiled_whole() -> bool:
    """Whether torch compiled something since the test began, and left nothing out."""
    return bool(counters["stats"]["unique_graphs"]) and not counters["graph_break"]


class Once:
    """A training's task, of which losses and gradients are taken at one and the same state."""

    def __init__(self, task: Any, settings: LoopConfig) -> None:
        self.module: nn.Module = task.module.train()
        self._settings, self._task = settings, task
        self._state = {name: value.clone() for name, value in self.module.state_dict().items()}

    def take(self, losses: Any, runner: nn.Module, batch: Any) -> list[tuple[float, dict[str, Tensor]]]:
        """Of each turn its loss and the gradients that it leaves."""
        self.module.load_state_dict(self._state)
        torch.manual_seed(5)
        split = getattr(self._task, "parts", lambda batch: [batch])
        found = []
        for loss in losses:
            self.module.zero_grad(set_to_none=True)
            values = []
            for part in split(batch):
                with autocast(self._settings, CPU):
                    value, _ = loss(runner, part, 0)
                value.backward()
                values.append(float(value.detach()))
            grads = {name: p.grad.clone() for name, p in self.module.named_parameters() if p.grad is not None}
            found.append((sum(values) / len(values), grads))
        return found


def apart(grads: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Distance of all gradients together, relative to their length."""
    assert grads.keys() == wanted.keys()
    size = math.sqrt(sum(float(g.square().sum()) for g in wanted.values()))
    assert size > 0
    return math.sqrt(sum(float((grads[key] - g).square().sum()) for key, g in wanted.items())) / size


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(("name", "more"), VARIANTS, ids=ids)
def test_losses_and_gradients_are_those_of_eager_torch(faces: Path, tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    """Losses within 1e-4; gradients within 1e-3 in at least one of five batches, and within 5e-2 in all.

    Kernels add in another order. Where the last bit puts a number on the other side of a kink (an absolute value, a hinge, a
    leaky unit), its gradient turns: hundredths of the whole where an image has a thousand pixels. A batch in which none
    lies so near tells the two apart: what is compiled wrongly is wrong in every batch.
    """
    settings = TRAINED[name][0](faces, tmp_path / "out", **({"compile": "on", "precision": "fp32"} | more))
    torch.manual_seed(0)
    task = build_task(trainings()[name], settings, CPU)
    once, turns = Once(task, settings), turns_of(task)
    runner, losses = compiling.compiled(task, turns, task.module, settings, CPU)
    found: list[list[float]] = []
    for batch in islice(task.batches(0, 0, 1), 5):
        plain = once.take([turn.loss for turn in turns], task.module, batch)
        made = once.take(losses, runner, batch)
        assert [loss for loss, _ in made] == pytest.approx([loss for loss, _ in plain], rel=1e-4)
        found.append([apart(grads, wanted) for (_, grads), (_, wanted) in zip(made, plain, strict=True)])
    assert compiled_whole()
    for turn in zip(*found, strict=True):
        assert min(turn) < 1e-3 and max(turn) < 5e-2


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", trainings())
def test_every_training_runs_compiled_in_half_precision_and_goes_on(faces: Path, tmp_path: Path, name: str) -> None:
    """Two steps, and after the checkpoint a third: losses are finite, and the stage loads what came of it."""
    settings, load = TRAINED[name]
    own = {"log_every": 1, "checkpoint_every": 2, "sheet_every": 100, "precision": "bf16", "compile": "on", "warmup": 0}
    for steps in (2, 3):
        # A process compiles one task; two in one are as a recompilation.
        torch.compiler.reset()
        chosen = settings(faces, tmp_path / "out", **own, steps=steps)
        torch.manual_seed(0)
        folder = train(build_task(trainings()[name], chosen, CPU), chosen, CPU)
    assert compiled_whole()
    points = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points if "loss" in point] == [1, 2, 3]
    assert all(math.isfinite(value) for point in points for value in point.values())
    assert all(bool(value.isfinite().all()) for value in load(folder).state_dict().values())


def test_what_the_setting_means() -> None:
    def wanted(choice: str, device: torch.device) -> bool:
        return compiling.wanted(LoopConfig.model_validate({"compile": choice}), device)

    assert [wanted("auto", CPU), wanted("on", CPU), wanted("off", CPU)] == [False, True, False]
    assert [wanted(choice, CUDA) for choice in ("auto", "on", "off", "graphs")] == [True, True, False, True]
    with pytest.raises(ConfigError, match="take compile=on"):
        wanted("graphs", CPU)


def refuse(*_: object) -> Any:
    raise RuntimeError("no compiler here\nand more")


class TracedLine(Line):
    traced = True


@pytest.mark.parametrize("kind", [Line, TracedLine])
def test_without_a_compiler_auto_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Line]) -> None:
    monkeypatch.setattr(compiling, "BACKEND", refuse)
    monkeypatch.setattr(compiling, "wanted", lambda *_: True)
    said: list[str] = []
    folder = train(kind(), config(tmp_path / "a"), CPU, say=said.append)
    (told,) = (line for line in said if line.startswith("not compiled, so slower: "))
    assert "no compiler here" in told and "\n" not in told
    monkeypatch.undo()
    plain = train(kind(), config(tmp_path / "b"), CPU)
    assert (folder / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()


def test_without_a_compiler_what_asks_for_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", refuse)
    with pytest.raises(ResourceError, match=r"compile=on: this training does not compile here .*Take compile=off"):
        train(TracedLine(), config(tmp_path, compile="on"), CPU)


@pytest.mark.parametrize("kind", [Line, TracedLine])
def test_a_compiled_line_is_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Line]) -> None:
    """Whether its loss is compiled whole or its module alone."""
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    made = load_file(train(kind(), config(tmp_path / "a", compile="on"), CPU) / "model.safetensors")
    plain = load_file(train(kind(), config(tmp_path / "b"), CPU) / "model.safetensors")
    assert all(torch.allclose(made[key], plain[key], atol=1e-6) for key in plain)
