"""Autoencoder and generator, trained for a few steps on generated faces, end in what the stage loads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fasgen.stages.defake.model import DFG
from fasgen.stages.defake.train_autoencoder import AutoencoderTask, edges, psnr
from fasgen.stages.defake.train_dfg import DFGTask, truncated_weight
from fasgen.stages.defake.train_start import build_unet
from fasgen.stages.defake.training_config import AutoencoderTraining, DFGTraining
from fasgen.stages.denoising.schedule import abar_schedule
from fasgen.stages.identify.iresnet import IResNet, IResNetConfig
from fasgen.stages.identify.train import ArcFaceNetwork, IdentityTask
from fasgen.training.config import trainings
from fasgen.training.launch import launch
from fasgen.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    for i in range(10):
        image = cv2.resize(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    return folder


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    torch.manual_seed(0)
    network = ArcFaceNetwork(IResNet(IResNetConfig((1, 1, 1, 1), (4, 4, 4, 4), head="gdc")), 2)
    IdentityTask.export(object.__new__(IdentityTask), network, folder)
    return folder


@pytest.fixture(scope="module")
def autoencoder(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = AutoencoderTraining.model_validate(
        {
            "out": tmp_path_factory.mktemp("ae"),
            "steps": 80,
            "batch": 4,
            "widths": (16, 16),
            "blocks": 1,
            "latent_channels": 4,
            "ema": 0.5,
            "lr": 5e-3,
            "log_every": 10,
            "sheet_every": 80,
            "faces": {"path": faces, "size": 32, "holdout_share": 0.3},
        }
    )
    return train(AutoencoderTask(settings, CPU), settings, CPU)


def dfg_settings(faces: Path, autoencoder: Path, identity: Path, out: Path, **changes: object) -> DFGTraining:
    values = {
        "out": out,
        "steps": 4,
        "batch": 4,
        "autoencoder": str(autoencoder),
        "identity": str(identity),
        "channels": (16, 16),
        "attention": (False, True),
        "layers": 1,
        "heads": 2,
        "condition": 32,
        "projection": "learned",
        "prediction": "v_prediction",
        "min_snr": 5.0,
        "log_every": 2,
        "sheet_every": 4,
        "faces": {"path": faces, "size": 32, "holdout_share": 0.3},
    }
    return DFGTraining.model_validate(values | changes)


def test_autoencoder_learns_and_stores_its_statistics(autoencoder: Path) -> None:
    curve = (autoencoder.parent / "curve.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in curve if '"loss"' in line]
    assert losses[-1] < 0.8 * losses[0]
    assert '"latents_std"' in (autoencoder / "config.json").read_text()
    assert list((autoencoder.parent / "sheets").glob("*.png"))


@pytest.mark.parametrize("cache", [False, True])
def test_generator_trains_and_loads(faces: Path, autoencoder: Path, identity: Path, tmp_path: Path, cache: bool) -> None:
    settings = dfg_settings(faces, autoencoder, identity, tmp_path, cache=cache, stored="fp16")
    dfg = DFG.load(train(DFGTask(settings, CPU), settings, CPU))
    assert dfg.prediction == "v_prediction"
    with torch.no_grad():
        z = dfg.latents.encode(torch.rand(6, 3, 32, 32) * 2 - 1)
        out = dfg.reconstruct(torch.rand(1, 3, 32, 32), torch.randn(1, 512, 7, 7), torch.randn(1, 4, 4, 4), [800, 400])
    assert z.shape == (6, 4, 4, 4) and out.shape == (1, 3, 32, 32)


def test_two_ranks_share_one_schedule_and_export_once(faces: Path, autoencoder: Path, identity: Path, tmp_path: Path) -> None:
    spec = trainings()["dfg"]
    settings = dfg_settings(faces, autoencoder, identity, tmp_path / "two", cache=True, threads=1)
    two = launch(spec, settings, gpus=0, ranks=2)
    assert DFG.load(two).unet.config.in_channels == 4
    losses = (tmp_path / "two" / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in losses if '"loss"' in line] == [1, 2, 4]


def test_the_papers_network_is_stable_diffusions() -> None:
    with torch.device("meta"):
        unet = build_unet(DFGTraining(), 4, 28)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964


def test_defaults_are_the_papers_settings() -> None:
    settings = DFGTraining()
    assert (settings.lr, settings.weight_decay, settings.betas, settings.batch, settings.steps) == (
        1e-5,
        0.01,
        (0.9, 0.999),
        32,
        150_000,
    )
    assert (settings.ema, settings.prediction, settings.projection, settings.min_snr, settings.faces.size) == (
        0.9999,
        "epsilon",
        "pad",
        0,
        224,
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_weight_makes_the_error_of_z_0_weigh_the_capped_ratio(prediction: str) -> None:
    abar = abar_schedule(1000, 0.00085, 0.012, "scaled_linear")[[1, 300, 800]]
    snr = abar / (1 - abar)
    of_z_0 = {"epsilon": snr, "v_prediction": 1 / (1 - abar), "sample": torch.ones_like(snr)}[prediction]
    assert torch.allclose(truncated_weight(abar, 5.0, prediction) * of_z_0, (snr + 1).clamp(max=5.0))


def test_known_psnr_and_edges() -> None:
    x = torch.zeros(1, 3, 4, 4)
    assert float(psnr(x, x + 0.2)) == pytest.approx(20.0, abs=1e-4)
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert edges(ramp)[0].unique().tolist() == [1] and not edges(ramp)[1].any()
