"""The whole model: synthesis, its folder, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fasgen.errors import WeightsError
from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.model import DiffFAS, anchored, scale_of

from .tiny import STYLES, encoder, images, model, unet


def noise_of(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("null", ["learned", "grey"])
def test_synthesises_under_each_samples_own_strength(null: str) -> None:
    whole = model(null=null, patch=2)
    live, style = images(4), images(4, seed=1)
    out = whole.synthesise(live, style, noise_of(4), torch.tensor([0, 100, 400, 400]), torch.tensor([2.0, 1.0, 0.0, 2.0]), 4)
    assert out.shape == live.shape and out.dtype == torch.float32 and bool((out.abs() <= 1).all())
    assert torch.equal(out[0], live[0])
    # Without guidance the style image does not matter; with it, it does.
    other = whole.synthesise(
        live, images(4, seed=2), noise_of(4), torch.tensor([0, 100, 400, 400]), torch.tensor([2.0, 1.0, 0.0, 2.0]), 4
    )
    assert torch.equal(other[2], out[2])
    assert not torch.allclose(other[1], out[1], atol=1e-4) and not torch.allclose(other[3], out[3], atol=1e-4)


@pytest.mark.parametrize("place", [0, 2])
def test_a_sample_does_not_depend_on_its_neighbours(place: int) -> None:
    """The same batch shape, other neighbours: the same bits."""

    def run(seed: int) -> torch.Tensor:
        live, style, noise = images(3, seed=seed), images(3, seed=seed + 1), noise_of(3, seed)
        t, gamma = torch.tensor([50, 900, 300]) + seed, torch.tensor([1.0, 2.0, 0.5]) + seed
        live[place], style[place], noise[place] = images(1, seed=70)[0], images(1, seed=71)[0], noise_of(1, 72)[0]
        t[place], gamma[place] = 250, 2.0
        return whole.synthesise(live, style, noise, t, gamma, 5, passes="both")[place]

    whole = model()
    assert torch.equal(run(0), run(10))


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "ddpm"])
@pytest.mark.parametrize("changes", [{}, {"null": "grey", "anchor": 0.25, "modulated": True, "learned_variance": False}])
def test_a_walk_asks_the_device_nothing(changes: dict[str, Any], sampler: Any) -> None:
    """Tensors of the meta device hold no values, so that any question to them is an error."""
    meta = torch.device("meta")
    whole = model("sample", **changes).to(meta)
    live, style, noise = (images(2).to(meta) for _ in range(3))
    out = whole.synthesise(
        live, style, noise, torch.tensor([300, 0]), torch.tensor([2.0, 1.0]), 4,
        sampler=sampler, guided_calls=2, step_noise=lambda i: noise,
    )  # fmt: skip
    assert out.shape == live.shape and out.device == meta


def test_channels_stay_last_throughout() -> None:
    whole, wrong = model(patch=2, modulated=True).to(memory_format=torch.channels_last), []  # type: ignore[call-overload]

    def look(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        wrong.extend(type(module) for x in (*inputs, out) if not x.is_contiguous(memory_format=torch.channels_last))

    for module in whole.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.GroupNorm):
            module.register_forward_hook(look)
    whole.synthesise(images(2), images(2, seed=1), noise_of(2), torch.tensor([300, 200]), torch.tensor([2.0, 3.0]), 2)
    assert not wrong


def test_levels_of_noise_keep_their_digits_in_any_precision() -> None:
    whole = model().to(torch.bfloat16)
    assert torch.equal(whole.denoiser._abar.view(torch.float32), whole.schedule.abar().float())


def test_ddpm_follows_its_own_noise() -> None:
    whole, live, style = model(), images(1), images(1, seed=1)
    t, gamma = torch.tensor([300]), torch.tensor([2.0])
    one, two, three = (
        whole.synthesise(
            live, style, noise_of(1), t, gamma, 4, sampler="ddpm", step_noise=lambda i, k=k: noise_of(1, 10 * k + i)
        )
        for k in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.allclose(one, three, atol=1e-4)


def test_folder_holds_the_diffusers_layout_and_comes_back_whole(tmp_path: Path) -> None:
    whole = model("v_prediction", learned_variance=False)
    whole.save(tmp_path)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        "model_index.json", "unet/config.json", "unet/model.safetensors", "style_encoder/config.json",
        "style_encoder/model.safetensors", "scheduler/scheduler_config.json",
    }  # fmt: skip
    again = DiffFAS.load(tmp_path)
    assert again.styles == STYLES and again.schedule == whole.schedule and again.size == 32
    arguments = (images(1), images(1, seed=1), noise_of(1), torch.tensor([200]), torch.tensor([1.5]), 3)
    assert torch.equal(again.synthesise(*arguments), whole.synthesise(*arguments))
    assert json.loads((tmp_path / "style_encoder" / "config.json").read_text())["styles"] == list(STYLES)


def test_half_precision_weights_load(tmp_path: Path) -> None:
    from fasgen.training.loop import halve

    whole = model()
    whole.save(tmp_path)
    halve(tmp_path)
    out = DiffFAS.load(tmp_path).synthesise(images(1), images(1), noise_of(1), torch.tensor([200]), torch.tensor([1.5]), 3)
    arguments = (images(1), images(1), noise_of(1), torch.tensor([200]), torch.tensor([1.5]), 3)
    assert torch.allclose(out, whole.synthesise(*arguments), atol=0.05)


def test_classifies_styles() -> None:
    p = model().classify(images(5))
    assert p.shape == (5, 3) and torch.allclose(p.sum(1), torch.ones(5))


def test_the_style_encoder_has_no_graph_and_stays_in_evaluation_mode() -> None:
    whole = model()
    assert not whole.style_encoder.training and not any(p.requires_grad for p in whole.style_encoder.parameters())
    assert not any(k.requires_grad for k in whole.encode_style(images(1)))


@pytest.mark.parametrize("level", [1, 50, 300, 900])
def test_the_anchor_is_where_chance_would_put_the_spoof(level: int) -> None:
    """Spoofs about the live face, noised: what the anchor leaves to say has mean 0, deviation 1 and no trace of z_t."""
    generator = torch.Generator().manual_seed(level)
    abar, live, deviation = Schedule().abar().float()[level].reshape(1, 1, 1, 1), torch.tensor(0.3), 0.25
    z_0 = live + deviation * torch.randn(1, 3, 200, 200, generator=generator)
    z_t = abar.sqrt() * z_0 + (1 - abar).sqrt() * torch.randn(z_0.shape, generator=generator)
    left = (z_0 - anchored(torch.zeros_like(z_0), z_t, live, abar, deviation)) / scale_of(abar, deviation)
    assert float(left.mean()) == pytest.approx(0, abs=0.02) and float(left.std()) == pytest.approx(1, abs=0.02)
    assert float(torch.corrcoef(torch.stack([left.flatten(), z_t.flatten()]))[0, 1]) == pytest.approx(0, abs=0.02)


def test_an_anchored_network_that_says_nothing_sees_the_live_face_in_noise() -> None:
    network = unet(anchor=0.25, learned_variance=False)
    torch.nn.init.zeros_(network.out.weight)
    torch.nn.init.zeros_(network.out.bias)
    whole = DiffFAS(network, encoder(), Schedule(prediction_type="sample"))
    live = images(2)
    out = whole.synthesise(live, images(2), noise_of(2), torch.tensor([1000, 0]), torch.tensor([2.0, 2.0]), 1)
    assert torch.allclose(out, live, atol=0.02)


def test_an_anchored_output_is_a_clean_image() -> None:
    with pytest.raises(WeightsError, match="prediction_type is epsilon; set it to sample"):
        DiffFAS(unet(anchor=0.25), encoder(), Schedule())


def test_parts_of_different_models_are_refused() -> None:
    with pytest.raises(WeightsError, match="not of one model"):
        DiffFAS(unet(), encoder(widths=(8, 16, 16)), Schedule())


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("model_index.json", '{"_class_name": "StableDiffusionPipeline"}', "of a StableDiffusionPipeline, not of DiffFAS"),
        ("model_index.json", "[]", "not an object"),
        ("scheduler/scheduler_config.json", '{"beta_schedule": "cosine"}', "not a noise schedule"),
        ("scheduler/scheduler_config.json", '{"prediction_type": "flow"}', "prediction_type 'flow' is not one of"),
        ("style_encoder/config.json", '{"_class_name": "UNet"}', "holds a UNet, not a StyleEncoder"),
        ("style_encoder/config.json", "{}", "not the configuration of a StyleEncoder"),
        ("unet/model.safetensors", "no tensors", "not readable as safetensors"),
    ],
)
def test_a_damaged_folder_is_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    model().save(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(WeightsError, match=message) as error:
        DiffFAS.load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        DiffFAS.load(tmp_path / "nothing")
