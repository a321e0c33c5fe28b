"""The stage: crops in, identity maps and embeddings out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fasgen.records import Reason
from fasgen.stages.batching import in_slots, to_signed
from fasgen.stages.identify.config import IdentifyConfig, weights_path
from fasgen.stages.identify.load import load
from fasgen.stages.stage import Product, Reject, Sample


class Identify:
    """Identity of batches of crops of any one size; the network resizes them to 112 x 112.

    Args:
        config: settings.
        device: where the network computes, in float32.

    Raises:
        WeightsError: if the weights are missing, unsafe or not an iResNet of the wanted depth.
    """

    def __init__(self, config: IdentifyConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self.network = load(weights_path(config.weights), config.depth).to(device)

    @torch.inference_mode()
    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        crops = in_slots(batch, self.config.batch, lambda sample: sample.images["crop"])
        identity = self.network(to_signed(crops, self.device))
        maps = identity.map.to(torch.float16).cpu().numpy()
        embeddings, norms = identity.embedding.float().cpu().numpy(), identity.norm.float().cpu().numpy()
        products: list[Product | Reject] = []
        for slot in (sample.slot for sample in batch):
            if not (np.isfinite(maps[slot]).all() and np.isfinite(embeddings[slot]).all()):
                products.append(
                    Reject(Reason.NOT_FINITE, "the identity map or embedding holds values that are not finite in float16")
                )
                continue
            arrays = {"identity_map": maps[slot], "embedding": embeddings[slot]}
            products.append(Product(arrays=arrays, values={"embedding_norm": float(norms[slot])}))
        return products


def build(config: IdentifyConfig, device: torch.device) -> Identify:
    """Factory named in the specification."""
    return Identify(config, device)
