"""The stage of synthesis: strengths from the seed alone, neighbours without effect, and a reason for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fasgen.errors import ConfigError
from fasgen.records import Reason
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.synth.config import SPEC, SynthConfig
from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.sample import guide_of
from fasgen.stages.synth.stage import Diffusion, build, rehearse
from tests.stages.stdn import tiny as tiny_stdn
from tests.stages.synth.difffas import tiny

CPU = torch.device("cpu")

WAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("epsilon", {}, {"sampler": "ddpm"}),
    ("epsilon", {"null": "grey", "patch": 2}, {}),
    ("epsilon", {"null": "grey", "learned_variance": False}, {"sampler": "ddpm"}),
    (
        "v_prediction",
        {"modulated": True, "learned_variance": False, "patch": 2},
        {"sampler": "dpmpp_2m", "spacing": "quadratic"},
    ),
    ("sample", {"anchor": 0.25, "modulated": True, "learned_variance": False, "patch": 2}, {}),
    ("sample", {"anchor": 0.25, "null": "grey", "modulated": True}, {"sampler": "dpmpp_2m", "guided": 0.6}),
    ("sample", {"anchor": 0.25, "patch": 2}, {"sampler": "ddpm", "guided": 0.3}),
    ("sample", {"modulated": True}, {"gamma": (1, 1)}),
    ("sample", {"null": "grey", "patch": 2}, {"gamma": (0, 0)}),
]
"""Prediction, network and settings: every kind of network, sampler and passes."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.model().save(tmp_path / "model")
    return tmp_path / "model"


def sample(number: int, style: str = tiny.STYLES[1], guide: bool = True, **values: Any) -> Sample:
    rng = np.random.default_rng(number)
    images = {"crop": rng.integers(0, 256, (32, 32, 3), np.uint8)}
    if guide:
        images["guide_crop"] = rng.integers(0, 256, (32, 32, 3), np.uint8)
    own = {"style": style, "simulation": None, "guide_unit": 0, "guide_row": number, "place": number}
    return Sample(f"{number:016x}", 1000 + number, number % 4, images, values=own | values, variant=1)


def config(folder: Path, **changes: Any) -> SynthConfig:
    return SynthConfig.model_validate({"weights": str(folder), "batch": 4, "steps": 3, "t": (200, 600)} | changes)


def pixels(outcome: Product | Reject) -> np.ndarray[Any, Any]:
    assert isinstance(outcome, Product), outcome
    return outcome.images["crop"]


def test_a_spoof_does_not_depend_on_its_neighbours(folder: Path) -> None:
    stage = Diffusion(config(folder), CPU)
    together = stage([sample(i) for i in range(4)])
    for i in (0, 2):
        assert np.array_equal(pixels(stage([sample(i)])[0]), pixels(together[i]))
    assert not np.array_equal(pixels(together[0]), pixels(together[1]))


def test_batches_may_be_under_way_together(folder: Path) -> None:
    stage = Diffusion(config(folder), CPU)
    batches = [[sample(i) for i in range(4)], [sample(i) for i in range(4, 7)], [sample(7, "d|cam|mask")]]
    one_by_one = [stage(batch) for batch in batches]
    for outcomes, collect in zip(one_by_one, [stage.start(batch) for batch in batches], strict=True):
        for once, again in zip(outcomes, collect(), strict=True):
            if isinstance(once, Product):
                assert np.array_equal(pixels(once), pixels(again)) and once.values == again.values
            else:
                assert once == again


def test_strengths_come_from_the_seed_and_stay_in_their_ranges(folder: Path) -> None:
    stage = Diffusion(config(folder, gamma=(1.0, 3.0)), CPU)
    drawn = [stage.strengths(sample(i)) for i in range(200)]
    assert drawn == [stage.strengths(sample(i)) for i in range(200)]
    levels, gammas = zip(*drawn, strict=True)
    assert min(levels) >= 200 and max(levels) <= 600 and max(levels) - min(levels) > 350
    assert min(gammas) >= 1 and max(gammas) <= 3 and max(gammas) - min(gammas) > 1.7
    (product,) = stage([sample(7)])
    assert isinstance(product, Product)
    assert (product.values["strength_t"], product.values["gamma"]) == stage.strengths(sample(7))


def test_strength_zero_gives_the_live_face_back(folder: Path) -> None:
    stage = Diffusion(config(folder, t=(0, 0)), CPU)
    assert np.array_equal(pixels(stage([sample(3)])[0]), sample(3).images["crop"])


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m", "ddpm"])
def test_each_sampler_gives_the_same_bytes_again(folder: Path, sampler: str) -> None:
    stage = Diffusion(config(folder, sampler=sampler), CPU)
    again = Diffusion(config(folder, sampler=sampler), CPU)
    assert np.array_equal(pixels(stage([sample(1), sample(2)])[1]), pixels(again([sample(2)])[0]))


def test_unseen_styles_are_turned_away_or_marked(folder: Path) -> None:
    strange, known = sample(0, "d|cam|mask"), sample(1)
    rejected, made = Diffusion(config(folder), CPU)([strange, known])
    assert isinstance(rejected, Reject) and rejected.reason is Reason.UNKNOWN_STYLE and "d|cam|mask" in rejected.detail
    marked, same = Diffusion(config(folder, unseen="mark"), CPU)([strange, known])
    assert isinstance(marked, Product) and marked.values["style_seen"] is False
    assert isinstance(same, Product) and same.values["style_seen"] is True
    assert np.array_equal(pixels(made), pixels(same))


def test_a_face_without_guide_is_a_row_with_a_reason(folder: Path) -> None:
    lost, made = Diffusion(config(folder), CPU)([sample(0, guide=False), sample(1)])
    assert isinstance(lost, Reject) and lost.reason is Reason.GUIDE
    assert isinstance(made, Product)


def test_a_network_that_fails_costs_its_sample_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Diffusion(config(folder), CPU)
    whole = stage.model.synthesise

    def broken(*args: Any, **more: Any) -> torch.Tensor:
        result: torch.Tensor = whole(*args, **more)
        result[2] = torch.nan
        return result

    monkeypatch.setattr(stage.model, "synthesise", broken)
    outcomes = stage([sample(i) for i in range(4)])
    assert isinstance(outcomes[2], Reject) and outcomes[2].reason is Reason.NOT_FINITE
    assert all(isinstance(outcomes[i], Product) for i in (0, 1, 3))


@pytest.mark.parametrize(
    ("changes", "calls", "passes"),
    [
        ({}, 3, 6),
        ({"guided": 0.67}, 3, 5),
        ({"guided": 0.5}, 3, 5),
        ({"guided": 0.0}, 3, 3),
        ({"steps": 4, "guided": 0.25}, 4, 5),
        ({"gamma": (1, 1), "guided": 0.5}, 3, 3),
        ({"gamma": (0, 0)}, 3, 3),
        ({"t": (0, 0)}, 0, 0),
    ],
)
def test_calls_and_passes_are_those_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], calls: int, passes: int
) -> None:
    stage = Diffusion(config(folder, **changes), CPU)
    sizes: list[int] = []
    whole = stage.model.denoiser.denoise
    monkeypatch.setattr(stage.model.denoiser, "denoise", lambda z_t, *more: sizes.append(len(z_t)) or whole(z_t, *more))
    (product,) = stage([sample(1)])
    assert isinstance(product, Product)
    assert (product.values["calls"], product.values["passes"]) == (calls, passes)
    assert (len(sizes), sum(sizes)) == (calls, passes * stage.batch)


def test_guidance_in_an_interval_has_nothing_to_weaken() -> None:
    with pytest.raises(ValueError, match="set guided to 1, or gamma to 1 and above"):
        SynthConfig(guided=0.5, gamma=(0.5, 2.0))


def small(folder: Path, prediction: Any, changes: dict[str, Any]) -> Path:
    """Of one level, whose capture and compilation are short."""
    shape = {"multipliers": (1,), "fusion": (0,), "style_channels": (8,), "mean_patches": (6,), "variance_patches": (2,)}
    style = tiny.encoder(blocks=(1,), widths=(8,), taps=(1,))
    DiffFAS(tiny.unet(**shape, **changes), style, Schedule(prediction_type=prediction)).save(folder / "small")
    return folder / "small"


def levels(stage: Diffusion) -> np.ndarray[Any, Any]:
    return np.stack([pixels(outcome) for outcome in stage([sample(i) for i in range(4)])]).astype(np.int64)


@pytest.mark.parametrize(("prediction", "network", "settings"), WAYS)
def test_each_network_is_captured_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prediction: Any, network: dict[str, Any], settings: dict[str, Any]
) -> None:
    """As for compiling, in single graphs, which are then run as they are."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: real(f, backend="aot_eager", fullgraph=True, dynamic=False))
    torch.compiler.reset()
    folder = small(tmp_path, prediction, network)
    plain, captured = (levels(Diffusion(config(folder, compile=how, **settings), CPU)) for how in ("off", "on"))
    assert np.abs(plain - captured).max() <= 1
    assert np.unique(plain).size > 100


def test_compiled_is_what_it_is_uncompiled(tmp_path: Path) -> None:
    """As on CUDA by default; kernels sum in another order, so within a level."""
    folder = small(tmp_path, WAYS[4][0], WAYS[4][1])
    plain, fast = (levels(Diffusion(config(folder, compile=how), CPU)) for how in ("off", "on"))
    assert np.abs(plain - fast).max() <= 1


@pytest.mark.parametrize("method", ["difffas", "stdn", "physical"])
def test_a_rehearsal_is_a_full_batch(folder: Path, tmp_path: Path, method: str) -> None:
    settings = config(folder, method=method, stdn_weights=str(tiny_stdn.weights(tmp_path)))
    stage: Any = build(settings, CPU)
    seen: list[Product | Reject] = []
    whole = type(stage).__call__

    class Watched(type(stage)):  # type: ignore[misc]
        def __call__(self, batch: list[Sample]) -> list[Product | Reject]:
            seen.extend(made := whole(self, batch))
            return made

    stage.__class__ = Watched
    rehearse(stage, 32)
    assert len(seen) == stage.batch == 4 and all(isinstance(outcome, Product) for outcome in seen)


@pytest.mark.parametrize(("method", "key"), [("difffas", "weights"), ("stdn", "stdn_weights")])
def test_a_size_that_the_network_does_not_take_is_refused_when_planned(
    folder: Path, tmp_path: Path, method: str, key: str
) -> None:
    settings: dict[str, Any] = {"method": method, "stdn_weights": str(tiny_stdn.weights(tmp_path))}
    said = SPEC.refusal(config(folder, **settings), {"align": AlignConfig(size=48)})
    assert "48 x 48 px" in said and "align.size=32" in said and f"synth.{key}," in said
    assert not SPEC.refusal(config(folder, **settings), {"align": AlignConfig(size=32)})
    assert not SPEC.refusal(config(folder, **settings, any_size=True), {"align": AlignConfig(size=48)})
    assert not SPEC.refusal(config(folder, method="physical"), {"align": AlignConfig(size=48)})


def test_crops_of_another_size_are_refused_unless_allowed(folder: Path) -> None:
    odd = sample(0)
    odd.images = {name: np.zeros((40, 40, 3), np.uint8) for name in odd.images}
    with pytest.raises(ConfigError, match=r"align\.size=32"):
        Diffusion(config(folder), CPU)([odd])
    assert pixels(Diffusion(config(folder, any_size=True), CPU)([odd])[0]).shape == (40, 40, 3)


def test_a_simulated_guide_is_rendered_from_the_sample_and_recorded(folder: Path) -> None:
    stage = Diffusion(config(folder, unseen="mark"), CPU)
    one = sample(0, "physical|simulated|print", simulation="print")
    (product,) = stage([one])
    assert isinstance(product, Product)
    assert json.loads(str(product.values["parameters"]))
    assert np.array_equal(pixels(product), pixels(stage([one])[0]))
    assert not np.array_equal(guide_of(one, stage.config)[0], one.images["guide_crop"])


def test_the_simulation_needs_no_weights_and_says_what_it_is() -> None:
    settings = SynthConfig(method="physical")
    stage = build(settings, CPU)
    one = sample(0, "physical|simulated|replay_phone", guide=False, simulation="replay_phone", guide_unit=None, guide_row=None)
    (product,) = stage([one])
    assert isinstance(product, Product)
    assert product.values["method"] == "physical" and product.values["calls"] == product.values["passes"] == 0
    assert np.array_equal(pixels(product), pixels(build(settings, CPU)([one])[0]))


@pytest.mark.parametrize("wrong", [{"t": (400, 100)}, {"t": (0, 1001)}, {"gamma": (-1.0, 2.0)}, {"gamma": (3.0, 2.0)}])
def test_ranges_upside_down_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no range within"):
        SynthConfig.model_validate(wrong)


def test_a_batch_has_bounds_or_finds_itself() -> None:
    assert SPEC.batch(SynthConfig()) == 16 and SPEC.batch(SynthConfig(batch=5)) == 5
    with pytest.raises(ValueError, match="not within 1 to 1024"):
        SynthConfig(batch=0)
