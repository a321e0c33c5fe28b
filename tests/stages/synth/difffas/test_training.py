"""Style encoder and DiffFAS trained for a few steps: they learn, stop and go on, and end in what a stage loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fasgen.errors import SourceError, WeightsError
from fasgen.stages.gallery import train_simulation
from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from fasgen.stages.synth.difffas.train_difffas import Batch, DiffFASTask
from fasgen.stages.synth.difffas.train_style import StyleTask, shifted
from fasgen.stages.synth.difffas.training_config import DiffFASTraining, StyleTraining
from fasgen.stages.synth.difffas.unet import UNet, UNetConfig
from fasgen.training.config import trainings
from fasgen.training.loop import train
from tests.stages.gallery.toy import crop_store, faces_folder, toy_physical

from .tiny import ENCODER, STYLES, UNET, encoder, images

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def style_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("style")
    encoder().save(folder)
    return folder


def style_settings(faces: Path, out: Path, **changes: Any) -> StyleTraining:
    values: dict[str, Any] = {
        "out": out, "steps": 40, "batch": 12, "lr": 5e-3, "ema": 0.5, "shift": 2, "log_every": 10, "sheet_every": 40,
        "faces": {"path": faces, "size": 32, "holdout": ["eve"]}, "simulation": {"renders": 2, "looks": 2, "workers": 1},
        **ENCODER,
    }  # fmt: skip
    return StyleTraining.model_validate(values | changes)


def settings(faces: Path, style: Path, out: Path, **changes: Any) -> DiffFASTraining:
    values: dict[str, Any] = {
        "out": out, "steps": 4, "batch": 4, "warmup": 0, "lr": 1e-3, "log_every": 1, "sheet_every": 100, "shown_steps": 2,
        "style_encoder": style, "identity": "none", "checkpoint_every": 100,
        "faces": {"path": faces, "size": 32, "holdout": ["eve"]}, "simulation": {"renders": 2, "looks": 2, "workers": 1},
        **{k: v for k, v in UNET.items() if k not in ("size", "style_channels")},
    }  # fmt: skip
    return DiffFASTraining.model_validate(values | changes)


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "curve.jsonl").read_text().splitlines() if '"loss"' in line]


def held_out(out: Path) -> dict[str, float]:
    points = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    return {k: v for point in points for k, v in point.items() if k.startswith("held_out")}


def test_the_style_encoder_learns_styles_of_people_it_never_saw(faces: Path, tmp_path: Path) -> None:
    config = style_settings(faces, tmp_path, steps=120, stored="fp16")
    network = StyleEncoder.load(train(StyleTask(config, CPU), config, CPU))
    assert network.config.styles == STYLES
    figures = held_out(tmp_path)
    assert figures["held_out_accuracy"] > 0.6 and figures["held_out_live_or_spoof"] > 0.6
    assert losses(tmp_path)[-1] < 0.7 * losses(tmp_path)[0]


def test_one_style_is_nothing_to_learn(faces: Path, tmp_path: Path) -> None:
    config = style_settings(faces, tmp_path, simulation={"renders": 0})
    with pytest.raises(SourceError, match="only the style live"):
        StyleTask(config, CPU)


def test_a_shift_moves_whole_pixels() -> None:
    x = images(6)
    y = shifted(x, 3, torch.Generator().manual_seed(0))
    for before, after in zip(x, y, strict=True):
        inner = after[:, 3:-3, 3:-3]
        assert any(
            torch.equal(inner, before[:, 3 + dy : 29 + dy, 3 + dx : 29 + dx]) for dy in range(-3, 4) for dx in range(-3, 4)
        )
    assert not torch.equal(x, y) and torch.equal(shifted(x, 0, torch.Generator()), x)


@pytest.mark.parametrize(
    "changes",
    [
        {"null": "grey"},
        {"prediction": "v_prediction", "learned_variance": False, "min_snr": 5.0, "patch": 2, "stored": "fp16"},
        {"prediction": "sample", "t_max": 400},
        {"prediction": "sample", "anchor": 0.25},
    ],
)
def test_difffas_trains_and_loads(faces: Path, style_folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = settings(faces, style_folder, tmp_path, **changes)
    whole = DiffFAS.load(train(DiffFASTask(config, CPU), config, CPU))
    assert whole.schedule == Schedule(prediction_type=config.prediction) and whole.styles == STYLES
    out = whole.synthesise(images(1), images(1), torch.randn(1, 3, 32, 32), torch.tensor([200]), torch.tensor([2.0]), 2)
    assert out.shape == (1, 3, 32, 32)
    assert list((tmp_path / "sheets").glob("*.png"))
    assert {"held_out_psnr", "held_out_psnr_live", "held_out_style", "held_out_style_target"} <= held_out(tmp_path).keys()


def test_the_finished_network_is_the_mean_with_that_of_blend(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    def trained(name: str, **changes: Any) -> Path:
        config = settings(faces, style_folder, tmp_path / name, steps=2, **changes)
        torch.manual_seed(0)
        return train(DiffFASTask(config, CPU), config, CPU) / "unet"

    first = trained("first")
    alone, blended = trained("alone", init=first), trained("blended", init=first, blend=first)
    weights = [load_file(folder / "model.safetensors") for folder in (first, alone, blended)]
    moved = 0
    for name, start in weights[0].items():
        end, mean = weights[1][name], weights[2][name]
        if start.is_floating_point():
            torch.testing.assert_close(mean, (start + end) / 2)
            moved += not torch.equal(start, end)
        else:
            assert torch.equal(mean, end)
    assert moved
    (tmp_path / "wider").mkdir()
    UNet(UNetConfig(**{**UNET, "base": 16})).save(tmp_path / "wider")
    with pytest.raises(WeightsError, match=r"blend: .*another shape"):
        DiffFASTask(settings(faces, style_folder, tmp_path / "x", blend=tmp_path / "wider"), CPU)


def test_difffas_learns(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    config = settings(
        faces, style_folder, tmp_path, steps=60, batch=8, lr=4e-3, log_every=20, prediction="v_prediction", ema=0.5,
        learned_variance=False,
    )  # fmt: skip
    train(DiffFASTask(config, CPU), config, CPU)
    assert losses(tmp_path)[-1] < 0.8 * losses(tmp_path)[0]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    whole = settings(faces, style_folder, tmp_path / "whole", steps=4)
    torch.manual_seed(0)
    train(DiffFASTask(whole, CPU), whole, CPU)
    for steps in (2, 4):
        torch.manual_seed(0)
        part = settings(faces, style_folder, tmp_path / "parts", steps=steps)
        train(DiffFASTask(part, CPU), part, CPU)
    one, two = (load_file(tmp_path / run / "final" / "unet" / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def batches(task: DiffFASTask, count: int) -> Iterator[Batch]:
    return islice(task.batches(0, 0, 1), count)


def test_only_the_style_is_dropped(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    """With the style dropped for nearly all, every live face is still there: it is the target's own, mirrored with it."""
    config = settings(
        faces, style_folder, tmp_path, style_drop=0.999, simulation={"renders": 1, "looks": 2, "styles": ["dark"]}
    )
    task = DiffFASTask(config, CPU)
    seen = torch.cat([b.null for b in batches(task, 10)])
    assert bool(seen.all())
    for batch in batches(task, 10):
        live, spoof = (batch.live + 1).flatten(1), (batch.target + 1).flatten(1)
        assert bool((torch.nn.functional.cosine_similarity(live, spoof) > 0.999).all())
    kept = torch.cat([b.null for b in batches(DiffFASTask(settings(faces, style_folder, tmp_path), CPU), 100)])
    assert 0.12 < float(kept.float().mean()) < 0.28


def test_levels_cover_the_range_that_is_trained(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    task = DiffFASTask(settings(faces, style_folder, tmp_path, t_max=400), CPU)
    t = torch.cat([b.t for b in batches(task, 50)])
    assert 1 <= int(t.min()) < 20 and 380 < int(t.max()) <= 400


def test_ranks_share_the_batch_of_one(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    task = DiffFASTask(settings(faces, style_folder, tmp_path), CPU)
    halves = [next(task.batches(3, rank, 2)) for rank in (0, 1)]
    assert all(len(half.live) == 2 for half in halves) and not torch.equal(halves[0].eps, halves[1].eps)
    assert torch.equal(next(task.batches(3, 1, 2)).eps, halves[1].eps)


def test_real_pairs_alone_suffice(style_folder: Path, tmp_path: Path) -> None:
    store = crop_store(tmp_path / "store", 32)
    real = {"faces": {"size": 32}, "pairs": {"path": store, "holdout": ["d/eve"]}}
    config = settings(tmp_path, style_folder, tmp_path / "out", steps=1).model_copy(
        update={k: getattr(DiffFASTraining.model_validate(real), k) for k in real}
    )
    assert DiffFAS.load(train(DiffFASTask(config, CPU), config, CPU)).size == 32


def test_what_is_missing_is_named(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="fasgen train style"):
        DiffFASTask(settings(faces, style_folder, tmp_path, style_encoder=None), CPU)
    with pytest.raises(WeightsError, match="do not fit"):
        DiffFASTask(settings(faces, style_folder, tmp_path, fusion=(2,)), CPU)
    with pytest.raises(SourceError, match="no pair to learn from"):
        DiffFASTask(settings(faces, style_folder, tmp_path, simulation={"renders": 0}), CPU)


def test_trainings_are_known() -> None:
    assert {"style", "difffas"} <= trainings().keys()


def test_the_papers_network_takes_a_training_step_and_a_sampling_step(tmp_path: Path, faces: Path) -> None:
    """At a quarter of its side: the same levels, widths, modules and losses on a sixteenth of the pixels."""
    torch.manual_seed(0)
    style = StyleEncoder(StyleEncoderConfig(STYLES))
    style.save(tmp_path / "style")
    config = DiffFASTraining.model_validate(
        {
            "out": tmp_path, "batch": 1, "style_encoder": tmp_path / "style", "identity": "none",
            "faces": {"path": faces, "size": 64}, "simulation": {"renders": 1, "looks": 1, "workers": 1},
        }
    )  # fmt: skip
    task = DiffFASTask(config, CPU)
    network = task.model.unet
    assert isinstance(network, UNet) and network.config.multipliers == (1, 1, 2, 2, 4, 4)
    loss, parts = task.loss(task.module, next(task.batches(0, 0, 1)), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert bool(torch.isfinite(loss)) and {"plain", "bound"} == parts.keys()
    assert network.out.weight.grad is not None and bool(network.out.weight.grad.any())
    task.module.eval()
    out = task.model.synthesise(
        images(1, 64), images(1, 64), torch.randn(1, 3, 64, 64), torch.tensor([250]), torch.tensor([2.0]), 1
    )
    assert out.shape == (1, 3, 64, 64) and bool(torch.isfinite(out).all())


def test_strangers_are_learnt_from_beside_pairs(faces: Path, style_folder: Path, tmp_path: Path) -> None:
    config = settings(
        faces,
        style_folder,
        tmp_path,
        steps=6,
        batch=6,
        prediction="sample",
        transfer={"share": 0.5, "gamma": (1, 3)},
        identity="embedded",
    )
    train(DiffFASTask(config, CPU), config, CPU)
    points = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert all({"style", "statistics", "identity"} <= set(point) for point in points if "loss" in point)
