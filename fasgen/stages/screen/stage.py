"""The stage: spoofs with their live faces and guides in, figures and a verdict out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.records import Reason, Scalar
from fasgen.stages.batching import in_slots, to_signed
from fasgen.stages.score.brisque import Brisque
from fasgen.stages.score.config import brisque_folder
from fasgen.stages.score.moments import MIN_SIDE
from fasgen.stages.score.support_vectors import load as load_support_vectors
from fasgen.stages.screen.config import ScreenConfig
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.synth.config import model_folder
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder


class Screen:
    """Measures spoofs and judges them.

    Args:
        config: settings.
        device: where BRISQUE (float64) and the style encoder (float32) compute.

    Raises:
        WeightsError: if weights are missing or damaged.
    """

    def __init__(self, config: ScreenConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.brisque = Brisque(load_support_vectors(brisque_folder(config.brisque_model)), device)
        self.encoder = StyleEncoder.load(model_folder(config.style_weights) / "style_encoder").to(device)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        images = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        if min(images.shape[1:3]) < MIN_SIDE:
            detail = f"{images.shape[2]} x {images.shape[1]} pixels; BRISQUE needs {MIN_SIDE}"
            return [Reject(Reason.TOO_SMALL, detail) for _ in batch]
        slots = [sample.slot for sample in batch]
        scores = self.brisque.of_slots(images, slots)
        styles = self._styles(images)
        return [self._one(batch, i, scores[i], styles[slots[i]]) for i in range(len(batch))]

    @torch.inference_mode()
    def _styles(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = (
            self.encoder.logits(to_signed(images, self.device)).double().softmax(1).cpu().numpy()
        )
        return probabilities

    def _one(self, batch: Sequence[Sample], index: int, score: float | None, styles: NDArray[np.float64]) -> Product | Reject:
        sample, known = batch[index], self.encoder.config.styles
        style = str(sample.values["style"])
        low, high = self.encoder.config.band(style) or (None, None)
        values: dict[str, Scalar] = {
            "brisque": score,
            "brisque_low": low,
            "brisque_high": high,
            "brisque_impl": self.brisque.implementation,
            "identity_similarity": _cosine(sample, "live_embedding"),
            "guide_similarity": _cosine(sample, "guide_embedding"),
            "style_verdict": known[int(styles.argmax())],
            "style_probability": float(styles[known.index(style)]) if style in known else None,
            "difference": _difference(sample.images["crop"], sample.images["live_crop"]),
        }
        missed = missed_limits(values, self.config) | self._like_a_sibling(batch, index)
        if missed and self.config.on_fail == "reject":
            return Reject(next(iter(missed)), "; ".join(missed.values()))
        return Product(values=values | {"verdict": "; ".join(missed.values()) or "accepted"})

    def _like_a_sibling(self, batch: Sequence[Sample], index: int) -> dict[Reason, str]:
        """The first of two spoofs of one face that are alike stays."""
        least, sample = self.config.min_sibling_difference, batch[index]
        if least is None:
            return {}
        for sibling in batch[:index]:
            if sibling.sample_id == sample.sample_id:
                difference = _difference(sample.images["crop"], sibling.images["crop"])
                if difference < least:
                    return {Reason.DUPLICATE: f"differs by {difference:.3g} levels from variant {sibling.variant}"}
        return {}


def missed_limits(values: Mapping[str, Scalar], config: ScreenConfig) -> dict[Reason, str]:
    """The limits that a spoof misses, in words, by reason; the first reason is the one that a reject is given."""
    missed: dict[Reason, str] = {}

    def below(name: str, limit: float | None, setting: str, reason: Reason) -> None:
        value = values[name]
        if limit is not None and isinstance(value, float) and value < limit:
            missed.setdefault(reason, f"{name} {value:.4g} below {setting} {limit:g}")

    similarity, guide = values["identity_similarity"], values["guide_similarity"]
    if isinstance(guide, float) and isinstance(similarity, float):
        if config.nearer_to_guide == "reject" and guide > similarity:
            missed[Reason.NEAR_COPY] = f"guide_similarity {guide:.4g} above identity_similarity {similarity:.4g}"
        if config.max_guide_similarity is not None and guide > config.max_guide_similarity:
            missed[Reason.NEAR_COPY] = (
                f"guide_similarity {guide:.4g} above max_guide_similarity {config.max_guide_similarity:g}"
            )
    below("identity_similarity", config.min_identity_similarity, "min_identity_similarity", Reason.IDENTITY_LOST)
    below("difference", config.min_difference, "min_difference", Reason.UNCHANGED)
    below("style_probability", config.min_style_probability, "min_style_probability", Reason.STYLE_LOST)
    score, low, high, margin = values["brisque"], values["brisque_low"], values["brisque_high"], config.brisque_margin
    if margin is None or not isinstance(score, float) or not isinstance(low, float) or not isinstance(high, float):
        return missed
    if not low - margin <= score <= high + margin:
        missed[Reason.QUALITY] = (
            f"brisque {score:.4g} outside {low:.4g} to {high:.4g}, the band of its style, by more than {margin:g}"
        )
    return missed


def _cosine(sample: Sample, other: str) -> float | None:
    if other not in sample.arrays:
        return None
    a, b = (sample.arrays[name].astype(np.float64) for name in ("embedding", other))
    return min(1.0, max(-1.0, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))))


def _difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())


def build(config: ScreenConfig, device: torch.device) -> Screen:
    """Factory named in the specification."""
    return Screen(config, device)
