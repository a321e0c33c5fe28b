"""Trace transfer (STDN+): the spoof traces of a guide, warped to the live face's geometry and laid over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fasgen.records import Reason, Scalar
from fasgen.seeds import sample_seed
from fasgen.stages.batching import Fetched, in_slots, to_device
from fasgen.stages.defake.cue import crop_points
from fasgen.stages.facemesh.finder import FaceMesh
from fasgen.stages.physical.simulate import Simulated
from fasgen.stages.settings import batch_size
from fasgen.stages.stage import RGB, Product, Reject, Sample
from fasgen.stages.stdn.config import weights_folder
from fasgen.stages.stdn.model import Disentangler
from fasgen.stages.stdn.traces import spoof_of, stacked, unstacked
from fasgen.stages.stdn.warp import Points, backward_offset, warp
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.sample import as_json, common, guide_of


class TraceTransfer:
    """Lays a guide's traces over live faces. Styles need not have been trained on.

    Traces are warped by the meshes of both crops, or by their five landmarks where no face is seen in one of them; a simulated
    guide keeps those of the face that it is made of.

    Args:
        config: settings.
        device: where the network computes.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit.
    """

    def __init__(self, config: SynthConfig, device: torch.device) -> None:
        self.config, self.device, self.batch = config, device, batch_size(config)
        self.disentangle = Disentangler(weights_folder(config.stdn_weights), device, config.dtype, config.any_size, "synth")
        self.meshes = FaceMesh(device)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return self.start(batch)()

    def start(self, batch: Sequence[Sample]) -> Callable[[], list[Product | Reject]]:
        """Launch a batch on the device; what is returned waits for it and makes the products.

        Meshes are waited for here: warps are triangulated from them, on the CPU.
        """
        rejected: dict[int, Reject] = {}
        guides: dict[int, tuple[RGB, Simulated | None]] = {}
        for index, sample in enumerate(batch):
            if "guide_crop" not in sample.images:
                rejected[index] = Reject(Reason.GUIDE, f"style {sample.values['style']} has no guide for this face")
            else:
                guides[index] = guide_of(sample, self.config)
        chosen = [batch[index] for index in guides]
        fetched = self._launch(chosen, [image for image, _ in guides.values()]) if chosen else dict

        def collect() -> list[Product | Reject]:
            made, outcomes = fetched(), dict[int, Product | Reject](rejected)
            for index, (_, simulated) in guides.items():
                outcomes[index] = self._product(batch[index], made, simulated)
            return [outcomes[index] for index in range(len(batch))]

        return collect

    def strength(self, sample: Sample) -> float:
        """Factor on the traces, drawn evenly in its range by the sample's seed."""
        random = np.random.Generator(np.random.Philox(key=sample_seed(sample.seed, "strength", sample.sample_id)))
        return float(np.float32(random.uniform(*self.config.trace_strength)))

    @torch.no_grad()
    def _launch(self, samples: Sequence[Sample], guides: Sequence[RGB]) -> Fetched:
        """Everything from crops to spoofs, on the device."""
        size = self.batch
        crops = in_slots(samples, size, lambda sample: sample.images["crop"])
        originals = in_slots(samples, size, lambda sample: sample.images["guide_crop"])
        live = self.disentangle.unit(crops)
        pairs = self._landmarks(samples, live, self.disentangle.unit(originals))
        spoofs = np.zeros_like(originals)
        offsets = np.zeros((size, 2, *crops.shape[1:3]), np.float32)
        strength = np.zeros((size, 1, 1, 1), np.float32)
        counts = np.zeros(size, np.int64)
        for sample, guide, (mine, theirs) in zip(samples, guides, pairs, strict=True):
            spoofs[sample.slot], offsets[sample.slot] = guide, backward_offset(theirs, mine, *crops.shape[1:3])
            strength[sample.slot], counts[sample.slot] = self.strength(sample), len(mine)
        spoof = self.disentangle.unit(spoofs)
        traces, _ = self.disentangle(spoof)
        moved = warp(torch.cat([stacked(traces), spoof], 1), to_device(offsets, self.device))
        put, there = unstacked(moved[:, :-3]), moved[:, -3:]
        factor = to_device(strength, self.device)
        made = spoof_of(live, put._replace(B=factor * put.B, C=factor * put.C, T=factor * put.T), there)
        levels = made.permute(0, 2, 3, 1) * 255
        finite = levels.isfinite().flatten(1).all(1)
        picture = levels.nan_to_num().round().clamp(0, 255).to(torch.uint8)
        return Fetched({"crop": picture, "finite": finite, "landmarks": torch.from_numpy(counts)})

    def _landmarks(self, samples: Sequence[Sample], live: Tensor, guides: Tensor) -> list[tuple[Points, Points]]:
        """Landmarks of each face and of its guide: the meshes of both, or the five points of both."""
        five = [[_points(sample, prefix) for sample in samples] for prefix in ("", "guide_")]
        where: list[Points | None] = [None] * (2 * self.batch)
        for first, some in zip((0, self.batch), five, strict=True):
            for sample, points in zip(samples, some, strict=True):
                where[first + sample.slot] = points
        meshes = self.meshes(torch.cat([live, guides]), where)
        pairs = []
        for sample, *known in zip(samples, *five, strict=True):
            mine, theirs = meshes[sample.slot], meshes[self.batch + sample.slot]
            pairs.append((known[0], known[1]) if mine is None or theirs is None else (mine, theirs))
        return pairs

    def _product(self, sample: Sample, made: Mapping[str, Any], simulated: Simulated | None) -> Product | Reject:
        if not made["finite"][sample.slot]:
            return Reject(Reason.NOT_FINITE, f"the spoof holds values that are not finite ({self.disentangle.dtype})")
        values: dict[str, Scalar] = common(sample) | {
            "method": "stdn",
            "trace_strength": self.strength(sample),
            "calls": 1,
            "passes": 1,
            "landmarks_warped": int(made["landmarks"][sample.slot]),
            "parameters": as_json(simulated) if simulated else None,
        }
        return Product(images={"crop": made["crop"][sample.slot]}, values=values)


def _points(sample: Sample, prefix: str) -> Points:
    landmarks, transform = (cast(list[float], sample.values[prefix + name]) for name in ("landmarks", "transform"))
    return crop_points(landmarks, transform)
