"""The stage: a live face and its guide in, a spoof face out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fasgen.errors import ConfigError
from fasgen.records import Reason, Scalar
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.align.template import target
from fasgen.stages.batching import Fetched, in_slots, resolve_dtype, to_device, to_signed
from fasgen.stages.compiled import compiled
from fasgen.stages.physical.config import STYLES
from fasgen.stages.physical.simulate import Simulated, simulate
from fasgen.stages.settings import batch_size, wrong_size
from fasgen.stages.stage import RGB, Product, Reject, Sample
from fasgen.stages.synth.config import SynthConfig, model_folder, simulated_key
from fasgen.stages.synth.difffas.diffusion import Passes
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.sample import as_json, common, guide_of


class Synthesiser(Protocol):
    """Makes spoofs of a batch of live faces.

    Attributes:
        batch: faces a call.
    """

    batch: int

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """One product or reject for each sample, in order."""
        ...


class Physical:
    """Simulates prints and replays of the live faces themselves. What it makes is a simulation, and says so.

    Args:
        config: settings.
    """

    def __init__(self, config: SynthConfig) -> None:
        self.config, self.batch = config, batch_size(config)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Product:
        made = simulate(sample.images["crop"], str(sample.values["simulation"]), sample.seed, self.config.physical)
        values = common(sample) | {"method": "physical", "calls": 0, "passes": 0, "parameters": as_json(made)}
        return Product(images={"crop": made.image}, values=values)


class Diffusion:
    """DiffFAS: noises the live face to a drawn level and denoises it under the style of its guide.

    Args:
        config: settings.
        device: where the networks compute.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit each other.
    """

    def __init__(self, config: SynthConfig, device: torch.device) -> None:
        self.config, self.device, self.batch = config, device, batch_size(config)
        self.dtype = resolve_dtype(config.dtype, device)
        self.model: DiffFAS = (
            DiffFAS.load(model_folder(config.weights)).to(device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        )
        self.model.compile(partial(compiled, setting=config.compile, device=device))
        self.known = frozenset(self.model.styles)
        # By the range, not by the batch's draws: a spoof must not depend on its neighbours.
        whole: dict[tuple[float, float], Passes] = {(1.0, 1.0): "conditional", (0.0, 0.0): "null"}
        self.passes: Passes = whole.get(config.gamma, "both")
        self.guided_calls = int(config.guided * config.steps + 0.5) if self.passes == "both" else 0

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return self.start(batch)()

    def start(self, batch: Sequence[Sample]) -> Callable[[], list[Product | Reject]]:
        """Launch a batch on the device; what is returned waits for it and makes the products."""
        rejected: dict[int, Reject] = {}
        guides: dict[int, tuple[RGB, Simulated | None]] = {}
        for index, sample in enumerate(batch):
            style = str(sample.values["style"])
            if style not in self.known and self.config.unseen == "reject":
                rejected[index] = Reject(
                    Reason.UNKNOWN_STYLE,
                    f"style {style} is none of the {len(self.known)} that the weights were trained on; "
                    "train on it, or allow it with synth.unseen=mark",
                )
            elif "guide_crop" not in sample.images:
                rejected[index] = Reject(Reason.GUIDE, f"style {style} has no guide for this face")
            else:
                guides[index] = guide_of(sample, self.config)
        chosen = [batch[index] for index in guides]
        strengths = [self.strengths(sample) for sample in chosen]
        fetched = self._launch(chosen, [image for image, _ in guides.values()], strengths) if chosen else dict

        def collect() -> list[Product | Reject]:
            made, outcomes = fetched(), dict[int, Product | Reject](rejected)
            for (index, (_, simulated)), strength in zip(guides.items(), strengths, strict=True):
                outcomes[index] = self._product(batch[index], made, strength, simulated)
            return [outcomes[index] for index in range(len(batch))]

        return collect

    def strengths(self, sample: Sample) -> tuple[int, float]:
        """Noise level t and guidance gamma of a sample, drawn evenly in their ranges by its seed."""
        random = np.random.Generator(np.random.Philox(key=sample_seed(sample.seed, "strengths", sample.sample_id)))
        (low, high), (weak, strong) = self.config.t, self.config.gamma
        t = int(random.integers(low, high + 1))
        return t, float(np.float32(random.uniform(weak, strong)))

    @torch.no_grad()
    def _launch(self, samples: Sequence[Sample], guides: Sequence[RGB], strengths: Sequence[tuple[int, float]]) -> Fetched:
        """Everything from crops to spoofs, on the device."""
        size = self.batch
        crops = in_slots(samples, size, lambda sample: sample.images["crop"])
        if wrong := wrong_size((crops.shape[1], crops.shape[2]), self.model.size, "synth", "weights", self.config):
            raise ConfigError(wrong)
        styles = np.zeros((size, *guides[0].shape), np.uint8)
        t, gamma = torch.zeros(size, dtype=torch.int64), torch.ones(size)
        for sample, guide, strength in zip(samples, guides, strengths, strict=True):
            styles[sample.slot] = guide
            t[sample.slot], gamma[sample.slot] = strength
        shape = (3, *crops.shape[1:3])
        noise = in_slots(samples, size, lambda sample: normal_noise(sample.seed, shape))

        def step_noise(i: int) -> Tensor:
            def draw(sample: Sample) -> Any:
                return normal_noise(sample_seed(sample.seed, "step", sample.sample_id, i), shape)

            return to_device(in_slots(samples, size, draw), self.device)

        made = self.model.synthesise(
            to_signed(crops, self.device),
            to_signed(styles, self.device),
            to_device(noise, self.device),
            t,
            gamma,
            self.config.steps,
            sampler=self.config.sampler,
            spacing=self.config.spacing,
            guided_calls=self.guided_calls,
            step_noise=step_noise if self.config.sampler == "ddpm" else None,
            passes=self.passes,
        )
        levels = ((made + 1) * 127.5).permute(0, 2, 3, 1)
        finite = levels.isfinite().flatten(1).all(1)
        return Fetched({"crop": levels.nan_to_num().round().clamp(0, 255).to(torch.uint8), "finite": finite})

    def _product(
        self, sample: Sample, made: Mapping[str, Any], strength: tuple[int, float], simulated: Simulated | None
    ) -> Product | Reject:
        if not made["finite"][sample.slot]:
            return Reject(Reason.NOT_FINITE, f"the spoof holds values that are not finite ({self.dtype})")
        t, gamma = strength
        values: dict[str, Scalar] = common(sample) | {
            "method": "difffas",
            "style_seen": sample.values["style"] in self.known,
            "strength_t": t,
            "gamma": gamma,
            "calls": self.config.steps if t else 0,
            "passes": self.config.steps + self.guided_calls if t else 0,
            "parameters": as_json(simulated) if simulated else None,
        }
        return Product(images={"crop": made["crop"][sample.slot]}, values=values)


def rehearse(stage: Synthesiser, size: int) -> None:
    """One full batch of grey crops of ``size`` px and as grey guides, to the end."""
    style = min(stage.known) if isinstance(stage, Diffusion) else simulated_key(STYLES[0])
    values: dict[str, Any] = {"style": style, "simulation": STYLES[0] if isinstance(stage, Physical) else None}
    values |= {"guide_unit": 0, "guide_row": 0, "place": 0}
    for prefix in ("", "guide_"):
        values[prefix + "landmarks"] = target("arcface", size).flatten().tolist()
        values[prefix + "transform"] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    grey = np.full((size, size, 3), 128, np.uint8)
    images = {"crop": grey, "guide_crop": grey}
    stage([Sample(f"{slot:016x}", slot, slot, images, values=values, variant=1) for slot in range(stage.batch)])


def build(config: SynthConfig, device: torch.device) -> Synthesiser:
    """Factory named in the specification."""
    if config.method == "stdn":
        from fasgen.stages.synth.transfer import TraceTransfer

        return TraceTransfer(config, device)
    return Physical(config) if config.method == "physical" else Diffusion(config, device)
