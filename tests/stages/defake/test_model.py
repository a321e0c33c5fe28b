"""The generator loads what users have, refuses what is unsafe, and does what AG-FAS's inference says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fasgen.errors import WeightsError
from fasgen.stages.defake.model import DFG
from fasgen.stages.denoising.grids import exact_grid
from fasgen.stages.denoising.samplers import Sampler
from fasgen.stages.denoising.schedule import noised, target
from tests.stages.defake.tiny import tiny_unet, write_patch, write_stable


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("patch"))


def test_layout_is_that_of_diffusers(stable: Path) -> None:
    index = json.loads((stable / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNet2DConditionModel"]
    assert all(list((stable / part).glob("*.safetensors")) for part in ("unet", "vae"))


@pytest.mark.parametrize("kind", ["stable", "patch"])
def test_saved_and_loaded_is_the_same(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(kind)
    first = DFG.load(folder)
    first.save(tmp_path)
    again = DFG.load(tmp_path)
    x, m = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randn(2, 512, 7, 7)
    eps = torch.randn(2, 4, 4, 4)
    with torch.no_grad():
        a, b = (model.reconstruct(x, m, eps, exact_grid(800, 8)) for model in (first, again))
    assert torch.equal(a, b) and a.shape == x.shape and a.abs().max() <= 1
    assert str(folder) not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_oracle_gives_back_the_autoencoders_own_image(patch: Path) -> None:
    dfg = DFG.load(patch)
    x, eps = torch.rand(1, 3, 32, 32) * 2 - 1, torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        z_0 = dfg.latents.encode(x)

        def oracle(z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
            return target(z_0, eps, dfg.abar[int(t[0])].float(), dfg.prediction)

        dfg.predict = oracle  # type: ignore[method-assign]
        out = dfg.reconstruct(x, torch.zeros(1, 512, 7, 7), eps, dfg.paper_grid(800, 50))
        assert torch.allclose(out, dfg.latents.decode(z_0), atol=1e-3)


def test_strength_zero_is_the_autoencoder_alone(stable: Path) -> None:
    dfg = DFG.load(stable)
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        out = dfg.reconstruct(x, torch.zeros(1, 512, 7, 7), torch.randn(1, 4, 4, 4), [])
        assert torch.equal(out, dfg.latents.decode(dfg.latents.encode(x)))


def test_stable_diffusion_scaling_and_posterior_mean(stable: Path) -> None:
    dfg = DFG.load(stable)
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        z = dfg.latents.encode(x)
        want = dfg.latents.vae.encode(x).latent_dist.mean * 0.18215
    assert torch.allclose(z, want, atol=1e-6)


@pytest.mark.parametrize("side", [28, 7, 5])
def test_odd_latent_sizes_work(side: int, tmp_path: Path) -> None:
    dfg = DFG.load(write_stable(tmp_path, side, levels=4))
    x = torch.rand(1, 3, 8 * side, 8 * side)
    with torch.no_grad():
        out = dfg.reconstruct(x, torch.randn(1, 512, 7, 7), torch.randn(1, 4, side, side), exact_grid(800, 4))
    assert out.shape == x.shape


def test_noise_level_of_the_start(patch: Path) -> None:
    dfg = DFG.load(patch)
    seen: list[tuple[int, Tensor]] = []

    def spy(z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        seen.append((int(t[0]), z_t.clone()))
        return torch.zeros_like(z_t)

    dfg.predict = spy  # type: ignore[method-assign]
    x, eps = torch.rand(1, 3, 32, 32), torch.randn(1, 4, 4, 4)
    with torch.no_grad():
        dfg.reconstruct(x, torch.zeros(1, 512, 7, 7), eps, dfg.paper_grid(800, 50))
        assert [t for t, _ in seen] == list(range(801, 0, -20))
        assert torch.allclose(seen[0][1], noised(dfg.latents.encode(x), eps, dfg.abar[801].float()))


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_draws_share_a_batch_and_do_not_meet(patch: Path, sampler: Sampler) -> None:
    dfg = DFG.load(patch)
    x, m, eps = torch.rand(2, 3, 32, 32), torch.randn(2, 512, 7, 7), torch.randn(6, 4, 4, 4)
    with torch.no_grad():
        together = dfg.reconstruct(x, m, eps, exact_grid(800, 5), sampler)
        assert together.shape == (6, 3, 32, 32)
        for face in range(2):
            for draw in range(3):
                at = 3 * face + draw
                alone = dfg.reconstruct(x[face : face + 1], m[face : face + 1], eps[at : at + 1], exact_grid(800, 5), sampler)
                assert torch.allclose(alone[0], together[at], atol=1e-5)


def test_pickles_are_refused_by_name(stable: Path, tmp_path: Path) -> None:
    unet = tmp_path / "unet"
    tiny_unet(4, 4, 768).save_pretrained(unet, safe_serialization=False)
    with pytest.raises(WeightsError, match="pickle, which is never loaded"):
        DFG.load(stable, unet)


def test_half_precision_alone_is_found(stable: Path, tmp_path: Path) -> None:
    """As public folders have it: diffusion_pytorch_model.fp16.safetensors."""
    DFG.load(stable).unet.half().save_pretrained(tmp_path / "unet", variant="fp16", safe_serialization=True)
    assert [path.name for path in (tmp_path / "unet").glob("*.safetensors")] == ["diffusion_pytorch_model.fp16.safetensors"]
    wanted = DFG.load(stable).unet.conv_in.weight
    assert torch.equal(DFG.load(stable, tmp_path / "unet").unet.conv_in.weight, wanted.half().float())


def test_foreign_unet_beside_the_folder(stable: Path, tmp_path: Path) -> None:
    tiny_unet(4, 4, 768).save_pretrained(tmp_path / "unet_ema", safe_serialization=True)
    assert DFG.load(stable, tmp_path / "unet_ema").unet.config.cross_attention_dim == 768


@pytest.mark.parametrize(
    ("channels", "width", "message"),
    [(6, 768, "takes 6 channels, but the autoencoder gives 4"), (4, 64, "fewer than the identity map's 512")],
)
def test_parts_that_do_not_fit_are_named(stable: Path, tmp_path: Path, channels: int, width: int, message: str) -> None:
    tiny_unet(channels, 4, width).save_pretrained(tmp_path / "unet", safe_serialization=True)
    with pytest.raises(WeightsError, match=message):
        DFG.load(stable, tmp_path / "unet")


def test_missing_and_broken_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vae.config\.json: not readable"):
        DFG.load(tmp_path)
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text('{"_class_name": "VQGAN"}')
    with pytest.raises(WeightsError, match="'VQGAN' is not one of AutoencoderKL"):
        DFG.load(tmp_path)
