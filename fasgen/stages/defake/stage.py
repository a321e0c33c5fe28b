"""The stage: crops and identity maps in, residual cues out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fasgen.errors import ConfigError
from fasgen.records import Reason
from fasgen.seeds import normal_noise
from fasgen.stages.batching import in_slots, resolve_dtype, to_signed
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.cue import crop_points, face_ellipse, residual, statistics
from fasgen.stages.defake.model import DFG
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.weights import embedded


class Defake:
    """De-fakes batches of crops.

    Args:
        config: settings.
        device: where the networks compute.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit each other.
    """

    def __init__(self, config: DefakeConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.dtype = resolve_dtype(config.dtype, device)
        folder = embedded("dfg") if config.weights == "embedded" else Path(config.weights)
        self.dfg = DFG.load(folder, config.unet).to(device, self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile == "on" or (config.compile == "auto" and device.type == "cuda"):
            # No CUDA graphs: their trees belong to one thread, and units of one worker are computed by several in turn.
            self.dfg.unet = cast(Any, torch.compile(self.dfg.unet, dynamic=False))
        self.trained = getattr(self.dfg.unet.config, "sample_size", None)
        self.calls = len(self.dfg.points(config.t, config.steps))

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        crops = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        height, width = crops.shape[1:3]
        factor = self.dfg.latents.factor
        latent = (-(-height // factor), -(-width // factor))
        self._check_size(latent, factor)
        maps = in_slots(batch, self.config.batch, lambda sample: sample.arrays["identity_map"])
        channels = self.dfg.unet.config.in_channels
        eps = in_slots(batch, self.config.batch, lambda sample: normal_noise(sample.seed, (channels, *latent)))
        levels = self._reconstruct(crops, maps, eps, latent, factor)
        return [self._product(sample, levels[sample.slot]) for sample in batch]

    def _check_size(self, latent: tuple[int, int], factor: int) -> None:
        trained = (self.trained, self.trained) if isinstance(self.trained, int) else tuple(self.trained or latent)
        if latent != trained and not self.config.any_size:
            raise ConfigError(
                f"defake: the crops are {latent[1] * factor} px wide but the U-Net was trained on {trained[1] * factor}; "
                f"set align.size={trained[1] * factor}, give other defake.weights, or allow it with defake.any_size=true"
            )

    @torch.no_grad()
    def _reconstruct(self, crops: Any, maps: Any, eps: Any, latent: tuple[int, int], factor: int) -> Any:
        """(B, H, W, 3) float32 levels, not yet rounded; not finite where the network failed."""
        height, width = crops.shape[1:3]
        x = to_signed(crops, self.device, self.dtype)
        x = F.pad(x, (0, latent[1] * factor - width, 0, latent[0] * factor - height), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        identity_map = torch.from_numpy(maps).to(self.device, self.dtype)
        noise = torch.from_numpy(eps).to(self.device)
        y: Tensor = self.dfg.reconstruct(x, identity_map, noise, self.config.t, self.config.steps)
        y = (y[..., :height, :width].float() + 1) * 127.5
        return y.permute(0, 2, 3, 1).cpu().numpy()

    def _product(self, sample: Sample, levels: Any) -> Product | Reject:
        if not np.isfinite(levels).all():
            return Reject(Reason.NOT_FINITE, f"the reconstruction holds values that are not finite ({self.dtype})")
        crop = sample.images["crop"]
        reconstruction = np.rint(levels).clip(0, 255).astype(np.uint8)
        cue = residual(crop, reconstruction)
        points = crop_points(cast(list[float], sample.values["landmarks"]), cast(list[float], sample.values["transform"]))
        figures = statistics(cue, face_ellipse(points, *crop.shape[:2]))
        images = {"reconstruction": reconstruction} if self.config.reconstruction else {}
        return Product(images=images, arrays={"residual": cue}, values={**figures, "t": self.config.t, "calls": self.calls})


def build(config: DefakeConfig, device: torch.device) -> Defake:
    """Factory named in the specification."""
    return Defake(config, device)
