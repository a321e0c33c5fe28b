"""What a training starts from: a U-Net, or a folder as users have it; and that what comes of it says its own size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from fasgen.errors import ConfigError, WeightsError
from fasgen.seeds import sample_seed
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.model import DFG
from fasgen.stages.defake.stage import build
from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens
from fasgen.stages.defake.train_dfg import DFGTask
from fasgen.stages.defake.train_start import start
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.identify.iresnet import IResNet, IResNetConfig
from fasgen.stages.identify.train import ArcFaceNetwork, IdentityTask
from fasgen.stages.stage import Product, Sample
from fasgen.training.loop import train
from tests.stages.defake.tiny import write_patch, write_stable

CPU = torch.device("cpu")
SIDE = 40
"""Of the faces: latents of 5, which halve to 3, 2 and 1, as 28 halves to 14, 7 and 4."""


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.x's shape, four levels, from latents of 64 by its own account."""
    return write_stable(tmp_path_factory.mktemp("stable"), size=64, levels=4)


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an earlier training wrote: a patch autoencoder and a projection, predicting velocity."""
    return write_patch(tmp_path_factory.mktemp("patch"), size=64)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    for i in range(5):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    torch.manual_seed(0)
    network = ArcFaceNetwork(IResNet(IResNetConfig((1, 1, 1, 1), (4, 4, 4, 4), head="gdc")), 2)
    IdentityTask.export(object.__new__(IdentityTask), network, folder)
    return folder


def settings(**changes: Any) -> DFGTraining:
    return DFGTraining.model_validate({"faces": {"size": SIDE}} | changes)


def sample(index: int) -> Sample:
    random = np.random.default_rng(index)
    return Sample(
        f"{index:016x}",
        sample_seed(0, "defake", f"{index:016x}"),
        index,
        images={"crop": random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)},
        arrays={"identity_map": random.standard_normal((512, 7, 7)).astype(np.float16)},
        values={"landmarks": [float(i) for i in range(10)], "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
    )


@pytest.mark.parametrize("given", ["unet", "whole"])
def test_a_stable_diffusion_is_trained_further_and_the_stage_takes_what_came_of_it(
    stable: Path, faces: Path, identity: Path, tmp_path: Path, given: str
) -> None:
    """At the size that it was trained at, without being allowed any other."""
    parts = {"init": stable} if given == "whole" else {"init": stable / "unet", "autoencoder": str(stable / "vae")}
    config = DFGTraining.model_validate(
        {
            "out": tmp_path, "steps": 2, "batch": 2, "identity": str(identity), "sheet_every": 2, "cache": given == "whole",
            "faces": {"path": faces, "size": SIDE, "holdout_share": 0.3}, **parts,
        }
    )  # fmt: skip
    folder = train(DFGTask(config, CPU), config, CPU)
    assert json.loads((stable / "unet" / "config.json").read_text())["sample_size"] == 64
    assert json.loads((folder / "unet" / "config.json").read_text())["sample_size"] == SIDE // 8
    assert DFG.load(folder).prediction == "epsilon"
    stage = build(DefakeConfig(weights=str(folder), batch=2), CPU)
    products = stage([sample(0), sample(1)])
    for one in products:
        assert isinstance(one, Product) and one.arrays["residual"].shape == (SIDE, SIDE, 3)
    before, after = (DFG.load(where).unet.state_dict() for where in (stable, folder))
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
    assert all(torch.allclose(value, after[name], atol=1e-3) for name, value in before.items()), "it went on from there"


def test_a_whole_folder_brings_what_belongs_together(stable: Path, patch: Path) -> None:
    found = start(settings(init=patch, projection="learned", prediction="v_prediction"))
    assert type(found.latents.vae).__name__ == "PatchAutoencoder" and found.unet.config.sample_size == SIDE // 8
    assert isinstance(found.tokens, LearnedTokens)
    known = DFG.load(patch)
    assert all(torch.equal(value, found.tokens.state_dict()[name]) for name, value in known.tokens.state_dict().items())
    assert all(p.requires_grad for part in (found.unet, found.tokens) for p in part.parameters())
    assert not any(p.requires_grad for p in found.latents.parameters())
    found = start(settings(init=stable))
    assert type(found.latents.vae).__name__ == "AutoencoderKL" and isinstance(found.tokens, PaddedTokens)
    named = start(settings(init=stable, autoencoder=str(patch)))
    assert type(named.latents.vae).__name__ == "PatchAutoencoder", "the one that is named, in a whole folder too"


def test_from_scratch_the_embedded_autoencoder_is_taken() -> None:
    shape = {"channels": (16, 16), "attention": (False, True), "layers": 1, "heads": 2, "condition": 32}
    found = start(settings(projection="learned", **shape))
    assert found.unet.config.sample_size == SIDE // 8
    assert found.unet.config.in_channels == found.latents.vae.config["latent_channels"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faces": {"size": 100}}, "faces.size=100: .* must be a multiple of 8; take 96"),
        ({"prediction": "v_prediction"}, "predicts epsilon, but prediction=v_prediction is trained; set prediction=epsilon"),
        ({"init": None, "condition": 32}, "projection=pad: tokens have 512 channels, more than the 32"),
    ],
)
def test_settings_that_do_not_fit_are_refused(stable: Path, changes: dict[str, Any], message: str) -> None:
    shape = {"channels": (16, 16), "attention": (False, True), "layers": 1, "heads": 2}
    with pytest.raises(ConfigError, match=message):
        start(settings(**({"init": stable} | shape | changes)))


def test_tokens_that_were_projected_are_not_padded(patch: Path) -> None:
    with pytest.raises(ConfigError, match="its tokens are projected, but projection=pad is trained; set projection=learned"):
        start(settings(init=patch, prediction="v_prediction"))


def test_parts_of_other_models_are_refused_with_the_remedy(stable: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"takes 4 channels and gives 4, but the autoencoder gives \d+; name the one"):
        start(settings(init=stable / "unet"))
    with pytest.raises(WeightsError, match="not readable as a module's configuration"):
        start(settings(init=tmp_path, autoencoder=str(stable / "vae")))
    shutil.copytree(stable / "scheduler", tmp_path / "scheduler")
    with pytest.raises(WeightsError, match="not one of AutoencoderKL"):
        start(settings(init=stable, autoencoder=str(stable / "unet")))
