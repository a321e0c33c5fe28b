"""The stage: scores, similarity, verdicts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fasgen.errors import WeightsError
from fasgen.records import Reason
from fasgen.stages.batching import to_signed
from fasgen.stages.identify.load import load
from fasgen.stages.score.config import SPEC, ScoreConfig
from fasgen.stages.score.stage import reconstruction
from fasgen.stages.stage import Product, Reject, Sample, Stage
from tests.stages.identify.networks import random_network

from .pictures import picture


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "net.pth"
    torch.save(random_network().state_dict(), path)
    return path


def build(weights: Path, **settings: object) -> Stage:
    config = ScoreConfig.model_validate({"identity_weights": str(weights), "batch": 4, **settings})
    return SPEC.build(config, torch.device("cpu"))


def sample(weights: Path, slot: int, kind: str = "blurred", made: str = "texture") -> Sample:
    crop, other = picture(kind, slot + 1), picture(made, slot + 1)
    embedding = load(weights)(to_signed(crop[None], torch.device("cpu"))).embedding[0].numpy()
    residual = crop.astype(np.int16) - other
    return Sample(f"{slot:016x}", slot, slot, images={"crop": crop}, arrays={"residual": residual, "embedding": embedding})


def product(stage: Stage, item: Sample) -> Product:
    result = stage([item])[0]
    assert isinstance(result, Product)
    return result


def test_values_are_the_declared_columns(weights: Path) -> None:
    values = product(build(weights), sample(weights, 0)).values
    assert set(values) == {column.name for column in SPEC.columns}
    assert values["brisque"] == pytest.approx(42.56284180082022, abs=1e-7)
    assert values["brisque_reconstruction"] == pytest.approx(122.70372940646038, abs=1e-7)
    assert values["verdict"] == "accepted" and values["brisque_direction"] == "lower is better"
    assert "brisque-0.2.0" in str(values["brisque_impl"])
    assert set(SPEC.weights(ScoreConfig(identity_weights=str(weights)))) == {"brisque", "identity"}


def test_the_reconstruction_is_exact_at_the_ends_of_the_range() -> None:
    crop = np.array([[[0, 255, 7]]], np.uint8)
    residual = np.array([[[-255, 255, 0]]], np.int16)
    assert reconstruction(Sample("0" * 16, 0, 0, {"crop": crop}, {"residual": residual})).tolist() == [[[255, 0, 7]]]


def test_a_perfect_reconstruction_keeps_the_identity(weights: Path) -> None:
    item = sample(weights, 0)
    item.arrays["residual"] = np.zeros_like(item.arrays["residual"])
    values = product(build(weights), item).values
    assert values["identity_similarity"] == pytest.approx(1, abs=1e-6)
    assert values["brisque"] == values["brisque_reconstruction"]


def test_a_sample_does_not_depend_on_its_neighbours(weights: Path) -> None:
    batch = [sample(weights, slot) for slot in range(4)]
    stage = build(weights)
    assert stage(batch)[2] == stage([batch[2]])[0]


@pytest.mark.parametrize(
    ("settings", "reason", "words"),
    [
        ({"brisque_max": 40}, Reason.QUALITY, "brisque 42.56 above brisque_max 40"),
        ({"brisque_min": 50}, Reason.QUALITY, "brisque 42.56 below brisque_min 50"),
        ({"min_identity_similarity": 1}, Reason.IDENTITY_LOST, "below min_identity_similarity 1"),
    ],
)
def test_missed_bands(weights: Path, settings: dict[str, float], reason: Reason, words: str) -> None:
    result = build(weights, **settings)([sample(weights, 0)])[0]
    assert isinstance(result, Reject) and result.reason is reason and words in result.detail
    values = product(build(weights, on_fail="mark", **settings), sample(weights, 0)).values
    assert words in str(values["verdict"]) and math.isfinite(float(str(values["brisque"])))


def test_a_crop_without_texture_has_no_score(weights: Path) -> None:
    item = sample(weights, 0)
    item.images["crop"] = np.full_like(item.images["crop"], 90)
    item.arrays["residual"] = np.zeros_like(item.arrays["residual"])
    item.arrays["embedding"] = load(weights)(to_signed(item.images["crop"][None], torch.device("cpu"))).embedding[0].numpy()
    assert product(build(weights), item).values["brisque"] is None
    result = build(weights, brisque_max=60)([item])[0]
    assert isinstance(result, Reject) and result.reason is Reason.QUALITY


def test_another_identity_network_than_identifys_is_refused(weights: Path, tmp_path: Path) -> None:
    torch.save(random_network(seed=1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not the network that identify used"):
        build(tmp_path / "other.pth")([sample(weights, 0)])


def test_settings_that_nothing_passes_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing would pass"):
        ScoreConfig(brisque_min=60, brisque_max=20)
