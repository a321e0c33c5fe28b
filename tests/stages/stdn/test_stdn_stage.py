"""The stage on a tiny generator: traces as declared, fixed slots, a live counterpart that follows from them, clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fasgen.errors import ConfigError, WeightsError
from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.stdn.config import SPEC, STEPS_A_LEVEL, StdnConfig
from fasgen.stages.stdn.generator import Generator
from fasgen.stages.stdn.stage import Stdn

from . import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.weights(tmp_path_factory.mktemp("stdn"), mask_bias=-1e4)


def config(folder: Path, **changes: Any) -> StdnConfig:
    return StdnConfig.model_validate({"enabled": True, "weights": str(folder), "batch": 4} | changes)


def sample(number: int, slot: int | None = None, size: int = tiny.SIZE) -> Sample:
    values = {"landmarks": [float(x) for x in tiny.POINTS.ravel()], "transform": list(tiny.IDENTITY)}
    slot = number % 4 if slot is None else slot
    return Sample(f"{number:016x}", number, slot, {"crop": tiny.crop(number, size)}, values=values)


def product(outcome: Product | Reject) -> Product:
    assert isinstance(outcome, Product), outcome
    return outcome


def test_everything_is_declared(folder: Path) -> None:
    out = product(SPEC.build(config(folder, parts=True, reconstruction=True), CPU)([sample(1)])[0])
    assert set(out.values) == {column.name for column in SPEC.columns}
    assert {name: array.dtype.name for name, array in out.arrays.items()} == {a.name: a.dtype for a in SPEC.arrays}
    shapes = {name: array.shape for name, array in out.arrays.items()}
    assert shapes == {
        "stdn": (32, 32, 3), "trace_parts": (32, 32, 9), "trace_mask": (32, 32, 1), "pseudo_depth": (32, 32, 1),
    }  # fmt: skip
    assert set(out.images) == set(SPEC.images)


def test_what_is_not_asked_for_is_not_stored(folder: Path) -> None:
    out = product(Stdn(config(folder), CPU)([sample(1)])[0])
    assert set(out.arrays) == {"stdn", "trace_mask", "pseudo_depth"} and not out.images


def test_without_a_mask_the_crop_less_its_traces_is_the_live_counterpart(folder: Path) -> None:
    first = sample(1)
    out = product(Stdn(config(folder, reconstruction=True), CPU)([first])[0])
    assert not out.arrays["trace_mask"].any()
    levels = first.images["crop"] - out.arrays["stdn"] / STEPS_A_LEVEL
    assert np.abs(levels.clip(0, 255) - out.images["live_counterpart"]).max() <= 0.5 + 0.5 / STEPS_A_LEVEL + 1e-3


def test_the_largest_trace_fits_its_integers(tmp_path: Path) -> None:
    network = tiny.generator()
    assert network.last.bias is not None
    network.last.bias[:9] = 100
    network.save(tmp_path / "generator")
    out = product(Stdn(config(tmp_path), CPU)([sample(1)])[0])
    assert int(out.arrays["stdn"].max()) == 3 * 255 * STEPS_A_LEVEL
    assert SPEC.cues[0].one == 127.5 * STEPS_A_LEVEL


def test_company_does_not_change_a_sample(folder: Path) -> None:
    stage = Stdn(config(folder), CPU)
    together = stage([sample(i) for i in range(4)])
    alone = product(stage([sample(2)])[0])
    assert all(np.array_equal(alone.arrays[name], array) for name, array in product(together[2]).arrays.items())
    assert alone.values == product(together[2]).values != product(together[1]).values


def test_the_score_is_made_of_its_columns(folder: Path) -> None:
    for given, alpha0 in ((None, 100.0), (0.5, 0.5), (0.0, 0.0)):
        values = product(Stdn(config(folder, alpha0=given), CPU)([sample(3)])[0]).values
        assert values["alpha0"] == alpha0
        depth, size = float(values["stdn_depth"]), float(values["stdn_trace"])  # type: ignore[arg-type]
        assert values["stdn_score"] == pytest.approx(depth / 2 - alpha0 / 2 * size, abs=1e-4)


def test_a_network_that_fails_costs_its_sample_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stdn(config(folder), CPU)
    whole = stage.disentangle.generator.forward

    def broken(image: torch.Tensor) -> Any:
        said = whole(image)
        said.traces.T[1] = torch.nan
        return said

    monkeypatch.setattr(stage.disentangle.generator, "forward", broken)
    outcomes = stage([sample(i) for i in range(4)])
    assert [isinstance(outcome, Reject) for outcome in outcomes] == [False, True, False, False]
    assert isinstance(outcomes[1], Reject) and outcomes[1].reason is Reason.NOT_FINITE


def test_crops_of_another_size_are_refused_unless_allowed(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"align\.size=32.*stdn\.any_size=true"):
        Stdn(config(folder), CPU)([sample(0, size=40)])
    out = product(Stdn(config(folder, any_size=True), CPU)([sample(0, size=40)])[0])
    assert out.arrays["stdn"].shape == (40, 40, 3) and out.arrays["pseudo_depth"].shape == (32, 32, 1)
    with pytest.raises(ConfigError, match="multiples of 8"):
        Stdn(config(folder, any_size=True), CPU)([sample(0, size=36)])


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="generator"):
        Stdn(config(tmp_path / "nowhere"), CPU)


def test_switched_off_it_asks_for_no_weights() -> None:
    assert SPEC.off(StdnConfig()) and SPEC.weights(StdnConfig()) == {}
    on = StdnConfig(enabled=True, weights="folder")
    assert not SPEC.off(on) and SPEC.weights(on) == {"generator": Path("folder/generator")}


def test_half_precision_gives_finite_traces(folder: Path) -> None:
    out = product(Stdn(config(folder, dtype="bf16"), CPU)([sample(1)])[0])
    exact = product(Stdn(config(folder), CPU)([sample(1)])[0])
    assert np.abs(out.arrays["stdn"] - exact.arrays["stdn"]).mean() < 0.2 * np.abs(exact.arrays["stdn"]).mean()
    assert isinstance(Generator.load(folder / "generator"), Generator)
