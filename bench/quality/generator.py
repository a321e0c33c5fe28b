"""Reconstructions by the stages themselves, so that what is measured is what the pipeline makes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.errors import SourceError
from fasgen.manifests.weights import digest_weights
from fasgen.seeds import sample_seed
from fasgen.stages.align.template import ARCFACE
from fasgen.stages.defake.config import SPEC, DefakeConfig
from fasgen.stages.defake.stage import Defake
from fasgen.stages.identify.config import IdentifyConfig, weights_path
from fasgen.stages.identify.stage import Identify
from fasgen.stages.settings import batch_size
from fasgen.stages.stage import Product, Sample

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """Which generator, and how it runs.

    Attributes:
        defake: settings of the stage.
        identity: ``embedded`` or the identity network that the generator was trained with.
        device: torch's name of the device.
    """

    defake: DefakeConfig = field(default_factory=DefakeConfig)
    identity: str = "embedded"
    device: str = "cpu"

    def walking(self, **changes: object) -> Settings:
        """The same with other settings of the stage."""
        return replace(self, defake=DefakeConfig.model_validate(self.defake.model_dump() | changes))

    def key(self) -> str:
        """Of the weights and of the settings that decide a reconstruction; at t = 0 of the autoencoder alone."""
        walk = self.defake
        paths = SPEC.weights(walk) | {"identity": weights_path(self.identity)}
        if walk.t == 0:
            return f"{digest_weights({'vae': paths['vae']})['vae'][:8]}-t0"
        digests = "".join(digest[:4] for digest in digest_weights(paths).values())
        return f"{digests}-t{walk.t}-{walk_name(walk).replace(' ', '-')}"


def walk_name(walk: DefakeConfig) -> str:
    """Draws, calls and sampler in words, as in ``4 x 10 ddim``; AG-FAS's grid is named."""
    grid = f"agfas-{walk.steps}" if walk.steps is not None else str(walk.calls)
    spacing = "" if walk.steps is not None or walk.spacing == "even" else f" {walk.spacing}"
    return f"{walk.draws} x {grid} {walk.sampler}{spacing}"


@dataclass(frozen=True)
class Reconstructed:
    """Reconstructions (N, H, W, 3), network calls each, and milliseconds an image of defake alone."""

    images: Images
    calls: int
    milliseconds: float


def noise_seed(name: str, draw: int = 0) -> int:
    """Seed under which the stage's only draw is the one that it makes as number ``draw`` of several."""
    seed = sample_seed(0, "defake", name)
    return sample_seed(seed, "draw", name, draw) if draw else seed


class Generator:
    """Identify and defake, one after the other, on crops.

    Args:
        settings: which generator, and how it runs.

    Raises:
        WeightsError: the weights are missing, unsafe or do not fit each other.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self._batch = settings, batch_size(settings.defake)
        self.device = torch.device(settings.device)
        values = {"weights": settings.identity, "batch": self._batch}
        self._identify = Identify(IdentifyConfig.model_validate(values), self.device)
        self._defake: dict[int, Defake] = {}

    def _stage(self, t: int) -> Defake:
        if t not in self._defake:
            config = self.settings.walking(t=t, batch=self._batch, reconstruction=True).defake
            self._defake[t] = Defake(config, self.device)
        return self._defake[t]

    def embeddings(self, crops: Images) -> NDArray[np.float32]:
        """Unit embeddings (N, 512) by the network that conditions the generator."""
        samples = [Sample(str(i), 0, i % self._batch, images={"crop": c}) for i, c in enumerate(crops)]
        return np.stack([p.arrays["embedding"] for p in self._run(self._identify, samples)])

    def reconstruct(
        self, crops: Images, names: Sequence[str], t: int | None = None, *, draw: int = 0, told: str = ""
    ) -> Reconstructed:
        """The real version of each crop.

        Args:
            crops: (N, H, W, 3).
            names: one a crop; its noise comes from it alone.
            t: strength, that of the settings where not given; 0 is the autoencoder alone.
            draw: which of the face's noise draws is the first: with one draw a walk, that draw alone.
            told: where not empty, progress is printed under this name.
        """
        stage = self._stage(self.settings.defake.t if t is None else t)
        batch, size = self._batch, crops.shape[1]
        # The crops lie on the template already, and defake asks for the points only to weigh its statistics.
        values: dict[str, list[float]] = {"landmarks": (ARCFACE * size).ravel().tolist(), "transform": [1, 0, 0, 0, 1, 0]}
        out, spent = np.empty_like(crops), 0.0
        for first in range(0, len(crops), batch):
            part = crops[first : first + batch]
            samples = [
                Sample(name, noise_seed(name, draw), slot, images={"crop": crop}, values=dict(values))
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
        for first in range(0, len(samples), self._batch):
            part = samples[first : first + self._batch]
            for sample, product in zip(part, stage(part), strict=True):
                if not isinstance(product, Product):
                    raise SourceError(f"sample {sample.sample_id}: {product.reason.value}, {product.detail}")
                products.append(product)
        return products
