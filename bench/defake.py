"""De-faking beside the bare denoising loop: what the stage, and then the whole way from store to store, add to the network.

The bare loop is the least that the method costs: encode, as many U-Net calls as the stage makes, at the same batch and with
the same (compiled) network, decode. It draws no noise, walks no DDIM step, and makes no residual.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.engine import UnitTimes
from bench.harness import Row, alternate, median_ratio, seconds, table
from fasgen.errors import WeightsError
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.run import run as drive
from fasgen.records import Column
from fasgen.sources.config import SourceConfig
from fasgen.stages.defake.config import AUTO_BATCH, DefakeConfig
from fasgen.stages.stage import ArrayField, Product, Reads, Reject, Sample, StageConfig, StageSpec
from fasgen.stages.weights import embedded

ROUNDS, UNITS, AIM = 3, 3, 0.95
SIDE = 112
POINTS = [0.34, 0.46, 0.66, 0.46, 0.5, 0.64, 0.37, 0.82, 0.63, 0.82]
"""ArcFace's five landmarks as fractions of the crop's side."""


def crops(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """Stands for align: the picture is the crop."""

    def one(sample: Sample) -> Product:
        values: dict[str, Any] = {"landmarks": [SIDE * part for part in POINTS], "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
        return Product(images={"crop": sample.images["image"]}, values=values)

    return lambda batch: [one(sample) for sample in batch]


def maps(config: StageConfig, device: Any) -> Callable[[Sequence[Sample]], list[Product | Reject]]:
    """Stands for identify: a map of noise."""

    def one(sample: Sample) -> Product:
        return Product(arrays={"identity_map": identity_map(sample.seed)})

    return lambda batch: [one(sample) for sample in batch]


def identity_map(seed: int) -> np.ndarray[Any, Any]:
    """512 x 7 x 7, standard normal."""
    return np.random.default_rng(seed).standard_normal((512, 7, 7)).astype(np.float16)


ALIGN = StageSpec(
    "align",
    "pictures as crops",
    1,
    (),
    StageConfig,
    "bench.defake:crops",
    columns=(Column("landmarks", "list<float32>", "five points"), Column("transform", "list<float32>", "identity")),
    images=("crop",),
)
IDENTIFY = StageSpec(
    "identify",
    "noise as identity",
    1,
    (Reads("align"),),
    StageConfig,
    "bench.defake:maps",
    arrays=(ArrayField("identity_map", "float16", "512 x 7 x 7"),),
)
TARGETS = {
    "align": "bench.defake:ALIGN",
    "identify": "bench.defake:IDENTIFY",
    "defake": "fasgen.stages.defake.config:SPEC",
}


@contextmanager
def generator(scratch: Path) -> Iterator[tuple[str, Path]]:
    """The embedded generator, or one of its shape with random weights: what it is called, and its folder."""
    try:
        yield "embedded generator", embedded("dfg")
        return
    except WeightsError:
        pass
    import torch

    from fasgen.stages.defake.autoencoder import PatchAutoencoder
    from fasgen.stages.defake.model import DFG, SCHEDULER, Latents
    from fasgen.stages.defake.tokens import LearnedTokens
    from fasgen.stages.defake.train_dfg import build_unet
    from fasgen.stages.defake.training_config import DFGTraining

    torch.manual_seed(0)
    size = {"channels": [64, 160], "attention": [False, True], "layers": 1, "heads": 4, "condition": 192}
    shape = DFGTraining.model_validate(size)
    unet = build_unet(shape, 12, SIDE // 8)
    DFG(Latents(PatchAutoencoder()), unet, LearnedTokens(width=192), SCHEDULER).save(scratch)
    yield "random generator of its shape", scratch


def pictures(count: int) -> list[np.ndarray[Any, Any]]:
    """Smooth made-up pictures, SIDE x SIDE RGB."""
    import cv2

    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (7, 7, 3), np.uint8) for _ in range(count)]
    return [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in small]


def batch_of(images: Sequence[np.ndarray[Any, Any]]) -> list[Sample]:
    """A full batch as the stage receives it."""
    values: dict[str, Any] = {"landmarks": [SIDE * part for part in POINTS], "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    return [
        Sample(f"{slot:016x}", slot, slot, {"crop": image}, {"identity_map": identity_map(slot)}, values=dict(values))
        for slot, image in enumerate(images)
    ]


def bare_loop(stage: Any, samples: Sequence[Sample]) -> Callable[[], None]:
    """Encode, the stage's number of U-Net calls, decode; inputs lie on the device before the clock starts."""
    import torch

    from fasgen.stages.batching import to_signed
    from fasgen.stages.defake.tokens import identity_tokens

    dfg = stage.dfg
    x = to_signed(np.stack([sample.images["crop"] for sample in samples]), stage.device, stage.dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    known = torch.from_numpy(np.stack([sample.arrays["identity_map"] for sample in samples])).to(stage.device, stage.dtype)
    times = [torch.full((len(samples),), point, device=stage.device) for point in stage.points]

    @torch.no_grad()
    def loop() -> None:
        condition = dfg.tokens(identity_tokens(known))
        z = dfg.latents.encode(x)
        for t in times:
            dfg.unet(z, t, encoder_hidden_states=condition, return_dict=False)
        dfg.latents.decode(z).float().cpu()

    return loop


class EndToEnd:
    """Units of defake through plan, engine and worker: upstream's committed units are read, residuals are committed.

    Args:
        folder: an empty folder.
        config: the stage's settings.
        resources: one GPU, or one CPU worker.
    """

    def __init__(self, folder: Path, config: DefakeConfig, resources: Resources) -> None:
        import cv2

        # A CPU takes seconds a batch, so its units have one; a unit's own cost then weighs more than it does in practice.
        self.rows = 256 if resources.gpus else config.batch
        (folder / "in").mkdir()
        for number, image in enumerate(pictures(UNITS * self.rows)):
            cv2.imwrite(str(folder / "in" / f"{number:04d}.png"), image)
        source = SourceConfig(name="bench", path=folder / "in")
        self._settings: dict[str, Any] = {"align": StageConfig(), "identify": StageConfig(), "defake": config}
        self._settings |= {"seed": 0, "unit_rows": self.rows, "sources": [source]}
        self._folder, self._resources = folder, resources
        self._drive(self._plan(["align", "identify"]))

    def __call__(self) -> float:
        """Seconds a sample between the first and the last commit of a run; the model is built before the first."""
        plan = self._plan(["defake"])
        shutil.rmtree(plan.stages["defake"].folder, ignore_errors=True)
        commits = self._drive(self._plan(["defake"]))
        return (commits[-1] - commits[0]) / ((len(commits) - 1) * self.rows)

    def _plan(self, wanted: list[str]) -> Plan:
        config: Any = SimpleNamespace(**self._settings)
        return build_plan(config, wanted, self._folder / "store", resources=self._resources, targets=TARGETS)

    def _drive(self, plan: Plan) -> list[float]:
        from fasgen.pipeline.local_engine import LocalEngine

        times = UnitTimes()
        result = drive(plan, partial(LocalEngine, plan.resources), Silent(), times)
        if result.ok != result.planned or result.remaining:
            raise RuntimeError(
                f"{result.ok} of {result.planned} rows are ok, {result.remaining} units are left: {result.error}"
            )
        return times.units


def run(**changes: Any) -> list[Row]:
    """Samples a second of the stage and of the whole way, each beside the bare loop; rounds alternate.

    Args:
        changes: settings of defake other than its defaults.
    """
    import torch

    from fasgen.stages.defake.stage import Defake

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as name, generator(Path(name) / "weights") as (what, weights):
            config = DefakeConfig.model_validate({"weights": str(weights), "batch": AUTO_BATCH} | changes)
            stage = Defake(config, device)
            samples = batch_of(pictures(config.batch))
            bare = bare_loop(stage, samples)
            ours, loop = alternate([lambda: stage(samples), bare], ROUNDS)
            whole = EndToEnd(Path(name), config, Resources(int(cuda), 1))
            ends, beside = [], []
            for _ in range(ROUNDS):
                ends.append(whole())
                beside.append(seconds(bare) / config.batch)
    finally:
        torch.set_num_threads(threads)
    on = torch.cuda.get_device_name() if cuda else "one CPU thread"
    title = f"defake, {what}, batch {config.batch}, {stage.calls} calls, {on}"
    peer = f"bare loop, diffusers {version('diffusers')}, torch {torch.__version__}"
    return [
        Row(
            title,
            config.batch / statistics.median(ours),
            config.batch / statistics.median(loop),
            peer,
            median_ratio(ours, loop),
            AIM,
            "samples/s",
        ),
        Row(
            f"{title}: store to store, local engine",
            1 / statistics.median(ends),
            1 / statistics.median(beside),
            peer,
            median_ratio(ends, beside),
            None,
            "samples/s",
        ),
    ]


if __name__ == "__main__":
    print(table(run()))
