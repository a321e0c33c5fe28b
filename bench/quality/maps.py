"""Cue maps of strangers by the stages themselves, each made once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.strangers import Strangers
from fasgen.errors import SourceError
from fasgen.manifests.weights import digest_weights
from fasgen.stages.align.template import target
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.config import weights_folder as lgsc_folder
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.stdn.config import StdnConfig
from fasgen.stages.stdn.config import weights_folder as stdn_folder
from fasgen.stages.stdn.stage import Stdn

BATCH = 16
Stage = Callable[[Sequence[Sample]], list[Product | Reject]]


class Maps:
    """Cues (N, H, W, 3) of LGSC and STDN+, signed, in the units of their stages.

    Args:
        lgsc, stdn: settings of the stages.
        faces: whose.
        out: folder to keep them in.
        device: torch's name of the device.
    """

    def __init__(self, lgsc: LgscConfig, stdn: StdnConfig, faces: Strangers, out: Path, device: str) -> None:
        self._lgsc, self._stdn = lgsc.model_copy(update={"batch": BATCH}), stdn.model_copy(update={"batch": BATCH})
        self._faces, self._out, self._device = faces, out / "maps", torch.device(device)

    def lgsc(self) -> NDArray[np.int16]:
        """Spoof cue maps."""
        return self._kept("lgsc", lgsc_folder(self._lgsc.weights), lambda: Lgsc(self._lgsc, self._device))

    def stdn(self) -> NDArray[np.int16]:
        """Additive spoof traces."""
        return self._kept("stdn", stdn_folder(self._stdn.weights), lambda: Stdn(self._stdn, self._device))

    def _kept(self, name: str, weights: Path, build: Callable[[], Stage]) -> NDArray[np.int16]:
        path, names = self._out / f"{name}-{digest_weights({name: weights})[name][:12]}.npz", self._faces.names
        if path.exists():
            with np.load(path, allow_pickle=False) as f:
                if np.array_equal(f["names"], names):
                    kept: NDArray[np.int16] = f["maps"]
                    return kept
        maps = self._made(build(), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, maps=maps, names=names)
        return maps

    def _made(self, stage: Stage, name: str) -> NDArray[np.int16]:
        images, side = self._faces.images, self._faces.images.shape[1]
        # The crops lie on the template already.
        where: dict[str, Any] = {"landmarks": target("arcface", side).ravel().tolist(), "transform": [1.0, 0, 0, 0, 1.0, 0]}
        maps: list[NDArray[np.int16]] = []
        for first in range(0, len(images), BATCH):
            part = images[first : first + BATCH]
            for made in stage([Sample(str(first + i), 0, i, {"crop": one}, values=dict(where)) for i, one in enumerate(part)]):
                if not isinstance(made, Product):
                    raise SourceError(
                        f"{self._faces.names[len(maps)]}: {name} gives no map: {made.reason.value}, {made.detail}"
                    )
                maps.append(np.asarray(made.arrays[name], np.int16))
        return np.stack(maps)
