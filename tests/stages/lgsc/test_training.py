"""The generator trained for a few steps: it learns, stops and goes on, and ends in what the stage loads."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fasgen.errors import ConfigError, SourceError, WeightsError
from fasgen.stages.gallery import train_simulation
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.network import GeneratorConfig
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.lgsc.train import LgscTask, area
from fasgen.stages.lgsc.training_config import LgscTraining
from fasgen.stages.network_folder import save_network
from fasgen.training.config import trainings
from fasgen.training.launch import build_task
from fasgen.training.loop import train

from ..gallery.toy import crop_store, faces_folder, toy_physical
from .tiny import SHAPE, generator

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_folder(tmp_path_factory.mktemp("faces"))


def settings(live: Path | None, out: Path, **changes: Any) -> LgscTraining:
    values: dict[str, Any] = {
        "out": out, "steps": 4, "batch": 8, "lr": 3e-3, "ema": 0.5, "log_every": 1, "sheet_every": 100, "warmup": 0,
        "schedule": "constant", "faces": {"path": live, "size": 32, "holdout": ["eve"] if live else []},
        "simulation": {"renders": 2, "looks": 0, "workers": 1}, "rescale": 0.3, "norm": "batch",
        "classifier_stem": 16, "classifier_widths": (16, 16, 16, 16), **SHAPE,
    }  # fmt: skip
    return LgscTraining.model_validate(values | changes)


def test_half_of_every_batch_is_live(faces: Path, tmp_path: Path) -> None:
    task = LgscTask(settings(faces, tmp_path, rescale=0.0, photometric=0.0), CPU)
    known = {
        is_live: {
            task.train.take(torch.tensor([i]))[0].numpy().tobytes() for i, one in enumerate(task.train.live) if one == is_live
        }
        for is_live in (True, False)
    }
    for batch in islice(task.batches(0, 0, 1), 3):
        for x, is_live in zip(batch, [True] * 4 + [False] * 4, strict=True):
            levels = ((x + 1) * 127.5).round().byte()
            assert {levels.numpy().tobytes(), levels.flip(-1).contiguous().numpy().tobytes()} & known[is_live]
    cut = next(LgscTask(settings(faces, tmp_path, faces={"path": faces, "size": 64}, patch=40), CPU).batches(0, 0, 1))
    assert cut.shape == (8, 3, 40, 40)


def test_it_learns_to_draw_on_spoofs_alone(faces: Path, tmp_path: Path) -> None:
    config = settings(faces, tmp_path, steps=60, stored="fp16", photometric=0.0, rescale=0.0, simulation={
        "renders": 2, "looks": 0, "workers": 1, "styles": ["striped"],
    })  # fmt: skip
    torch.manual_seed(0)
    folder = train(LgscTask(config, CPU), config, CPU)
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    losses = [point["loss"] for point in points if "loss" in point]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert {"regression", "triplet", "classification", "spoof"} <= points[0].keys()
    first, held = (point for point in points if "held_out_auc" in point)
    assert first["step"] == 10, "a first look in the first minute"
    assert held["held_out_auc"] > 0.9 and held["held_out_spoof_score"] > held["held_out_live_score"]
    # A sheet: live, cue, spoof, cue, each 32 px, and a border of 2 px.
    sheet = cv2.imread(str(tmp_path / "sheets" / f"{config.steps:07d}.png"))
    assert sheet is not None and sheet.shape[0] % 36 == 0 and sheet.shape[1] % (4 * 32 + 4) == 0
    made = Lgsc(LgscConfig(enabled=True, weights=str(folder), batch=1), CPU)
    assert made.network.config == GeneratorConfig(**(SHAPE | {"norm": "batch"}))
    assert not any(key.startswith("classifier") for key in load_file(folder / "model.safetensors"))


def test_a_run_that_was_stopped_ends_as_one_that_was_not(faces: Path, tmp_path: Path) -> None:
    whole, parts = settings(faces, tmp_path / "whole"), settings(faces, tmp_path / "parts", steps=2)
    for config in (whole, parts, parts.model_copy(update={"steps": 4})):
        torch.manual_seed(config.seed)
        train(LgscTask(config, CPU), config, CPU)
    ends = [load_file(tmp_path / name / "final" / "model.safetensors") for name in ("whole", "parts")]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    curves = [(tmp_path / name / "curve.jsonl").read_text().splitlines() for name in ("whole", "parts")]
    steps = [[(p["step"], p["loss"]) for p in map(json.loads, curve) if "loss" in p] for curve in curves]
    assert steps[0] == steps[1] and len(steps[0]) == 4


def test_real_pairs_of_a_store_are_learned_from_too(faces: Path, tmp_path: Path) -> None:
    store = crop_store(tmp_path / "store", 32)
    task = LgscTask(settings(faces, tmp_path / "out", pairs={"path": store, "holdout": ["d/eve"]}), CPU)
    alone = LgscTask(settings(None, tmp_path / "alone", pairs={"path": store}), CPU)
    assert len(task.by_style) == 4 and len(alone.by_style) == 2  # striped, dark; print by phone and by tablet
    assert next(alone.batches(0, 0, 1)).shape == (8, 3, 32, 32)


def test_weights_to_start_from_fill_both_encoders(faces: Path, tmp_path: Path) -> None:
    tensors = {k: v.clone() for k, v in generator(5).encoder.state_dict().items()}
    save_file(tensors | {"fc.weight": torch.zeros(10, 16)}, tmp_path / "imagenet.safetensors")
    shape = {"blocks": (2, 2, 2, 2)}
    wrong = settings(faces, tmp_path, init=tmp_path / "imagenet.safetensors", **shape)
    with pytest.raises(WeightsError, match=r"imagenet\.safetensors: is not the ResNet"):
        LgscTask(wrong, CPU)
    tensors = {k: v.clone() for k, v in generator(5, **shape).encoder.state_dict().items()}
    save_file(tensors, tmp_path / "imagenet.safetensors")
    both: Any = LgscTask(wrong, CPU).module
    for network in (both.generator.encoder, both.classifier.trunk):
        assert all(torch.equal(value, tensors[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch": 7}, ConfigError, "half of a batch"),
        ({"kernel": 4}, ConfigError, "do not fit each other"),
        ({"simulation": {"renders": 0}}, SourceError, "0 spoofs"),
        ({"init": Path("nowhere.safetensors")}, WeightsError, "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    faces: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        LgscTask(settings(faces, tmp_path, **changes), CPU)


def test_odd_shares_of_ranks_are_refused(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="share is odd"):
        next(LgscTask(settings(faces, tmp_path, batch=6), CPU).batches(0, 0, 2))


def test_the_command_knows_it(faces: Path, tmp_path: Path) -> None:
    assert isinstance(build_task(trainings()["lgsc"], settings(faces, tmp_path), CPU), LgscTask)
    paper = LgscTraining()
    assert (paper.batch, paper.lr, paper.regression, paper.triplet, paper.classification, paper.margin) == (
        32,
        1e-3,
        5,
        1,
        5,
        0.5,
    )


def test_area_under_the_curve() -> None:
    assert area(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0 and area(np.array([1.0]), np.array([2.0])) == 0.0
    assert area(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.5 and area(np.array([2.0, 2.0]), np.array([1.0, 2.0])) == 0.75


def test_a_generator_goes_on_from_another_with_other_padding(faces: Path, tmp_path: Path) -> None:
    before = generator(norm="batch")
    save_network(before, before.config, tmp_path / "before")
    config = settings(faces, tmp_path / "out", init=tmp_path / "before", padding="replicate")
    task = LgscTask(config, CPU)
    made = task.module.generator
    assert made.config == GeneratorConfig(**(SHAPE | {"norm": "batch", "padding": "replicate"}))
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in made.state_dict().items())
    task.blend = None
    task.export(task.module, tmp_path / "alone")
    blended = LgscTask(config.model_copy(update={"blend": tmp_path / "before"}), CPU)
    with torch.no_grad():
        blended.module.generator.encoder.conv1.weight.add_(1)
    blended.export(blended.module, tmp_path / "blended")
    alone, mean = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "blended"))
    assert torch.allclose(mean["encoder.conv1.weight"], alone["encoder.conv1.weight"] + 0.5)
    assert all(torch.equal(mean[key], alone[key]) for key in alone if key != "encoder.conv1.weight")
    with pytest.raises(WeightsError, match="is a generator of another shape"):
        LgscTask(settings(faces, tmp_path / "out", init=tmp_path / "before", norm="instance"), CPU)
