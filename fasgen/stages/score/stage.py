"""The stage: crops, residuals and embeddings in, scores and a verdict out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.errors import WeightsError
from fasgen.records import Reason, Scalar
from fasgen.stages.batching import in_slots, to_signed
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load as load_identity
from fasgen.stages.score.brisque import Brisque
from fasgen.stages.score.config import ScoreConfig, brisque_folder
from fasgen.stages.score.moments import MIN_SIDE
from fasgen.stages.score.support_vectors import load as load_support_vectors
from fasgen.stages.stage import RGB, Product, Reject, Sample

DIRECTION = "lower is better"
RANGE = "open; photographs mostly 0 to 100"

_SAME_NETWORK = 0.98


class Score:
    """Scores batches of crops and their reconstructions.

    Args:
        config: settings.
        device: where BRISQUE (float64) and the identity network (float32) compute.

    Raises:
        WeightsError: if weights are missing or damaged.
    """

    def __init__(self, config: ScoreConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.brisque = Brisque(load_support_vectors(brisque_folder(config.brisque_model)), device)
        self.network = load_identity(weights_path(config.identity_weights)).to(device)
        self._network_checked = False

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        crops = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        if min(crops.shape[1:3]) < MIN_SIDE:
            detail = f"{crops.shape[2]} x {crops.shape[1]} pixels; BRISQUE needs {MIN_SIDE}"
            return [Reject(Reason.TOO_SMALL, detail) for _ in batch]
        reconstructions = in_slots(batch, self.config.batch, reconstruction)
        slots = [sample.slot for sample in batch]
        own, made = (self.brisque.of_slots(images, slots) for images in (crops, reconstructions))
        if not self._network_checked:
            self._check_network(batch[0], crops)
        embeddings = self._embed(reconstructions)
        return [
            self._verdict(own[i], made[i], float(sample.arrays["embedding"].astype(np.float64) @ embeddings[sample.slot]))
            for i, sample in enumerate(batch)
        ]

    @torch.inference_mode()
    def _embed(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        embeddings: NDArray[np.float64] = self.network(to_signed(images, self.device)).embedding.double().cpu().numpy()
        return embeddings

    def _check_network(self, sample: Sample, crops: NDArray[np.uint8]) -> None:
        """Embeddings of two networks cannot be compared: what identify stored must come from this one."""
        mine, stored = self._embed(crops)[sample.slot], sample.arrays["embedding"]
        if mine.shape != stored.shape or float(mine @ stored) < _SAME_NETWORK:
            raise WeightsError(
                f"score.identity_weights ({self.config.identity_weights}) is not the network that identify used; "
                "set it to the value of identify.weights"
            )
        self._network_checked = True

    def _verdict(self, own: float | None, made: float | None, similarity: float) -> Product | Reject:
        if not math.isfinite(similarity):
            return Reject(Reason.NOT_FINITE, "the embedding of the reconstruction holds values that are not finite")
        similarity = min(1.0, max(-1.0, similarity))
        missed = self._missed(own, similarity)
        if missed and self.config.on_fail == "reject":
            reason = next(iter(missed))
            return Reject(reason, "; ".join(missed.values()))
        values: dict[str, Scalar] = {
            "brisque": own,
            "brisque_reconstruction": made,
            "brisque_impl": self.brisque.implementation,
            "brisque_direction": DIRECTION,
            "brisque_range": RANGE,
            "identity_similarity": similarity,
            "verdict": "; ".join(missed.values()) or "accepted",
        }
        return Product(values=values)

    def _missed(self, brisque: float | None, similarity: float) -> dict[Reason, str]:
        """The bands that a sample misses, in words, by reason."""
        low, high, least = self.config.brisque_min, self.config.brisque_max, self.config.min_identity_similarity
        missed: dict[Reason, str] = {}
        if brisque is None:
            if low is not None or high is not None:
                missed[Reason.QUALITY] = "brisque is undefined: too little texture"
        elif low is not None and brisque < low:
            missed[Reason.QUALITY] = f"brisque {brisque:.4g} below brisque_min {low:g}"
        elif high is not None and brisque > high:
            missed[Reason.QUALITY] = f"brisque {brisque:.4g} above brisque_max {high:g}"
        if least is not None and similarity < least:
            missed[Reason.IDENTITY_LOST] = f"identity_similarity {similarity:.4g} below min_identity_similarity {least:g}"
        return missed


def reconstruction(sample: Sample) -> RGB:
    """The de-faked face, bit for bit: crop minus residual."""
    levels: NDArray[Any] = sample.images["crop"].astype(np.int16) - sample.arrays["residual"]
    return levels.astype(np.uint8)


def build(config: ScoreConfig, device: torch.device) -> Score:
    """Factory named in the specification."""
    return Score(config, device)
