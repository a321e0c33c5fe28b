"""Trace transfer: known traces land on the live face where its geometry has them; seeds, slots and reasons as elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fasgen.records import Reason
from fasgen.stages.facemesh.finder import FaceMesh
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.stdn.warp import backward_offset, warp
from fasgen.stages.synth.config import SPEC, SynthConfig, known_styles
from fasgen.stages.synth.sample import guide_of
from fasgen.stages.synth.stage import build
from fasgen.stages.synth.transfer import TraceTransfer
from fasgen.stages.weights import embedded
from tests.stages.facemesh.faces import crop, unit
from tests.stages.stdn import tiny

CPU = torch.device("cpu")
PRINT: dict[str, Any] = {"style": "physical|simulated|print", "simulation": "print"}


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


def test_meshes_warp_where_both_faces_are_seen_and_five_points_elsewhere(tmp_path: Path) -> None:
    """Under a whole mask the spoof is the guide as the warp shows it. A simulated guide keeps the mesh of its face."""
    tiny.weights(tmp_path, size=112, mask_bias=60.0)
    stage = TraceTransfer(config(tmp_path), CPU)
    (live, points), (guide, theirs) = crop(112), crop(112, turned=0.15)
    noise = tiny.crop(0, 112)
    images = {"crop": live, "guide_crop": guide}
    values = {"landmarks": points.ravel().tolist(), "guide_landmarks": theirs.ravel().tolist()}

    def pair(slot: int, **changed: Any) -> Sample:
        return replace(sample(slot, **values), images=images | changed)

    dense, five, simulated = stage([pair(0), pair(1, guide_crop=noise), replace(pair(2), values=pair(2).values | PRINT)])
    assert [one.values["landmarks_warped"] for one in (dense, five, simulated) if isinstance(one, Product)] == [468, 5, 468]
    mine, other = FaceMesh(CPU)(unit(live, guide), [points, theirs])
    assert mine is not None and other is not None

    def shown(picture: np.ndarray[Any, Any], offset: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        moved = warp(unit(picture), torch.from_numpy(offset)[None])[0].permute(1, 2, 0)
        return (moved * 255).round().to(torch.uint8).numpy()

    by_mesh = backward_offset(other, mine, 112, 112)
    assert np.abs(pixels(dense).astype(int) - shown(guide, by_mesh)).max() <= 1
    assert np.abs(pixels(five).astype(int) - shown(noise, backward_offset(theirs, points, 112, 112))).max() <= 1
    again = pair(2)
    made, _ = guide_of(replace(again, values=again.values | PRINT), stage.config)
    assert np.abs(pixels(simulated).astype(int) - shown(made, by_mesh)).max() <= 1


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
    assert SPEC.weights(settings) == {"generator": folder / "generator", "mesh": embedded("facemesh")}
    assert SPEC.synthetic(settings) == {"crop": "compositeWithTrainedAlgorithmicMedia"}
    assert known_styles(settings) is None
    assert SPEC.weights(config(folder, variants=0)) == {}
