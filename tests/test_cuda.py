"""What needs a CUDA device: every training takes steps there, stages and detectors find there what they find on a CPU, and a
run of all stages under the defaults, compiled and in bfloat16, makes its rows and survives its own death.

Skipped where there is none; BRISQUE's own comparison lies in `tests/stages/score/test_brisque.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fasgen.stages import specs
from fasgen.stages.align.boxes import Faces
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.align.stage import Align, detector, found
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.cue import crop_points
from fasgen.stages.defake.stage import Defake
from fasgen.stages.facemesh.finder import FaceMesh
from fasgen.stages.gallery import train_simulation
from fasgen.stages.identify.config import IdentifyConfig
from fasgen.stages.identify.stage import Identify
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.stage import Product, Reject, Sample, Stage
from fasgen.stages.stdn.config import STEPS_A_LEVEL, StdnConfig
from fasgen.stages.stdn.stage import Stdn
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.stage import build as build_synth
from fasgen.training import residency
from fasgen.training.config import trainings
from fasgen.training.launch import build_task
from fasgen.training.loop import train
from tests.runs import kill, ok_rows, run
from tests.stages.align.pictures import PORTRAITS, read
from tests.stages.gallery.toy import faces_folder, toy_physical
from tests.test_end_to_end import contents
from tests.training.every import TRAINED, VARIANTS, ids

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STEPS, BATCH = 3, 4
PATHS = sorted(PORTRAITS.glob("*.jpg"))


@pytest.fixture(params=[False, True], ids=["exact", "tf32"])
def tf32(request: pytest.FixtureRequest) -> Iterator[None]:
    """float32 as such, and with the ten bits of mantissa that cuDNN's convolutions take by default."""
    yield from _tf32(request.param)


@pytest.fixture
def exact() -> Iterator[None]:
    yield from _tf32(False)


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Deterministic kernels, as the worker has them."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    yield
    torch.backends.cudnn.allow_tf32 = before


# Trainings.


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_folder(tmp_path_factory.mktemp("faces"))


def trained(faces: Path, out: Path, name: str, steps: int, **own: Any) -> Path:
    """The folder of a training of so many steps, which goes on where one has been."""
    more = {"steps": steps, "log_every": 1, "checkpoint_every": 2, "sheet_every": 2, "warmup": 0}
    config = TRAINED[name][0](faces, out, **(more | own))
    torch.compiler.reset()
    torch.manual_seed(0)
    return train(build_task(trainings()[name], config, CUDA), config, CUDA)


@pytest.mark.parametrize(("precision", "how"), [("fp32", "off"), ("bf16", "off"), ("bf16", "on"), ("bf16", "graphs")])
@pytest.mark.parametrize(("name", "more"), VARIANTS, ids=ids)
def test_every_training_takes_steps_and_goes_on(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, Any], precision: str, how: str
) -> None:
    """Three steps, and after the checkpoint a fourth; losses are finite, and what is exported loads on a CPU."""
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    for steps in (STEPS, STEPS + 1):
        folder = trained(faces, tmp_path / "out", name, steps, **({"precision": precision, "compile": how} | more))
    points = [json.loads(line) for line in (tmp_path / "out" / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points if "loss" in point] == list(range(1, STEPS + 2))
    assert all(math.isfinite(value) for point in points for value in point.values())
    weights = TRAINED[name][1](folder).state_dict().values()
    assert all(value.device == CPU and bool(value.isfinite().all()) for value in weights)


@pytest.mark.parametrize(("name", "more"), VARIANTS, ids=ids)
def test_no_step_waits_for_the_device(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, Any]
) -> None:
    """Batch, loss, gradients, update, average, watch and curve, from the fourth step on, when tables are there."""
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    own = {"steps": 9, "log_every": 2, "checkpoint_every": 10**6, "sheet_every": 10**6, "warmup": 0, "compile": "off"}
    # In the loop's own thread: one that makes batches ahead would set the mode at another time.
    config = TRAINED[name][0](faces, tmp_path / "out", **(own | {"prefetch": 0} | more))
    torch.manual_seed(0)
    task = build_task(trainings()[name], config, CUDA)
    made = task.batches

    def watched(start: int, rank: int, world: int) -> Iterator[Any]:
        for step, batch in enumerate(made(start, rank, world), start):
            torch.cuda.set_sync_debug_mode("error" if 3 <= step < 7 else "default")
            yield batch

    monkeypatch.setattr(task, "batches", watched)
    try:
        train(task, config, CUDA)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("name", "more"), VARIANTS, ids=ids)
def test_data_on_the_host_teaches_what_data_on_the_device_teaches(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, more: dict[str, Any]
) -> None:
    """A batch of one is that of the other to the bit."""
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    batches = []
    for share in (residency.SHARE, 0.0):
        monkeypatch.setattr(residency, "SHARE", share)
        config = TRAINED[name][0](faces, tmp_path / "out", **more)
        torch.manual_seed(0)
        batches.append(list(tensors(next(build_task(trainings()[name], config, CUDA).batches(2, 0, 1)))))
    assert batches[0] and all(a.device.type == CUDA.type and torch.equal(a, b) for a, b in zip(*batches, strict=True))


def tensors(batch: Any) -> Iterator[torch.Tensor]:
    """All tensors of a batch, whatever it is made of."""
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, tuple):
        for part in batch:
            yield from tensors(part)


# Stages with the embedded weights.


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Aligned portraits with their identity maps, each with the next one as a guide under a simulated print."""
    align = Align(AlignConfig(), CPU)
    made = align([Sample(f"{i:016x}", i, i, images={"image": read(path)}) for i, path in enumerate(PATHS[::3][:BATCH])])
    aligned = [product for product in made if isinstance(product, Product)]
    assert len(aligned) == BATCH
    found = []
    for i, product in enumerate(aligned):
        guide = aligned[(i + 1) % BATCH]
        values = {name: product.values[name] for name in ("landmarks", "transform")}
        values |= {f"guide_{name}": guide.values[name] for name in ("landmarks", "transform")}
        values |= {"style": "physical|simulated|print", "simulation": "print", "guide_unit": 0, "guide_row": i, "place": i}
        images = {"crop": product.images["crop"], "guide_crop": guide.images["crop"]}
        found.append(Sample(f"{i:016x}", 100 + i, i, images=images, values=values, variant=1))
    identify = Identify(IdentifyConfig.model_validate({"batch": BATCH}), CPU)
    for sample, product in zip(found, identify(found), strict=True):
        assert isinstance(product, Product)
        sample.arrays.update(product.arrays)
    return found


def _defake(device: torch.device, dtype: str) -> Stage:
    own = {"batch": BATCH, "dtype": dtype, "compile": "off", "reconstruction": True}
    return Defake(DefakeConfig.model_validate(own), device)


def _synth(method: str, **more: Any) -> Callable[[torch.device, str], Stage]:
    def make(device: torch.device, dtype: str) -> Stage:
        own = {"method": method, "batch": BATCH, "dtype": dtype, "compile": "off"} | more
        return build_synth(SynthConfig.model_validate(own), device)

    return make


def _lgsc(device: torch.device, dtype: str) -> Stage:
    return Lgsc(LgscConfig.model_validate({"enabled": True, "batch": BATCH, "dtype": dtype}), device)


def _stdn(device: torch.device, dtype: str) -> Stage:
    own = {"enabled": True, "batch": BATCH, "dtype": dtype, "reconstruction": True}
    return Stdn(StdnConfig.model_validate(own), device)


MADE: dict[str, tuple[Callable[[torch.device, str], Stage], Callable[[Product], NDArray[Any]], float]] = {
    "defake": (_defake, lambda product: product.images["reconstruction"], 1.0),
    "difffas": (_synth("difffas"), lambda product: product.images["crop"], 1.0),
    # Compiled on CUDA alone.
    "difffas-compiled": (_synth("difffas", compile="auto"), lambda product: product.images["crop"], 1.0),
    "difffas-ddpm": (_synth("difffas", sampler="ddpm"), lambda product: product.images["crop"], 1.0),
    "transfer": (_synth("stdn"), lambda product: product.images["crop"], 1.0),
    "lgsc": (_lgsc, lambda product: product.arrays["lgsc"], 127.5 / 32767),
    "stdn": (_stdn, lambda product: product.arrays["stdn"], 1 / STEPS_A_LEVEL),
    "stdn-live": (_stdn, lambda product: product.images["live_counterpart"], 1.0),
}
"""By name: a stage of a device and a dtype, what it made, and how many levels of 255 a unit of that is."""


def product(outcome: Product | Reject) -> Product:
    assert isinstance(outcome, Product), outcome
    return outcome


def made(name: str, device: torch.device, dtype: str, samples: list[Sample]) -> NDArray[np.float64]:
    build, of, unit = MADE[name]
    return np.stack([of(product(outcome)) for outcome in build(device, dtype)(samples)]).astype(np.float64) * unit


@pytest.mark.usefixtures("tf32")
@pytest.mark.parametrize("name", MADE)
def test_stages_make_on_cuda_what_they_make_on_a_cpu(name: str, samples: list[Sample]) -> None:
    """Within a level on average: kernels sum in other orders, and diffusion carries that on from step to step."""
    difference = np.abs(made(name, CUDA, "fp32", samples) - made(name, CPU, "fp32", samples))
    print(f"{name}: mean {difference.mean():.4f}, largest {difference.max():.2f} levels")
    assert difference.mean() < 1


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", MADE)
def test_a_stage_gives_the_same_bytes_again(name: str, samples: list[Sample]) -> None:
    """A sample that stands alone in its batch as well."""
    whole = made(name, CUDA, "fp32", samples)
    assert np.array_equal(made(name, CUDA, "fp32", samples), whole)
    assert np.array_equal(made(name, CUDA, "fp32", samples[1:2])[0], whole[1])


# Defaults: compiled, in bfloat16, in the batch that the device likes.


@pytest.fixture(scope="module")
def compiled_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One folder of compiled code for all processes, empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
            patch.setenv(name, str(tmp_path_factory.getbasetemp() / "compiled" / name))
        yield


DEFAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "defake": ("defake", {"reconstruction": True}),
    "difffas": ("synth", {}),
    "lgsc": ("lgsc", {"enabled": True}),
    "stdn": ("stdn", {"enabled": True}),
}
"""By name in `MADE`: the stage, and what it cannot be compared without."""


@pytest.mark.usefixtures("compiled_code", "deterministic")
@pytest.mark.parametrize("name", DEFAULTS)
def test_the_defaults_make_what_a_cpu_makes(name: str, samples: list[Sample]) -> None:
    """Within a level on average: bfloat16 keeps eight bits, and diffusion carries rounding on. The same bytes each time."""
    stage, own = DEFAULTS[name]
    spec, (_, of, unit) = specs()[stage], MADE[name]
    built = spec.build(spec.config.model_validate(own), CUDA)
    first, again, alone = ([of(product(outcome)) for outcome in built(batch)] for batch in (samples, samples, samples[1:2]))
    assert np.array_equal(first, again) and np.array_equal(first[1], alone[0])
    difference = np.abs(np.stack(first).astype(np.float64) * unit - made(name, CPU, "fp32", samples))
    print(f"{name}: mean {difference.mean():.4f}, largest {difference.max():.2f} levels")
    assert difference.mean() < 1


SPOOFS = ("synth", "synth_identify", "synth_defake", "synth_lgsc", "synth_stdn", "screen")
STAGES = ("align", "identify", "defake", "lgsc", "stdn", "score", *SPOOFS, "pack")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, compiled_code: None) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    run(store, *RUN)
    return store


RUN = (
    *("stage=all", f"sources={PORTRAITS}", "sources.0.label=live", "unit_rows=4"),
    *("lgsc.enabled=true", "stdn.enabled=true", "--engine", "ray", "--gpus", "1"),
)
"""The example portraits through every stage, in three units, with nothing else but defaults."""


def test_a_run_under_the_defaults_makes_rows_at_every_stage(undisturbed: Path) -> None:
    rows = ok_rows(undisturbed, STAGES)
    print(rows)
    assert all(rows.values()), rows
    assert rows["defake"] == rows["synth"] == rows["synth_defake"] == len(PATHS)
    assert list(undisturbed.glob("pack-*/*.tar"))


def test_killed_and_resumed_a_run_writes_the_same_bytes(undisturbed: Path, tmp_path: Path, compiled_code: None) -> None:
    store = tmp_path / "store"
    kill(store, *RUN, when="defake-*/00000.parquet")
    assert not list(store.glob("pack-*/index.json")), "the kill came too late to test anything"
    run(store, *RUN)
    assert contents(store) == contents(undisturbed)


@pytest.mark.usefixtures("tf32")
def test_identities_are_those_of_a_cpu(samples: list[Sample]) -> None:
    products = Identify(IdentifyConfig.model_validate({"batch": BATCH}), CUDA)(samples)
    for sample, product in zip(samples, products, strict=True):
        assert isinstance(product, Product)
        assert float(product.arrays["embedding"] @ sample.arrays["embedding"]) > 0.9999
        # In half precision; values are about 1.
        wanted = sample.arrays["identity_map"].astype(np.float64)
        assert np.abs(product.arrays["identity_map"] - wanted).mean() < 0.02


# Detectors.


def matched(faces: Faces, wanted: Faces) -> float:
    """Largest distance of a coordinate of boxes and landmarks, px; faces of both in order of their place."""
    parts = []
    for one in (faces, wanted):
        order = np.lexsort(one.boxes.round().T)
        parts.append(np.concatenate([one.boxes[order], one.landmarks[order].reshape(len(one), -1)], 1))
    return float(np.abs(parts[0] - parts[1]).max())


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", ["retinaface", "mtcnn"])
def test_detectors_find_the_same_faces(name: str) -> None:
    config = AlignConfig.model_validate({"detector": name})
    on_cuda, on_cpu = detector(config, CUDA), detector(config, CPU)
    for path in PATHS[::2]:
        image = read(path)
        faces, wanted = (found(look, image, config.detect_side) for look in (on_cuda, on_cpu))
        sure = [Faces(*(part[one.scores > 0.9] for part in (one.boxes, one.scores, one.landmarks))) for one in (faces, wanted)]
        assert len(sure[0]) == len(sure[1]) > 0, path.name
        assert matched(*sure) < 1, path.name
        assert np.abs(np.sort(sure[0].scores) - np.sort(sure[1].scores)).max() < 0.01


@pytest.mark.usefixtures("tf32")
def test_meshes_are_those_of_the_cpu(samples: list[Sample]) -> None:
    """Within 1 px of 112, also where convolutions are summed in TF32."""
    images = torch.from_numpy(np.stack([sample.images["crop"] for sample in samples])).permute(0, 3, 1, 2) / 255
    points: list[NDArray[np.float64] | None] = [
        crop_points(*(cast(list[float], sample.values[name]) for name in ("landmarks", "transform"))) for sample in samples
    ]
    for one, other in zip(FaceMesh(CUDA)(images.to(CUDA), points), FaceMesh(CPU)(images, points), strict=True):
        assert one is not None and other is not None
        assert np.abs(one - other).max() < 1
