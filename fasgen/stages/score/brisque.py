"""BRISQUE: a picture's distance from natural-scene statistics, as a score (Mittal, Moorthy, Bovik, IEEE TIP 2012)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.stages.score.aggd import FEATURES, statistics
from fasgen.stages.score.moments import moments
from fasgen.stages.score.moments_cpu import CpuMoments
from fasgen.stages.score.support_vectors import SupportVectors

REFERENCE = "brisque-0.2.0"
"""The PyPI package whose scores these equal."""


class Brisque:
    """Scores batches of images; lower is better, photographs lie mostly in 0 to 100, and the scale is open at both ends.

    Everything is float64: in float32 the statistics of a smooth picture lose enough digits to move its score by several points.

    Args:
        model: support vectors and feature ranges.
        device: where to compute; on a CPU an image's score does not depend on its batch.
    """

    def __init__(self, model: SupportVectors, device: torch.device) -> None:
        self.device = device
        self._cpu_moments = CpuMoments()
        self.implementation = f"fasgen-1, equal to {REFERENCE}, model {model.digest}"
        self._low = torch.from_numpy(model.low).to(device)
        self._gain = torch.from_numpy(2 / (model.high - model.low)).to(device)
        self._vectors = torch.from_numpy(model.vectors).to(device)
        self._coefficients = torch.from_numpy(model.coefficients).to(device)
        self._gamma, self._rho = model.gamma, model.rho

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (B, H, W, 3) uint8 RGB, both sides at least ``moments.MIN_SIDE`` pixels.

        Returns:
            (B,) float64 scores; not finite where an image has too little texture for the statistics to exist.
        """
        if self.device.type != "cpu":
            return self.regress(self.features(images))
        # One image at a time stays in the processor's cache, and vector tails cannot depend on its place in the batch.
        return torch.cat([self.regress(self.features(image)) for image in torch.split(images, 1)])

    def of_slots(self, images: NDArray[np.uint8], slots: Sequence[int]) -> list[float | None]:
        """Scores of the images (B, H, W, 3) in some slots of a batch, in their order; ``None`` where there is none."""
        # A CPU scores images one by one, so that empty slots need not be computed; elsewhere they keep the batch's shape.
        on_cpu = self.device.type == "cpu"
        scores = self(torch.from_numpy(images[list(slots)] if on_cpu else images)).cpu().tolist()
        chosen = scores if on_cpu else [scores[slot] for slot in slots]
        return [score if math.isfinite(score) else None for score in chosen]

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """The 36 statistics, (B, H, W, 3) uint8 to (B, 36) float64."""
        if self.device.type != "cpu":
            return statistics(moments(images.to(self.device)))
        return statistics(torch.from_numpy(np.stack([self._cpu_moments(image) for image in images.cpu().numpy()])))

    @torch.inference_mode()
    def regress(self, features: Tensor) -> Tensor:
        """Support vector regression of (B, 36) statistics to (B,) scores."""
        x = (features - self._low) * self._gain - 1
        distance = (x.view(-1, 1, FEATURES) - self._vectors).square_().sum(2)
        return torch.exp(distance.mul_(-self._gamma)) @ self._coefficients - self._rho
