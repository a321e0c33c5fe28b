"""The losses of LGSC (section 3.2): regression of live cues to zero, and triplets on five feature levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def regression(cue: Tensor, lives: int) -> Tensor:
    """Mean |cue| over the live faces of a batch; nothing is asked of spoofs (Eq. 2).

    Args:
        cue: (B, 3, H, W), the live faces first.
        lives: how many they are.

    Returns:
        the sum of |cue| over live faces, over lives 3 H W; 0 without a live face.
    """
    return cue[:lives].abs().mean() if lives else cue.new_zeros(())


def triplets(feature: Tensor, lives: int, margin: float = 0.5) -> Tensor:
    """Batch-all triplets of one feature level: anchor and positive are live, the negative is a spoof (Eq. 4).

    Features are averaged over space and brought to unit length; the hinge ``max(0, d_ap - d_an + margin)`` is on distances, not
    on their squares, and is averaged over those triplets in which it is above 0.

    Args:
        feature: (B, C, h, w), or (B, C), the live faces first.
        lives: how many they are.
        margin: of the hinge.

    Returns:
        a scalar, 0 where no triplet is there or all are kept apart.
    """
    v = feature.float()
    v = F.normalize(v.flatten(2).mean(2) if v.dim() > 2 else v, dim=1)
    anchors, negatives = v[:lives], v[lives:]
    d_ap, d_an = _distances(anchors, anchors), _distances(anchors, negatives)
    hinge = F.relu(d_ap[:, :, None] - d_an[:, None, :] + margin)
    same = torch.eye(lives, dtype=torch.bool, device=v.device)
    hinge = hinge.masked_fill(same[:, :, None], 0.0)
    return hinge.sum() / (hinge > 0).sum().clamp(min=1)


def all_triplets(features: Sequence[Tensor], lives: int, margin: float = 0.5) -> Tensor:
    """Sum of `triplets` over levels."""
    return torch.stack([triplets(feature, lives, margin) for feature in features]).sum()


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (len(a), len(b)); where two vectors are the same, the gradient is 0 instead of infinite."""
    squared = (a[:, None] - b[None]).square().sum(2)
    away = squared > 0
    return torch.where(away, squared, 1.0).sqrt() * away
