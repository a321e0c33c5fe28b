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
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.sample import guide_of
from fasgen.stages.synth.stage import Diffusion, build
from tests.stages.synth.difffas import tiny

CPU = torch.device("cpu")


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


def test_each_sampler_draws_its_noise_from_the_sample(folder: Path) -> None:
    stage = Diffusion(config(folder, sampler="ddpm"), CPU)
    again = Diffusion(config(folder, sampler="ddpm"), CPU)
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
    assert product.values["method"] == "physical" and product.values["calls"] == 0
    assert np.array_equal(pixels(product), pixels(build(settings, CPU)([one])[0]))


@pytest.mark.parametrize("wrong", [{"t": (400, 100)}, {"t": (0, 1001)}, {"gamma": (-1.0, 2.0)}, {"gamma": (3.0, 2.0)}])
def test_ranges_upside_down_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no range within"):
        SynthConfig.model_validate(wrong)
