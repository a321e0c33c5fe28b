"""The stage: crops in, spoof traces out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.records import Reason, Scalar
from fasgen.stages.batching import in_slots
from fasgen.stages.defake.cue import crop_points, face_ellipse
from fasgen.stages.stage import Product, Reject, Sample
from fasgen.stages.stdn.config import STEPS_A_LEVEL, StdnConfig, weights_folder
from fasgen.stages.stdn.losses import live_score, trace_size
from fasgen.stages.stdn.model import Disentangler, finite
from fasgen.stages.stdn.traces import additive, live_of


class Stdn:
    """Takes batches of crops apart.

    Args:
        config: settings.
        device: where the network computes.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit.
    """

    def __init__(self, config: StdnConfig, device: torch.device) -> None:
        self.config = config
        self.disentangle = Disentangler(weights_folder(config.weights), device, config.dtype, config.any_size, "stdn")
        self.alpha0 = self.disentangle.alpha0 if config.alpha0 is None else config.alpha0

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        crops = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        image = self.disentangle.unit(crops)
        traces, depth = self.disentangle(image)
        trace, live = additive(traces), live_of(image, traces)
        sound = finite(trace, live, depth)
        size, score = trace_size(traces), live_score(depth, traces, self.alpha0)
        parts = torch.cat([traces.B, traces.C, traces.T], 1)
        made = {
            "trace": _rows(trace), "parts": _rows(parts), "mask": _rows(traces.P), "depth": _rows(depth), "live": _rows(live),
            "size": size.cpu().numpy(), "score": score.cpu().numpy(),
        }  # fmt: skip
        return [self._product(sample, {name: rows[sample.slot] for name, rows in made.items()}, sound) for sample in batch]

    def _product(self, sample: Sample, made: dict[str, Any], sound: Sequence[bool]) -> Product | Reject:
        if not sound[sample.slot]:
            return Reject(Reason.NOT_FINITE, f"the traces hold values that are not finite ({self.disentangle.dtype})")
        arrays = {
            "stdn": in_steps(made["trace"]),
            "trace_mask": np.rint(made["mask"] * 255).astype(np.uint8),
            "pseudo_depth": np.rint(made["depth"] * 255).astype(np.uint8),
        }
        if self.config.parts:
            arrays["trace_parts"] = in_steps(made["parts"])
        images = {"live_counterpart": np.rint(made["live"].clip(0, 1) * 255).astype(np.uint8)}
        points = crop_points(cast(list[float], sample.values["landmarks"]), cast(list[float], sample.values["transform"]))
        face = face_ellipse(points, *made["trace"].shape[:2])
        values: dict[str, Scalar] = {
            "stdn_score": float(made["score"]),
            "stdn_depth": float(made["depth"].mean()),
            "stdn_trace": float(made["size"]),
            **statistics(arrays["stdn"], face),
            "mask_mean": float(made["mask"].mean()),
            "alpha0": self.alpha0,
        }
        return Product(images=images if self.config.reconstruction else {}, arrays=arrays, values=values)


def in_steps(trace: NDArray[np.float32]) -> NDArray[np.int16]:
    """Traces on images in [0, 1] to 1/32 of an 8-bit level."""
    return np.asarray(np.rint(trace * (255.0 * STEPS_A_LEVEL)), np.int16)


def statistics(traces: NDArray[np.int16], face: NDArray[np.bool_]) -> dict[str, Scalar]:
    """Mean absolute trace, and mean squares inside of ``face`` and outside; in levels."""
    levels = traces.astype(np.float64) / STEPS_A_LEVEL
    outside = levels[~face]
    return {
        "trace_abs_mean": float(np.abs(levels).mean()),
        "trace_energy_face": float(np.square(levels[face]).mean()),
        "trace_energy_outside": float(np.square(outside).mean()) if outside.size else None,
    }


def _rows(x: Tensor) -> NDArray[np.float32]:
    """(B, C, H, W) to (B, H, W, C)."""
    return np.asarray(x.float().permute(0, 2, 3, 1).cpu().numpy())


def build(config: StdnConfig, device: torch.device) -> Stdn:
    """Factory named in the specification."""
    return Stdn(config, device)
