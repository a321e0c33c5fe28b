"""The stage: crops and identity maps in, residual cues out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fasgen.errors import ConfigError
from fasgen.records import Reason
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.batching import Fetched, in_slots, resolve_dtype, signed, to_device
from fasgen.stages.compiled import compiled
from fasgen.stages.defake.config import DefakeConfig, model_folder, trained_size, unet_folder, unguided
from fasgen.stages.defake.cue import crop_points, face_ellipses, residuals, statistics, sums
from fasgen.stages.defake.model import DFG
from fasgen.stages.denoising.grids import exact_grid
from fasgen.stages.fp8 import in_float8
from fasgen.stages.settings import batch_size, wrong_size
from fasgen.stages.stage import Product, Reject, Sample


class Defake:
    """De-fakes batches of crops.

    Args:
        config: settings.
        device: where the networks compute.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit each other.
        ConfigError: if the device lacks what ``dtype`` asks for, or the weights cannot be guided.
    """

    def __init__(self, config: DefakeConfig, device: torch.device) -> None:
        if wrong := unguided(config):
            raise ConfigError(wrong)
        self.config, self.device, self.batch = config, device, batch_size(config)
        self.dtype = resolve_dtype("bf16" if config.dtype == "fp8" else config.dtype, device)
        dfg = DFG.load(model_folder(config), unet_folder(config)).to(device, self.dtype)
        self.dfg = dfg.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.dtype == "fp8":
            in_float8(self.dfg.unet, device)
        self.dfg.compile(partial(compiled, setting=config.compile, device=device))
        self.points = (
            exact_grid(config.t, config.calls, config.spacing, self.dfg.train_steps)
            if config.steps is None
            else self.dfg.paper_grid(config.t, config.steps)
        )
        self.calls, self._trained = len(self.points), trained_size(config)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        return self.start(batch)()

    def start(self, batch: Sequence[Sample]) -> Callable[[], list[Product | Reject]]:
        """Launch a batch on the device; what is returned waits for it and makes the products."""
        crops = in_slots(batch, self.batch, lambda sample: sample.images["crop"])
        height, width = crops.shape[1:3]
        factor = self.dfg.latents.factor
        latent = (-(-height // factor), -(-width // factor))
        if wrong := wrong_size((height, width), self._trained, "defake", "weights", self.config):
            raise ConfigError(wrong)
        maps = in_slots(batch, self.batch, lambda sample: sample.arrays["identity_map"])
        shape = (self.dfg.unet.config.in_channels, *latent)
        eps = in_slots(batch, self.batch, lambda sample: self._noise(sample, shape))
        points = in_slots(batch, self.batch, _points)
        fetched = self._launch(crops, maps, eps, points, latent)
        return lambda: self._products(batch, fetched())

    def _noise(self, sample: Sample, shape: tuple[int, ...]) -> Any:
        """(K, *shape): the first draw is that of a single one."""
        others = range(1, self.config.draws)
        seeds = [sample.seed, *(sample_seed(sample.seed, "draw", sample.sample_id, k) for k in others)]
        return np.stack([normal_noise(seed, shape) for seed in seeds])

    @torch.no_grad()
    def _launch(self, crops: Any, maps: Any, eps: Any, points: Any, latent: tuple[int, int]) -> Fetched:
        """Everything from crops to residuals, on the device."""
        height, width = crops.shape[1:3]
        factor, draws = self.dfg.latents.factor, self.config.draws
        levels = to_device(crops, self.device)
        x = F.pad(
            signed(levels, self.dtype),
            (0, latent[1] * factor - width, 0, latent[0] * factor - height),
            mode="replicate",
        )
        x = x.contiguous(memory_format=torch.channels_last)
        identity_map = to_device(maps, self.device).to(self.dtype)
        noise = to_device(eps, self.device).flatten(0, 1)
        y: Tensor = self.dfg.reconstruct(x, identity_map, noise, self.points, self.config.sampler, self.config.guidance)
        y = ((y[..., :height, :width].float() + 1) * 127.5).permute(0, 2, 3, 1)
        y = y.reshape(-1, draws, *y.shape[1:])
        mean = y.mean(1) if draws > 1 else y[:, 0]
        finite = mean.isfinite().flatten(1).all(1)
        reconstructions = mean.nan_to_num().round().clamp(0, 255).to(torch.uint8)
        cues = residuals(levels, reconstructions)
        out = {
            "residual": cues,
            "finite": finite,
            "sums": sums(cues, face_ellipses(to_device(points, self.device), height, width)),
        }
        if draws > 1:
            spread = y.std(1)
            out["draw_deviation"] = spread.double().flatten(1).mean(1)
            if self.config.deviation:
                out["deviation"] = spread.half()
        if self.config.reconstruction:
            out["reconstruction"] = reconstructions
        return Fetched(out)

    def _products(self, batch: Sequence[Sample], made: dict[str, Any]) -> list[Product | Reject]:
        return [self._product({name: part[sample.slot] for name, part in made.items()}) for sample in batch]

    def _product(self, made: dict[str, Any]) -> Product | Reject:
        if not made["finite"]:
            return Reject(Reason.NOT_FINITE, f"the reconstruction holds values that are not finite ({self.dtype})")
        values = statistics(made["sums"], made["residual"].size) | {
            "t": self.config.t,
            "start": self.points[0] if self.points else None,
            "calls": self.calls,
            "draws": self.config.draws,
            "draw_deviation": float(made["draw_deviation"]) if "draw_deviation" in made else None,
        }
        return Product(
            images={name: made[name] for name in ("reconstruction",) if name in made},
            arrays={name: made[name] for name in ("residual", "deviation") if name in made},
            values=values,
        )


def _points(sample: Sample) -> Any:
    return crop_points(cast(list[float], sample.values["landmarks"]), cast(list[float], sample.values["transform"]))


def rehearse(stage: Defake, side: int) -> None:
    """One full batch of grey crops of ``side`` px, to the end."""
    values: dict[str, Any] = {"landmarks": [0.0] * 10, "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    images, arrays = {"crop": np.full((side, side, 3), 128, np.uint8)}, {"identity_map": np.zeros((512, 7, 7), np.float16)}
    stage([Sample(f"{slot:016x}", slot, slot, images, arrays, values=values) for slot in range(stage.batch)])


def build(config: DefakeConfig, device: torch.device) -> Defake:
    """Factory named in the specification."""
    return Defake(config, device)
