"""Reconstructions of strangers, noise draw by noise draw, each made once and kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.generator import Generator, Settings, walk_name
from bench.quality.probe import residual
from bench.quality.strangers import Strangers

Images = NDArray[np.uint8]


class Walks:
    """What the stage makes of faces, by whatever walk.

    A face's draws are those of the stage, made one by one: so walks with more or fewer of them share them, and a run that was
    stopped goes on.

    Args:
        settings: the generator and how it walks unless told otherwise.
        faces: whose.
        out: folder to keep reconstructions in.
    """

    def __init__(self, settings: Settings, faces: Strangers, out: Path) -> None:
        self.settings, self.faces, self._out = settings, faces, out / "draws"

    def draw(self, number: int = 0, **changes: object) -> Images:
        """Draw ``number`` (N, H, W, 3) of every face, under changed settings of the stage."""
        settings = self.settings.walking(**changes | {"draws": 1})
        path, names = self._out / f"{settings.key()}-{number}.npz", self.faces.names
        if path.exists():
            with np.load(path, allow_pickle=False) as f:
                if np.array_equal(f["names"], names):
                    kept: Images = f["images"]
                    return kept
        told = f"{walk_name(settings.defake)}, t = {settings.defake.t}, draw {number + 1}"
        images = Generator(settings).reconstruct(self.faces.images, names.tolist(), draw=number, told=told).images
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=images, names=names)
        return images

    def reconstruction(self, **changes: object) -> Images:
        """Mean over all draws (N, H, W, 3), under changed settings, in whole levels as the stage gives it."""
        draws = self.settings.walking(**changes).defake.draws
        if draws == 1:
            return self.draw(**changes)
        total = np.zeros(self.faces.images.shape, np.uint16)
        for number in range(draws):
            total += self.draw(number, **changes)
        return np.rint(total / np.float32(draws)).astype(np.uint8)

    def residual(self, **changes: object) -> NDArray[np.int16]:
        """Image less reconstruction (N, H, W, 3), in levels."""
        return residual(self.faces.images, self.reconstruction(**changes))
