"""The stage on photographs and on what was synthesised from them, from upstream's units to its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fasgen.errors import WeightsError
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.engine import UnitTask, UpstreamUnit
from fasgen.pipeline.events import Key
from fasgen.pipeline.wiring import Lanes, wire
from fasgen.pipeline.worker import Worker
from fasgen.records import Column, Reason
from fasgen.stages import STAGES, specs
from fasgen.stages.lgsc.config import SPEC, LgscConfig
from fasgen.stages.lgsc.cue import from_integers, overlay, score
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.network_folder import save_network
from fasgen.stages.stage import Product, Reject, Sample

from .tiny import generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lgsc")
    network = generator()
    save_network(network, network.config, folder)
    return folder


def picture(number: int, height: int = 48, width: int = 48) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def sample(number: int, slot: int = 0, **size: int) -> Sample:
    return Sample(f"{number:016x}", 0, slot, {"crop": picture(number, **size)})


def stage(weights: Path, **changes: Any) -> Lgsc:
    return Lgsc(LgscConfig(enabled=True, weights=str(weights), batch=4, **changes), CPU)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (33, 57)])
def test_the_map_is_the_network_s(weights: Path, height: int, width: int) -> None:
    one = sample(1, 2, height=height, width=width)
    [out] = stage(weights, overlay=True)([one])
    assert isinstance(out, Product)
    levels = out.arrays["lgsc"]
    x = torch.from_numpy(one.images["crop"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = generator()(x).map[0].permute(1, 2, 0).numpy()
    assert levels.shape == (height, width, 3) and np.allclose(from_integers(levels), expected, atol=1e-4)
    assert out.values["lgsc_score"] == score(levels) > 0
    assert np.array_equal(out.images["lgsc_overlay"], overlay(one.images["crop"], levels))
    [plain] = stage(weights)([one])
    assert isinstance(plain, Product) and not plain.images
    assert set(out.images) <= set(SPEC.images) and set(out.arrays) == {field.name for field in SPEC.arrays}


def test_company_changes_no_bit(weights: Path) -> None:
    made = stage(weights)
    [alone] = made([sample(2, 1)])
    _, among, _ = made([sample(1, 0), sample(2, 1), sample(3, 3)])
    assert isinstance(alone, Product) and isinstance(among, Product)
    assert np.array_equal(alone.arrays["lgsc"], among.arrays["lgsc"])


def test_crops_too_small_and_maps_not_finite_are_rejects(weights: Path) -> None:
    [small] = stage(weights)([sample(1, height=31, width=48)])
    assert isinstance(small, Reject) and small.reason is Reason.TOO_SMALL
    made = stage(weights)
    with torch.no_grad():
        next(made.network.last.parameters()).fill_(float("nan"))
    [broken] = made([sample(1)])
    assert isinstance(broken, Reject) and broken.reason is Reason.NOT_FINITE


def test_spoofs_are_a_lane_of_their_own(weights: Path, tmp_path: Path) -> None:
    place = (Column("place", "int32", "rank"),)
    with UnitWriter(tmp_path / "synth", 0, columns=place, arrays={}, plan_hash="s", weights="") as synth:
        for rank, (row, variant) in enumerate(((0, 1), (0, 2), (2, 1))):
            one = Row(f"{row:016x}", row, 0, variant, (f"{row:016x}",), {"label": "spoof"})
            synth.ok(one, images={"crop": picture(10 * row + variant)}, arrays={}, files={}, values={"place": rank})
        synth.commit(3)
    config = LgscConfig(enabled=True, weights=str(weights), batch=4)
    task = UnitTask(
        key=Key("synth_lgsc", 0), target=STAGES["lgsc"], config=config, folder=tmp_path / "lgsc", plan_hash="c", weights="w",
        batch=4, run_seed=0, lanes=(Lanes(specs()).reads("lgsc", "synth"),), unit_rows=4,
        upstream={"synth": UpstreamUnit(tmp_path / "synth", "{unit:05d}.tar")},
    )  # fmt: skip
    Worker().run(task)
    own = stage(weights)
    with UnitReader(tmp_path / "lgsc", 0) as reader:
        assert [(row["row"], row["variant"], row["label"]) for row in reader.rows] == [
            (0, 1, "spoof"), (0, 2, "spoof"), (2, 1, "spoof"),
        ]  # fmt: skip
        for row in reader.rows:
            number, variant = int(str(row["row"])), int(str(row["variant"]))
            [expected] = own([sample(10 * number + variant)])
            assert isinstance(expected, Product)
            assert np.array_equal(reader.array(number, "lgsc", variant), expected.arrays["lgsc"])
            assert row["lgsc_score"] == pytest.approx(score(expected.arrays["lgsc"]))


def test_switched_off_it_needs_no_weights_and_pack_does_without() -> None:
    def section(name: str, enabled: bool) -> Any:
        return LgscConfig(enabled=enabled) if name == "lgsc" else specs()[name].config.model_validate({})

    assert SPEC.weights(LgscConfig(enabled=False, weights="/nowhere")) == {}
    off, on = wire(specs(), lambda name: section(name, False)), wire(specs(), lambda name: section(name, True))
    assert "lgsc" not in off and "lgsc" not in off["pack"].stages
    assert on["lgsc"].primaries == ("align",) and on["synth_lgsc"].primaries == ("synth",)
    assert {"lgsc", "synth_lgsc"} <= set(on["pack"].stages)


def test_weights_that_do_not_fit_are_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nothing"):
        stage(tmp_path / "nothing")
    wrong = Path(shutil.copytree(weights, tmp_path / "wrong"))
    tensors = load_file(wrong / "model.safetensors")
    tensors.pop("last.up.weight")
    save_file(tensors, wrong / "model.safetensors")
    with pytest.raises(WeightsError, match="1 tensors missing"):
        stage(wrong)
    (wrong / "config.json").write_text('{"_class_name": "UNet"}')
    with pytest.raises(WeightsError, match="holds a UNet"):
        stage(wrong)
