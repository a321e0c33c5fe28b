"""Trace transfer: known traces land on the live face where its geometry has them; seeds, slots and reasons as elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.synth.config import SPEC, SynthConfig, known_styles
from fasgen.stages.synth.stage import build
from fasgen.stages.synth.transfer import TraceTransfer
from tests.stages.stdn import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.weights(tmp_path_factory.mktemp("stdn"))


def config(folder: Path, **changes: Any) -> SynthConfig:
    return SynthConfig.model_validate({"method": "stdn", "stdn_weights": str(folder), "batch": 4} | changes)


def sample(number: int, guide: bool = True, moved: float = 0.0, **values: Any) -> Sample:
    images = {"crop": tiny.crop(number)}
    points, theirs = ([float(x) for x in (tiny.POINTS + shift).ravel()] for shift in (0.0, moved))
    own: dict[str, Any] = {"style": "d|cam|print", "simulation": None, "guide_unit": 0, "guide_row": 1, "place": number}
    own |= {"landmarks": points, "transform": list(tiny.IDENTITY)}
    if guide:
        images["guide_crop"] = tiny.crop(100 + number)
        own |= {"guide_landmarks": theirs, "guide_transform": list(tiny.IDENTITY)}
    return Sample(f"{number:016x}", 1000 + number, number % 4, images, values=own | values, variant=1)


def pixels(outcome: Product | Reject) -> np.ndarray[Any, Any]:
    assert isinstance(outcome, Product), outcome
    return outcome.images["crop"]


def test_a_generator_that_knows_one_trace_puts_it_on(tmp_path: Path) -> None:
    """T is 0.2 everywhere, and the mask nothing: the spoof is the live face, 51 levels brighter."""
    network = tiny.generator(mask_bias=-30.0)
    network.last.weight.zero_()
    assert network.last.bias is not None
    network.last.bias[6:9] = float(np.arctanh(0.2))
    network.save(tmp_path / "generator")
    one = sample(0)
    made = pixels(TraceTransfer(config(tmp_path), CPU)([one])[0])
    assert np.array_equal(made, np.minimum(one.images["crop"].astype(int) + 51, 255))
    half = pixels(TraceTransfer(config(tmp_path, trace_strength=(0.0, 0.0)), CPU)([one])[0])
    assert np.array_equal(half, one.images["crop"])


def test_under_a_whole_mask_the_guide_itself_is_seen_where_the_live_face_has_it(tmp_path: Path) -> None:
    tiny.weights(tmp_path, mask_bias=60.0)
    stage = TraceTransfer(config(tmp_path), CPU)
    assert np.array_equal(pixels(stage([sample(0)])[0]), sample(0).images["guide_crop"])
    made = pixels(stage([sample(0, moved=2.0)])[0])
    x, y = (int(v) for v in np.rint(tiny.POINTS[2]))
    guide = sample(0).images["guide_crop"]
    assert not np.array_equal(made, guide) and np.array_equal(made[0], guide[0])
    # Between the five points every pixel moves by the same 2 px.
    assert np.array_equal(made[y, x], guide[y + 2, x + 2])


def test_a_spoof_does_not_depend_on_its_neighbours(folder: Path) -> None:
    stage = TraceTransfer(config(folder), CPU)
    together = stage([sample(i) for i in range(4)])
    for i in (0, 2):
        assert np.array_equal(pixels(stage([sample(i)])[0]), pixels(together[i]))
    assert not np.array_equal(pixels(together[0]), pixels(together[1]))


def test_strength_comes_from_the_seed_and_stays_in_its_range(folder: Path) -> None:
    stage = TraceTransfer(config(folder, trace_strength=(0.5, 1.5)), CPU)
    drawn = [stage.strength(sample(i)) for i in range(100)]
    assert drawn == [stage.strength(sample(i)) for i in range(100)]
    assert min(drawn) >= 0.5 and max(drawn) <= 1.5 and max(drawn) - min(drawn) > 0.8
    (product,) = stage([sample(7)])
    assert isinstance(product, Product) and product.values["trace_strength"] == stage.strength(sample(7))


def test_a_face_without_guide_is_a_row_with_a_reason(folder: Path) -> None:
    lost, made = build(config(folder), CPU)([sample(0, guide=False), sample(1)])
    assert isinstance(lost, Reject) and lost.reason is Reason.GUIDE and isinstance(made, Product)


def test_a_simulated_guide_is_rendered_from_the_sample_and_recorded(folder: Path) -> None:
    one = sample(0, style="physical|simulated|print", simulation="print")
    (product,) = TraceTransfer(config(folder), CPU)([one])
    assert isinstance(product, Product) and json.loads(str(product.values["parameters"]))
    assert product.values["method"] == "stdn" and set(product.values) <= {column.name for column in SPEC.columns}


def test_the_specification_knows_the_method(folder: Path) -> None:
    settings = config(folder)
    assert SPEC.weights(settings) == {"generator": folder / "generator"}
    assert SPEC.synthetic(settings) == {"crop": "compositeWithTrainedAlgorithmicMedia"}
    assert known_styles(settings) is None
    assert SPEC.weights(config(folder, variants=0)) == {}
