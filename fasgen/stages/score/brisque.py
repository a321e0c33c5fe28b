"""BRISQUE: a picture's distance from natural-scene statistics, as a score (Mittal, Moorthy, Bovik, IEEE TIP 2012)."""

from __future__ import annotations

import torch
from torch import Tensor

from fasgen.stages.score.scene_statistics import FEATURES, features, luminance
from fasgen.stages.score.support_vectors import SupportVectors

REFERENCE = "brisque-0.2.0"
"""The PyPI package whose scores these equal."""


class Brisque:
    """Scores batches of images; lower is better, natural photographs lie mostly in 0 to 100, and the scale is open at both ends.

    Everything is float64: in float32 the statistics of a smooth picture lose enough digits to move its score by several points.

    Args:
        model: support vectors and feature ranges.
        device: where to compute.
    """

    def __init__(self, model: SupportVectors, device: torch.device) -> None:
        self.device = device
        self.implementation = f"fasgen-1 (as {REFERENCE}) {model.digest}"
        low, high = torch.from_numpy(model.low), torch.from_numpy(model.high)
        self._gain = (2 / (high - low)).to(device)
        self._low = low.to(device)
        self._vectors = torch.from_numpy(model.vectors).to(device)
        self._coefficients = torch.from_numpy(model.coefficients).to(device)
        self._gamma, self._rho = model.gamma, model.rho

    def __call__(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (B, H, W, 3) uint8 RGB, both sides at least 4 pixels.

        Returns:
            (B,) float64 scores; not finite where an image has too little texture for the statistics to exist.
        """
        # A CPU works best on one image at a time, whose maps stay in its cache; and an image's score then never
        # depends on its place in the batch.
        chunks = images.split(1) if self.device.type == "cpu" else (images,)
        return torch.cat([self.regress(self.features(chunk)) for chunk in chunks])

    def features(self, images: Tensor) -> Tensor:
        """The 36 statistics, (B, H, W, 3) uint8 to (B, 36) float64."""
        with torch.inference_mode():
            return features(luminance(images.to(self.device)))

    def regress(self, statistics: Tensor) -> Tensor:
        """Support vector regression of (B, 36) statistics to (B,) scores."""
        with torch.inference_mode():
            x = (statistics - self._low) * self._gain - 1
            distance = (x.view(-1, 1, FEATURES) - self._vectors).square_().sum(2)
            return torch.exp(distance.mul_(-self._gamma)) @ self._coefficients - self._rho
