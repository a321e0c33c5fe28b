"""Losses of DLIF (finer domain partition): ambiguity, orthogonality, instance contrast, asymmetric margins."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def orthogonality(f_u: Tensor, f_v: Tensor) -> Tensor:
    """``mean_{i,j} (f_u_i . f_v_j)^2`` over all pairs of two batches (N, D) and (M, D), each feature at unit length."""
    return (normalize(f_u) @ normalize(f_v).T).square().mean()


def ambiguity(logits: Tensor) -> Tensor:
    """``|| softmax(logits) - 1 / K ||^2``, mean over the batch (B, K): zero where nothing can be told from the feature."""
    return (logits.softmax(1) - 1 / logits.shape[1]).square().sum(1).mean()


def asymmetric_am_softmax(
    cosines: Tensor, label: Tensor, live_margin: float = 0.4, spoof_margin: float = 0.1, scale: float = 30.0
) -> Tensor:
    """Additive-margin softmax (PatchNet) over (B, 2) cosines to spoof and live, with a larger margin for live."""
    margin = torch.where(label == 1, live_margin, spoof_margin).to(cosines)
    return cross_entropy(scale * cosines.scatter_add(1, label[:, None], -margin[:, None]), label)


def liveness_contrast_labels(label: Tensor, views: int) -> Tensor:
    """Labels (views * B,) of the asymmetric augmented instance contrast in U.

    All live samples and their views share one; a spoof shares one with its own views alone.

    Args:
        label: (B,), 1 live, 0 spoof.
        views: of each sample, the original included; views lie one batch after the other.
    """
    own = torch.arange(1, len(label) + 1, device=label.device)
    return torch.where(label == 1, torch.zeros_like(own), own).repeat(views)


def supervised_contrast(features: Tensor, labels: Tensor, tau: float = 0.07) -> Tensor:
    """``-1/|P(i)| sum_{p in P(i)} log( exp(s_ip / tau) / sum_{k != i} exp(s_ik / tau) )``, mean over i with a positive.

    The paper's equation 10 lacks the logarithm and the division; this is the loss it refers to (Khosla et al. 2020).

    Args:
        features: (N, D); similarity s is the cosine.
        labels: (N,); P(i) are the others of i's label.
        tau: temperature.

    Returns:
        a scalar; zero where no sample has a positive.
    """
    f = normalize(features)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (f @ f.T / tau).masked_fill(itself, float("-inf"))
    log_share = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(itself, 0.0)
    positive = (labels[:, None] == labels[None]) & ~itself
    count = positive.sum(1)
    each = -(log_share * positive).sum(1) / count.clamp(min=1)
    return each.sum() / (count > 0).sum().clamp(min=1)
