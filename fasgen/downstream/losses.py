"""SSDG's losses (Jia et al. 2020): single-side adversarial and asymmetric triplet."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradient: Any) -> Any:
        return -ctx.coefficient * gradient[0], None


def reverse_gradient(x: Tensor, coefficient: float) -> Tensor:
    """``x``; backwards, the gradient times ``-coefficient``."""
    out: Tensor = _Reverse.apply(x, coefficient)  # type: ignore[no-untyped-call]
    return out


def reversal_coefficient(step: int, horizon: int = 4000) -> float:
    """``2 / (1 + exp(-10 step / horizon)) - 1``: rises from 0 to 1 (DANN)."""
    return 2 / (1 + math.exp(-10 * step / horizon)) - 1


class DomainAdversary(nn.Module):
    """Tells source domains apart from live embeddings, through a reversed gradient.

    Only live faces are made alike across domains; attacks differ too much between them (SSDG, section 3.2).

    Args:
        width: of the embedding.
        domains: number of source domains.
    """

    def __init__(self, width: int, domains: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, domains))

    def forward(self, embedding: Tensor, coefficient: float) -> Tensor:
        """Embeddings (B, width) of live and spoof samples to logits (B, domains); mask the spoof samples in the loss."""
        out: Tensor = self.net(reverse_gradient(embedding, coefficient))
        return out


def live_cross_entropy(logits: Tensor, domain: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of domain logits (B, D) over the live samples alone; zero where there are none."""
    live = label == 1
    each = cross_entropy(logits, domain, reduction="none")
    return (each * live).sum() / live.sum().clamp(min=1)


def focal_loss(logits: Tensor, label: Tensor, gamma: float = 2.0) -> Tensor:
    """``-(1 - p)^gamma log p`` of the own class, mean over the batch (Lin et al. 2017, without weights of classes).

    Args:
        logits: (B, K).
        label: (B,).
        gamma: 0 is cross entropy.
    """
    log_p = logits.log_softmax(1).gather(1, label[:, None])[:, 0]
    return -((1 - log_p.exp()).clamp(min=0) ** gamma * log_p).mean()


def asymmetric_labels(label: Tensor, domain: Tensor) -> Tensor:
    """Labels of the triplets: 0 for live of all domains together, domain + 1 for the spoofs of each domain."""
    return torch.where(label == 1, torch.zeros_like(domain), domain + 1)


def batch_all_triplet(embedding: Tensor, labels: Tensor, margin: float = 0.1) -> Tensor:
    """Mean of ``d(a, p) - d(a, n) + margin`` over all triplets of the batch for which it is strictly positive.

    Args:
        embedding: (B, width).
        labels: (B,); a and p share a label and are two samples, n has another.
        margin: in units of the distance, which is Euclidean and not squared.

    Returns:
        a scalar; zero where no triplet is positive.
    """
    d = distances(embedding)
    same = labels[:, None] == labels[None]
    other_self = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    valid = (same & other_self)[:, :, None] & ~same[:, None, :]
    violation = (d[:, :, None] - d[:, None, :] + margin) * valid
    positive = violation > 0
    return (violation * positive).sum() / positive.sum().clamp(min=1)


def distances(x: Tensor) -> Tensor:
    """Euclidean distances (B, B) between rows of (B, width); at zero the gradient is zero, not infinite."""
    squared = (x[:, None] - x[None]).square().sum(-1)
    near = squared == 0
    return torch.where(near, torch.zeros_like(squared), torch.where(near, torch.ones_like(squared), squared).sqrt())
