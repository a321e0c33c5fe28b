"""The stage: a live face and its guide in, a spoof face out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fasgen.errors import ConfigError
from fasgen.records import Reason, Scalar
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.batching import in_slots, resolve_dtype, to_signed
from fasgen.stages.physical.simulate import Simulated, simulate
from fasgen.stages.stage import RGB, Product, Reject, Sample
from fasgen.stages.synth.config import SynthConfig, model_folder
from fasgen.stages.synth.difffas.diffusion import Passes
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.sample import as_json, common, guide_of


class Synthesiser(Protocol):
    """Makes spoofs of a batch of live faces."""

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """One product or reject for each sample, in order."""
        ...


class Physical:
    """Simulates prints and replays of the live faces themselves. What it makes is a simulation, and says so.

    Args:
        config: settings.
    """

    def __init__(self, config: SynthConfig) -> None:
        self.config = config

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Product:
        made = simulate(sample.images["crop"], str(sample.values["simulation"]), sample.seed, self.config.physical)
        values = common(sample) | {"method": "physical", "calls": 0, "parameters": as_json(made)}
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
        self.config, self.device = config, device
        self.dtype = resolve_dtype(config.dtype, device)
        self.model: DiffFAS = (
            DiffFAS.load(model_folder(config.weights)).to(device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        )
        if config.compile == "on" or (config.compile == "auto" and device.type == "cuda"):
            self.model.compile_step()
        self.known = frozenset(self.model.styles)
        # By the range, not by the batch's draws: a spoof must not depend on its neighbours.
        whole: dict[tuple[float, float], Passes] = {(1.0, 1.0): "conditional", (0.0, 0.0): "null"}
        self.passes: Passes = whole.get(config.gamma, "both")

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        outcomes: dict[int, Product | Reject] = {}
        guides: dict[int, tuple[RGB, Simulated | None]] = {}
        for index, sample in enumerate(batch):
            style = str(sample.values["style"])
            if style not in self.known and self.config.unseen == "reject":
                outcomes[index] = Reject(
                    Reason.UNKNOWN_STYLE,
                    f"style {style} is none of the {len(self.known)} that the weights were trained on; "
                    "train on it, or allow it with synth.unseen=mark",
                )
            elif "guide_crop" not in sample.images:
                outcomes[index] = Reject(Reason.GUIDE, f"style {style} has no guide for this face")
            else:
                guides[index] = guide_of(sample, self.config)
        chosen = [batch[index] for index in guides]
        if chosen:
            made = self._synthesise(chosen, [image for image, _ in guides.values()])
            for (index, (_, simulated)), levels in zip(guides.items(), made, strict=True):
                outcomes[index] = self._product(batch[index], levels, simulated)
        return [outcomes[index] for index in range(len(batch))]

    def strengths(self, sample: Sample) -> tuple[int, float]:
        """Noise level t and guidance gamma of a sample, drawn evenly in their ranges by its seed."""
        random = np.random.Generator(np.random.Philox(key=sample_seed(sample.seed, "strengths", sample.sample_id)))
        (low, high), (weak, strong) = self.config.t, self.config.gamma
        t = int(random.integers(low, high + 1))
        return t, float(np.float32(random.uniform(weak, strong)))

    def _synthesise(self, samples: Sequence[Sample], guides: Sequence[RGB]) -> list[Any]:
        """(H, W, 3) float32 levels for each sample, not yet rounded; not finite where the network failed."""
        size, count = self.config.batch, len(samples)
        crops = in_slots(samples, size, lambda sample: sample.images["crop"])
        self._check_size(crops.shape[1:3])
        styles = np.zeros((size, *guides[0].shape), np.uint8)
        t, gamma = torch.zeros(size, dtype=torch.int64), torch.ones(size)
        for sample, guide in zip(samples, guides, strict=True):
            styles[sample.slot] = guide
            t[sample.slot], gamma[sample.slot] = self.strengths(sample)
        shape = (3, *crops.shape[1:3])
        noise = torch.from_numpy(in_slots(samples, size, lambda sample: normal_noise(sample.seed, shape)))

        def step_noise(i: int) -> Tensor:
            seeds = [(sample, sample_seed(sample.seed, "step", sample.sample_id, i)) for sample in samples]
            out = torch.zeros((size, *shape))
            for sample, seed in seeds:
                out[sample.slot] = torch.from_numpy(normal_noise(seed, shape))
            return out.to(self.device)

        result = self.model.synthesise(
            to_signed(crops, self.device),
            to_signed(styles, self.device),
            noise.to(self.device),
            t.to(self.device),
            gamma.to(self.device),
            self.config.steps,
            sampler=self.config.sampler,
            step_noise=step_noise if self.config.sampler == "ddpm" else None,
            passes=self.passes,
        )
        levels = ((result.float() + 1) * 127.5).permute(0, 2, 3, 1).cpu().numpy()
        return [levels[samples[i].slot] for i in range(count)]

    def _check_size(self, size: tuple[int, ...]) -> None:
        if size != (self.model.size, self.model.size) and not self.config.any_size:
            raise ConfigError(
                f"synth: the crops are {size[1]} x {size[0]} px but the network was trained on {self.model.size}; "
                f"set align.size={self.model.size}, give other synth.weights, or allow it with synth.any_size=true"
            )

    def _product(self, sample: Sample, levels: Any, simulated: Simulated | None) -> Product | Reject:
        if not np.isfinite(levels).all():
            return Reject(Reason.NOT_FINITE, f"the spoof holds values that are not finite ({self.dtype})")
        t, gamma = self.strengths(sample)
        values: dict[str, Scalar] = common(sample) | {
            "method": "difffas",
            "style_seen": sample.values["style"] in self.known,
            "strength_t": t,
            "gamma": gamma,
            "calls": self.config.steps if t else 0,
            "parameters": as_json(simulated) if simulated else None,
        }
        return Product(images={"crop": np.rint(levels).clip(0, 255).astype(np.uint8)}, values=values)


def build(config: SynthConfig, device: torch.device) -> Synthesiser:
    """Factory named in the specification."""
    if config.method == "stdn":
        from fasgen.stages.synth.transfer import TraceTransfer

        return TraceTransfer(config, device)
    return Physical(config) if config.method == "physical" else Diffusion(config, device)
