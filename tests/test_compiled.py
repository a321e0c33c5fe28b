"""What the defaults mean on CUDA, on a CPU: compiled networks in bfloat16, from one stage to whole runs.

Networks are tiny, settings are those of the presets.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from fasgen.config.loading import load
from fasgen.stages import specs
from fasgen.stages.stage import Product, Sample
from tests.runs import kill, ok_rows, run
from tests.stages.align.pictures import PORTRAITS
from tests.stages.defake.tiny import write_patch
from tests.stages.synth.difffas import tiny
from tests.test_end_to_end import contents

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")

CPU = torch.device("cpu")
BATCH = 2


@pytest.fixture(scope="module", autouse=True)
def cache(pytestconfig: pytest.Config) -> Iterator[None]:
    """One folder of compiled code for all processes, kept between sessions: compiling is most of what this file costs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
            patch.setenv(name, str(pytestconfig.cache.mkdir("compiled")))  # type: ignore[union-attr]
        yield


@pytest.fixture(scope="module")
def defake_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("dfg"), levels=1)


@pytest.fixture(scope="module")
def synth_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("difffas")
    tiny.model().save(folder)
    return folder


def sample(slot: int) -> Sample:
    """What defake and synth read."""
    rng = np.random.default_rng(slot)
    images = {name: rng.integers(0, 256, (32, 32, 3), np.uint8) for name in ("crop", "guide_crop")}
    arrays = {"identity_map": rng.standard_normal((512, 7, 7)).astype(np.float16)}
    values: dict[str, Any] = {"landmarks": [16.0] * 10, "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    values |= {"style": tiny.STYLES[1], "simulation": None, "guide_unit": 0, "guide_row": slot, "place": slot}
    return Sample(f"{slot:016x}", 1000 + slot, slot, images, arrays, values=values, variant=1)


OUTPUT: dict[str, Callable[[Product], np.ndarray[Any, Any]]] = {
    "defake": lambda product: product.arrays["residual"],
    "synth": lambda product: product.images["crop"],
}
"""Stages with a setting ``compile``, and what each makes."""


def settings(preset: str, defake: Path, synth: Path) -> list[str]:
    """A preset with tiny networks."""
    return [
        f"preset={preset}",
        *("align.size=32", "identify.weights=embedded", "identify.depth=null", "score.identity_weights=embedded"),
        *(f"defake.weights={defake}", f"synth.weights={synth}", f"screen.style_weights={synth}", "synth.unseen=mark"),
        *(f"defake.batch={BATCH}", f"synth.batch={BATCH}", "defake.compile=on", "synth.compile=on"),
    ]


def test_every_stage_that_compiles_is_tried_here() -> None:
    assert {name for name, spec in specs().items() if "compile" in spec.config.model_fields} == set(OUTPUT)


@pytest.mark.parametrize("name", OUTPUT)
@pytest.mark.parametrize("preset", ["agfas", "difffas", "embedded"])
def test_settings_of_every_preset_run_compiled(preset: str, name: str, defake_weights: Path, synth_weights: Path) -> None:
    """In one piece each, and near to what it is uncompiled: kernels round to bfloat16 elsewhere."""
    config = getattr(load(None, settings(preset, defake_weights, synth_weights)), name)
    config = config.model_copy(update={"dtype": "bf16"})
    batch = [sample(slot) for slot in range(BATCH)]
    counters.clear()
    made = []
    for how in ("on", "off"):
        products = specs()[name].build(config.model_copy(update={"compile": how}), CPU)(batch)
        assert all(isinstance(product, Product) for product in products), products
        made.append(np.stack([OUTPUT[name](one) for one in products if isinstance(one, Product)]).astype(np.float64))
    assert not counters["graph_break"], counters["graph_break"]
    difference = np.abs(made[0] - made[1])
    print(f"{preset} {name}: mean {difference.mean():.3f}, largest {difference.max():.0f} levels")
    assert difference.mean() < 4


STAGES = ("align", "identify", "defake", "score", "synth", "synth_identify", "synth_defake", "screen", "pack")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory, defake_weights: Path, synth_weights: Path) -> list[str]:
    """Of a run of all stages on four portraits, in bfloat16 and compiled."""
    faces = tmp_path_factory.mktemp("faces")
    for path in sorted(PORTRAITS.glob("*.jpg"))[::3]:
        shutil.copy(path, faces)
    quick = ("unit_rows=2", "synth.variants=2", "screen.on_fail=mark", "defake.dtype=bf16", "synth.dtype=bf16")
    more = ("--engine", "ray", "--gpus", "0", "--cpus", "1")
    return [
        *(f"sources={faces}", "sources.0.label=live"),
        *settings("embedded", defake_weights, synth_weights),
        *quick,
        *more,
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, arguments: list[str]) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    run(store, *arguments)
    return store


def test_a_compiled_run_makes_rows_at_every_stage(undisturbed: Path) -> None:
    rows = ok_rows(undisturbed, STAGES)
    assert all(rows.values()), rows


def test_killed_and_resumed_it_writes_the_same_bytes(undisturbed: Path, tmp_path: Path, arguments: list[str]) -> None:
    store = tmp_path / "store"
    kill(store, *arguments, when="defake-*/00000.parquet")
    assert not list(store.glob("pack-*/index.json")), "the kill came too late to test anything"
    run(store, *arguments)
    assert contents(store) == contents(undisturbed)
