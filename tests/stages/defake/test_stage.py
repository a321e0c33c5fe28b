"""The stage on a tiny generator: exact residuals, fixed slots, seeds of its own, clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fasgen.errors import ConfigError
from fasgen.records import Reason
from fasgen.seeds import sample_seed
from fasgen.stages.defake.config import SPEC, DefakeConfig
from fasgen.stages.defake.stage import Defake
from fasgen.stages.stage import Product, Reject, Sample
from tests.stages.defake.tiny import write_patch

CPU = torch.device("cpu")
POINTS = [10.0, 12.0, 22.0, 12.0, 16.0, 18.0, 11.0, 24.0, 21.0, 24.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("dfg"))


def config(folder: Path, **changes: object) -> DefakeConfig:
    return DefakeConfig.model_validate({"weights": str(folder), "batch": 4, "steps": 10, "compile": "off"} | changes)


def sample(index: int, slot: int, size: int = 32) -> Sample:
    generator = np.random.default_rng(index)
    return Sample(
        sample_id=f"{index:016x}",
        seed=sample_seed(0, "defake", f"{index:016x}"),
        slot=slot,
        images={"crop": generator.integers(0, 256, (size, size, 3), dtype=np.uint8)},
        arrays={"identity_map": generator.standard_normal((512, 7, 7)).astype(np.float16)},
        values={"landmarks": list(POINTS), "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
    )


def product(outcome: Product | Reject) -> Product:
    assert isinstance(outcome, Product)
    return outcome


def test_residual_is_exact_and_everything_is_declared(folder: Path) -> None:
    stage = SPEC.build(config(folder, reconstruction=True), CPU)
    first = sample(1, 0)
    out = product(stage([first])[0])
    restored = first.images["crop"].astype(np.int16) - out.arrays["residual"]
    assert np.array_equal(restored.astype(np.uint8), out.images["reconstruction"])
    assert set(out.values) == {c.name for c in SPEC.columns}
    assert out.values["calls"] == 9 and out.values["t"] == 800


def test_company_does_not_change_a_sample(folder: Path) -> None:
    stage = Defake(config(folder), CPU)
    together = [product(o) for o in stage([sample(i, i) for i in range(4)])]
    alone = product(stage([sample(2, 2)])[0])
    assert np.array_equal(alone.arrays["residual"], together[2].arrays["residual"])
    assert alone.values == together[2].values


def test_noise_is_the_samples_own(folder: Path) -> None:
    stage = Defake(config(folder), CPU)
    one, other = sample(1, 0), sample(1, 0)
    other.seed += 1
    a, b = product(stage([one])[0]), product(stage([other])[0])
    assert not np.array_equal(a.arrays["residual"], b.arrays["residual"])


def test_another_size_is_refused_or_allowed(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"align\.size=32"):
        Defake(config(folder), CPU)([sample(1, 0, 48)])
    out = product(Defake(config(folder, any_size=True), CPU)([sample(1, 0, 45)])[0])
    assert out.arrays["residual"].shape == (45, 45, 3)


def test_numbers_that_are_not_finite_reject_their_sample_alone(folder: Path) -> None:
    stage = Defake(config(folder), CPU)
    bad = sample(5, 1)
    bad.arrays["identity_map"] = np.full((512, 7, 7), np.nan, np.float16)
    good, rejected, also = stage([sample(0, 0), bad, sample(2, 2)])
    assert isinstance(rejected, Reject) and rejected.reason is Reason.NOT_FINITE
    assert np.array_equal(product(good).arrays["residual"], product(stage([sample(0, 0)])[0]).arrays["residual"])
    assert isinstance(also, Product)


def test_steps_must_divide_the_schedule() -> None:
    with pytest.raises(ValueError, match="does not divide 1000"):
        DefakeConfig(steps=30)
