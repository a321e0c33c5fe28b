"""Spoofs are measured against live face, guide and style; every limit can turn one away, and says with which figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fasgen.records import Reason
from fasgen.stages.screen.config import ScreenConfig
from fasgen.stages.screen.stage import Screen, missed_limits
from fasgen.stages.stage import Product, Reject, Sample
from tests.stages.synth.difffas import tiny

FIGURES: dict[str, Any] = {
    "brisque": 40.0,
    "brisque_low": 30.0,
    "brisque_high": 50.0,
    "identity_similarity": 0.6,
    "guide_similarity": 0.1,
    "style_probability": 0.9,
    "difference": 8.0,
}


@pytest.mark.parametrize(
    ("changed", "config", "reason"),
    [
        ({}, {}, None),
        ({"brisque": 64.9}, {}, None),
        ({"brisque": 65.1}, {}, Reason.QUALITY),
        ({"brisque": 14.9}, {}, Reason.QUALITY),
        ({"brisque": 99.0}, {"brisque_margin": None}, None),
        ({"brisque": 99.0, "brisque_low": None, "brisque_high": None}, {}, None),
        ({"brisque": None}, {}, None),
        ({"guide_similarity": 0.61}, {}, Reason.NEAR_COPY),
        ({"guide_similarity": 0.61}, {"nearer_to_guide": "allow"}, None),
        ({"guide_similarity": 0.5}, {"max_guide_similarity": 0.4}, Reason.NEAR_COPY),
        ({"guide_similarity": None}, {"max_guide_similarity": 0.4}, None),
        ({"identity_similarity": 0.2}, {"min_identity_similarity": 0.3}, Reason.IDENTITY_LOST),
        ({"style_probability": 0.05}, {}, Reason.STYLE_LOST),
        ({"style_probability": None}, {}, None),
        ({"difference": 0.4}, {}, Reason.UNCHANGED),
    ],
)
def test_limits(changed: dict[str, Any], config: dict[str, Any], reason: Reason | None) -> None:
    missed = missed_limits(FIGURES | changed, ScreenConfig.model_validate(config))
    assert list(missed) == ([reason] if reason else [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tiny.model()
    encoder = model.style_encoder
    encoder.config = replace(encoder.config, bands=((0.0, 100.0), (-200.0, 300.0), (1.0, 0.0)))
    model.save(tmp_path / "model")
    return tmp_path / "model"


def sample(number: int, variant: int = 1, shift: int = 20, **arrays: Any) -> Sample:
    rng = np.random.default_rng(number)
    live = rng.integers(40, 200, (32, 32, 3)).astype(np.uint8)
    a, b = np.eye(4, dtype=np.float32)[:2]
    vectors = {"embedding": a, "live_embedding": a, "guide_embedding": b} | arrays
    images = {"crop": (live + shift).astype(np.uint8), "live_crop": live}
    return Sample(
        f"{number:016x}", 1, (2 * number + variant) % 8, images, vectors, values={"style": tiny.STYLES[1]}, variant=variant
    )


def screen(folder: Path, **changes: Any) -> Screen:
    settings = {"style_weights": str(folder), "batch": 8, "min_style_probability": None} | changes
    return Screen(ScreenConfig.model_validate(settings), torch.device("cpu"))


def test_figures_are_those_of_live_face_guide_and_style(folder: Path) -> None:
    (product,) = screen(folder)([sample(1)])
    assert isinstance(product, Product)
    values = product.values
    assert values["identity_similarity"] == pytest.approx(1) and values["guide_similarity"] == pytest.approx(0)
    assert values["difference"] == pytest.approx(20)
    assert (values["brisque_low"], values["brisque_high"]) == (-200, 300)
    assert values["style_verdict"] in tiny.STYLES and 0 <= float(str(values["style_probability"])) <= 1
    assert values["verdict"] == "accepted"


def test_the_style_encoder_judges_as_it_is(folder: Path) -> None:
    stage = screen(folder)
    one = sample(3)
    x = torch.from_numpy(one.images["crop"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    wanted = stage.encoder.logits(x).softmax(1)[0, 1]
    (product,) = stage([one])
    assert isinstance(product, Product)
    assert product.values["style_probability"] == pytest.approx(float(wanted), abs=1e-5)


def test_twins_the_second_goes(folder: Path) -> None:
    first, second, other = screen(folder)([sample(1, 1), sample(1, 2), sample(2, 1)])
    assert isinstance(first, Product) and isinstance(other, Product)
    assert isinstance(second, Reject) and second.reason is Reason.DUPLICATE and "variant 1" in second.detail
    kept = screen(folder, min_sibling_difference=None)([sample(1, 1), sample(1, 2)])
    assert all(isinstance(one, Product) for one in kept)


def test_marking_keeps_what_is_missed_in_words(folder: Path) -> None:
    unchanged = sample(1, shift=0)
    (rejected,) = screen(folder)([unchanged])
    assert isinstance(rejected, Reject) and rejected.reason is Reason.UNCHANGED
    (marked,) = screen(folder, on_fail="mark")([unchanged])
    assert isinstance(marked, Product) and "min_difference" in str(marked.values["verdict"])


def test_without_a_guide_there_is_no_similarity_to_it(folder: Path) -> None:
    one = sample(1)
    del one.arrays["guide_embedding"]
    (product,) = screen(folder)([one])
    assert isinstance(product, Product) and product.values["guide_similarity"] is None
