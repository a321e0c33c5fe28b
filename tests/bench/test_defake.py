"""The bare loop makes the stage's calls and no others, and the way from store to store is timed between commits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.defake import bare_loop
from bench.end_to_end import EndToEnd
from bench.faces import batch_of, pictures
from fasgen.pipeline.resources import Resources
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.stage import Defake
from tests.stages.defake.tiny import write_patch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("dfg"))


def config(folder: Path, **more: Any) -> DefakeConfig:
    return DefakeConfig.model_validate({"weights": str(folder), "batch": 2, "calls": 3, "compile": "off"} | more)


def test_the_bare_loop_calls_the_network_as_often_and_with_as_much_as_the_stage(folder: Path) -> None:
    stage = Defake(config(folder, draws=2), CPU)
    samples = batch_of(pictures(2, 32))
    calls: list[tuple[int, int]] = []
    stage.dfg.unet.register_forward_hook(lambda network, given, out: calls.append((len(given[0]), int(given[1].flatten()[0]))))
    stage(samples)
    made, calls[:] = list(calls), []
    bare_loop(stage, samples)()
    assert calls == made and len(calls) == stage.calls == 3 and {count for count, _ in calls} == {4}


def test_from_store_to_store_every_row_is_made_each_time(folder: Path, tmp_path: Path) -> None:
    way = EndToEnd(tmp_path, config(folder), Resources(0, 1), side=32, units=2, rows=4)
    for _ in range(2):
        went = way()
        assert went.first > 0 and went.rate > 0
    (made,) = (tmp_path / "store").glob("defake-*")
    assert sorted(path.stem for path in made.glob("0000?.parquet")) == ["00000", "00001"]


def test_made_up_faces_are_the_same_ones_again() -> None:
    first, again = batch_of(pictures(2, 32)), batch_of(pictures(2, 32))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.images["crop"], other.images["crop"])
        assert np.array_equal(one.arrays["identity_map"], other.arrays["identity_map"])
    assert first[0].images["crop"].shape == (32, 32, 3) and first[1].slot == 1
