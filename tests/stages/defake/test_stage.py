"""The stage on a tiny generator: exact residuals, fixed slots, seeds of its own, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fasgen.errors import ConfigError
from fasgen.records import Reason
from fasgen.seeds import sample_seed
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.defake.config import SPEC, DefakeConfig
from fasgen.stages.defake.stage import Defake, rehearse
from fasgen.stages.stage import Product, Reject, Sample
from tests.stages.defake.tiny import write_patch, write_stable

CPU = torch.device("cpu")
POINTS = [10.0, 12.0, 22.0, 12.0, 16.0, 18.0, 11.0, 24.0, 21.0, 24.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("dfg"))


def config(folder: Path, **changes: object) -> DefakeConfig:
    return DefakeConfig.model_validate(
        {"weights": str(folder), "batch": 4, "steps": 10, "draws": 1, "compile": "off"} | changes
    )


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
    assert (out.values["t"], out.values["start"], out.values["calls"], out.values["draws"]) == (800, 801, 9, 1)


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
    assert "align.size=32" in SPEC.refusal(config(folder), {"align": AlignConfig(size=48)})
    assert not SPEC.refusal(config(folder), {"align": AlignConfig(size=32)})
    assert not SPEC.refusal(config(folder, any_size=True), {"align": AlignConfig(size=48)})
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


def test_stable_diffusion_takes_whatever_size_it_can(tmp_path: Path) -> None:
    """Its own says what pictures from words measure; AG-FAS takes it at 224 px."""
    folder = write_stable(tmp_path, size=8)
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": "StableDiffusionPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    assert not SPEC.refusal(config(folder), {"align": AlignConfig(size=56)})
    assert product(Defake(config(folder), CPU)([sample(1, 0, 56)])[0]).arrays["residual"].shape == (56, 56, 3)


def test_the_mean_of_draws_and_their_deviation(folder: Path) -> None:
    """The residual is that of the draws' mean, each draw being what a single one with its noise is."""
    one, four = (Defake(config(folder, steps=None, calls=4, draws=n, deviation=True, reconstruction=True), CPU) for n in (1, 4))
    first = sample(1, 0)
    made, alone = product(four([first])[0]), product(one([first])[0])
    singles = [alone.images["reconstruction"]]
    for k in range(1, 4):
        other = sample(1, 0)
        other.seed = sample_seed(first.seed, "draw", first.sample_id, k)
        singles.append(product(one([other])[0]).images["reconstruction"])
    assert np.abs(made.images["reconstruction"] - np.mean(singles, 0)).max() <= 1
    assert np.abs(made.arrays["deviation"].astype(np.float64) - np.std(singles, 0, ddof=1)).max() <= 1
    assert made.values["draw_deviation"] == pytest.approx(made.arrays["deviation"].astype(np.float64).mean(), abs=1e-2)
    assert alone.values["draw_deviation"] is None and "deviation" not in alone.arrays
    assert (made.values["start"], made.values["calls"], made.values["draws"]) == (800, 4, 4)


@pytest.mark.parametrize(("sampler", "spacing"), [("ddim", "quadratic"), ("dpmpp_2m", "even"), ("dpmpp_2m", "quadratic")])
def test_fewer_calls_come_near_the_long_walk(folder: Path, sampler: str, spacing: str) -> None:
    long, short = (
        product(Defake(config(folder, steps=None, calls=calls, sampler=sampler, spacing=spacing), CPU)([sample(1, 0)])[0])
        for calls in (200, 20)
    )
    other = sample(1, 0)
    other.seed += 1
    luck = product(Defake(config(folder, steps=None, calls=200), CPU)([other])[0])
    far = [np.abs(one.arrays["residual"] - long.arrays["residual"]).mean() for one in (short, luck)]
    assert far[0] < far[1] / 2


def test_compiled_is_what_it_is_uncompiled(tmp_path: Path) -> None:
    """As on CUDA by default; kernels sum in another order, so within a level. One level of the network compiles soonest."""
    folder = write_patch(tmp_path, levels=1)
    batch = [sample(i, i) for i in range(4)]
    plain, fast = (Defake(config(folder, compile=how, steps=None, calls=3, draws=2), CPU)(batch) for how in ("off", "on"))
    for a, b in zip(plain, fast, strict=True):
        assert np.abs(product(a).arrays["residual"] - product(b).arrays["residual"]).max() <= 1


def test_a_rehearsal_is_a_full_batch(folder: Path) -> None:
    seen: list[int] = []
    stage = Defake(config(folder), CPU)
    whole = stage.dfg.reconstruct
    stage.dfg.reconstruct = lambda x, *more: seen.append(len(x)) or whole(x, *more)  # type: ignore[method-assign,func-returns-value]
    rehearse(stage, 32)
    assert seen == [4]


def test_steps_must_divide_the_schedule() -> None:
    with pytest.raises(ValueError, match="does not divide 1000"):
        DefakeConfig(steps=30)
