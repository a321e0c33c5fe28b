"""The stage: fixed slots, declared types, rejects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fasgen.records import Reason
from fasgen.stages.identify.config import SPEC, IdentifyConfig
from fasgen.stages.stage import Product, Reject, Sample

from .networks import random_network


def samples(count: int, side: int = 96) -> list[Sample]:
    draw = np.random.default_rng(3)
    crops = draw.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return [Sample(f"{i:016x}", i, i, images={"crop": crop}) for i, crop in enumerate(crops)]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(random_network().state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_products_hold_what_the_specification_declares(weights: Path) -> None:
    config = IdentifyConfig(weights=str(weights), batch=4)
    products = SPEC.build(config, torch.device("cpu"))(samples(3))
    assert SPEC.weights(config) == {"identity": weights} and SPEC.batch(config) == 4
    for product in products:
        assert isinstance(product, Product)
        assert {field.name: field.dtype for field in SPEC.arrays} == {k: str(v.dtype) for k, v in product.arrays.items()}
        assert set(product.values) == {column.name for column in SPEC.columns}
        assert product.arrays["identity_map"].shape == (10, 7, 7)
        assert np.linalg.norm(product.arrays["embedding"]) == pytest.approx(1, abs=1e-6)


def test_a_sample_does_not_depend_on_its_neighbours(weights: Path) -> None:
    stage = SPEC.build(IdentifyConfig(weights=str(weights), batch=4), torch.device("cpu"))
    batch = samples(4)
    together, alone = stage(batch)[2], stage([batch[2]])[0]
    assert isinstance(together, Product) and isinstance(alone, Product)
    for name in ("identity_map", "embedding"):
        assert together.arrays[name].tobytes() == alone.arrays[name].tobytes()


def test_values_beyond_float16_are_rejected(tmp_path: Path) -> None:
    state = random_network().state_dict()
    state["bn2.bias"] += 1e6
    torch.save(state, tmp_path / "net.pth")
    result = SPEC.build(IdentifyConfig(weights=str(tmp_path / "net.pth"), batch=2), torch.device("cpu"))(samples(1))[0]
    assert isinstance(result, Reject) and result.reason is Reason.NOT_FINITE


@pytest.mark.parametrize("settings", [{"depth": 19}, {"batch": 0}, {"wieghts": "x"}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        IdentifyConfig.model_validate(settings)
