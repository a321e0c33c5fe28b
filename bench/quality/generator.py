"""Reconstructions by the stages themselves, so that what is measured is what the pipeline makes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.errors import SourceError
from fasgen.seeds import sample_seed
from fasgen.stages.align.template import ARCFACE
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.stage import Defake
from fasgen.stages.identify.config import IdentifyConfig
from fasgen.stages.identify.stage import Identify
from fasgen.stages.stage import Product, Sample

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """Which generator, and how it runs.

    Attributes:
        weights: ``embedded`` or the generator's folder in the diffusers layout.
        identity: ``embedded`` or the identity network that the generator was trained with.
        t: strength.
        steps: grid points over the whole range of noise.
        batch: samples a call.
        device: torch's name of the device.
    """

    weights: str = "embedded"
    identity: str = "embedded"
    t: int = 800
    steps: int = 50
    batch: int = 16
    device: str = "cpu"


@dataclass(frozen=True)
class Reconstructed:
    """Reconstructions (N, H, W, 3), network calls each, and milliseconds an image of defake alone."""

    images: Images
    calls: int
    milliseconds: float


class Generator:
    """Identify and defake, one after the other, on crops.

    Args:
        settings: which generator, and how it runs.

    Raises:
        WeightsError: the weights are missing, unsafe or do not fit each other.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = torch.device(settings.device)
        self._identify = Identify(
            IdentifyConfig.model_validate({"weights": settings.identity, "batch": settings.batch}), self.device
        )
        self._defake: dict[int, Defake] = {}

    def _stage(self, t: int) -> Defake:
        if t not in self._defake:
            s = self.settings
            values = {"weights": s.weights, "t": t, "steps": s.steps, "batch": s.batch, "reconstruction": True}
            self._defake[t] = Defake(DefakeConfig.model_validate(values), self.device)
        return self._defake[t]

    def embeddings(self, crops: Images) -> NDArray[np.float32]:
        """Unit embeddings (N, 512) by the network that conditions the generator."""
        samples = [Sample(str(i), 0, i % self.settings.batch, images={"crop": c}) for i, c in enumerate(crops)]
        return np.stack([p.arrays["embedding"] for p in self._run(self._identify, samples)])

    def reconstruct(self, crops: Images, names: Sequence[str], t: int | None = None, told: str = "") -> Reconstructed:
        """The real version of each crop.

        Args:
            crops: (N, H, W, 3).
            names: one a crop; its noise comes from it alone.
            t: strength, that of the settings where not given; 0 is the autoencoder alone.
            told: where not empty, progress is printed under this name.
        """
        stage = self._stage(self.settings.t if t is None else t)
        batch, size = self.settings.batch, crops.shape[1]
        # The crops lie on the template already, and defake asks for the points only to weigh its statistics.
        values: dict[str, list[float]] = {"landmarks": (ARCFACE * size).ravel().tolist(), "transform": [1, 0, 0, 0, 1, 0]}
        out, spent = np.empty_like(crops), 0.0
        for first in range(0, len(crops), batch):
            part = crops[first : first + batch]
            samples = [
                Sample(name, sample_seed(0, "defake", name), slot, images={"crop": crop}, values=dict(values))
                for slot, (name, crop) in enumerate(zip(names[first : first + batch], part, strict=True))
            ]
            for sample, product in zip(samples, self._run(self._identify, samples), strict=True):
                sample.arrays["identity_map"] = product.arrays["identity_map"]
            began = time.perf_counter()
            made = self._run(stage, samples)
            spent += time.perf_counter() - began
            out[first : first + len(part)] = np.stack([p.images["reconstruction"] for p in made])
            done = first + len(part)
            if told and (first // batch % 10 == 9 or done == len(crops)):
                print(f"{told}: {done} of {len(crops)}, {spent / done * 1e3:.1f} ms an image", flush=True)
        return Reconstructed(out, stage.calls, spent / max(len(crops), 1) * 1e3)

    def _run(self, stage: Identify | Defake, samples: list[Sample]) -> list[Product]:
        products: list[Product] = []
        for first in range(0, len(samples), self.settings.batch):
            part = samples[first : first + self.settings.batch]
            for sample, product in zip(part, stage(part), strict=True):
                if not isinstance(product, Product):
                    raise SourceError(f"sample {sample.sample_id}: {product.reason.value}, {product.detail}")
                products.append(product)
        return products
