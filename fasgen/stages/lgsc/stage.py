"""The stage: crops in, spoof cue maps and their scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.records import Reason
from fasgen.stages.batching import in_slots, resolve_dtype, to_signed
from fasgen.stages.lgsc.config import LgscConfig, weights_folder
from fasgen.stages.lgsc.cue import overlay, score, to_integers
from fasgen.stages.lgsc.network import GeneratorConfig, SpoofCueGenerator
from fasgen.stages.network_folder import load_network
from fasgen.stages.stage import Product, Reject, Sample

MIN_SIDE = 32
"""Below it the encoder's last map would be smaller than a pixel of its stride."""


class Lgsc:
    """Draws spoof cue maps of batches of crops.

    Args:
        config: settings.
        device: where the generator computes.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit each other.
    """

    def __init__(self, config: LgscConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.dtype = resolve_dtype(config.dtype, device)
        network = load_network(weights_folder(config.weights), SpoofCueGenerator, GeneratorConfig)
        self.network = network.to(device, self.dtype)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        crops = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        height, width = crops.shape[1:3]
        if min(height, width) < MIN_SIDE:
            return [Reject(Reason.TOO_SMALL, f"{width} x {height} pixels; lgsc needs {MIN_SIDE}") for _ in batch]
        maps = self._maps(crops)
        return [self._product(sample, maps[sample.slot]) for sample in batch]

    @torch.inference_mode()
    def _maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) in [-1, 1]; not finite where the network failed."""
        cue = self.network(to_signed(crops, self.device, self.dtype)).map.float()
        maps: NDArray[np.float32] = cue.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return maps

    def _product(self, sample: Sample, cue: NDArray[np.float32]) -> Product | Reject:
        if not np.isfinite(cue).all():
            return Reject(Reason.NOT_FINITE, f"the spoof cue map holds values that are not finite ({self.dtype})")
        levels = to_integers(cue)
        images: dict[str, Any] = {}
        if self.config.overlay:
            images["lgsc_overlay"] = overlay(sample.images["crop"], levels)
        return Product(images=images, arrays={"lgsc": levels}, values={"lgsc_score": score(levels)})


def build(config: LgscConfig, device: torch.device) -> Lgsc:
    """Factory named in the specification."""
    return Lgsc(config, device)
