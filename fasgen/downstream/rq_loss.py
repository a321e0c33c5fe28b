"""Relative-quality loss of DiffFAS (section 3.4): a margin that follows how good an image is within its batch.

Two readings, where the text leaves a choice: the standard deviation is the population's, and the scale m multiplies all logits,
since with the target's alone the loss would saturate (equation 18 as printed).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize


def relative_quality(brisque: Tensor, eps: float = 1e-8) -> Tensor:
    """q (B,) from BRISQUE scores b (B,), of which lower is better.

    ``bn = (mean(b) - b) / (std(b) + eps)``, ``q = clip(bn / 3, -n1 / N, n2 / N)``, where n1 samples are better than the mean
    and n2 worse. q is positive for what is better than the batch.
    """
    b = brisque.double()
    mean = b.mean()
    better, worse = (b < mean).double().mean(), (b > mean).double().mean()
    bn = (mean - b) / (b.std(correction=0) + eps)
    return torch.minimum(torch.maximum(bn / 3, -better), worse).to(brisque.dtype)


def rq_logits(cosines: Tensor, target: Tensor, s: Tensor, q: Tensor) -> Tensor:
    """Cosines (B, K) with the target's replaced by ``g = cos(theta_y - s q) - s (1 + q)``.

    The angle after the shift is clamped to [0, pi]. With q = 0 this is CosFace's margin s.

    Args:
        cosines: to all classes.
        target: (B,), class of each sample.
        s: (B,), margin of each sample.
        q: (B,), relative quality.
    """
    own = cosines.gather(1, target[:, None])[:, 0]
    edge = 1 - 1e-6  # the arc cosine's slope is infinite at 1
    theta = torch.acos(own.clamp(-edge, edge))
    g = torch.cos((theta - s * q).clamp(0, math.pi)) - s * (1 + q)
    return cosines.scatter(1, target[:, None], g[:, None].to(cosines.dtype))


class RqHead(nn.Module):
    """Classes are spoofing styles, live ones included.

    Args:
        width: of the embedding.
        live: for each class whether it is live; both kinds must be there.
        s_live, s_spoof: margins (0.4 and 0.2 in the best row of the paper's ablation).
        m: scale of the logits; the paper does not state it.
    """

    live: Tensor

    def __init__(self, width: int, live: list[bool], s_live: float = 0.4, s_spoof: float = 0.2, m: float = 32.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(live), width))
        nn.init.xavier_normal_(self.weight)
        self.register_buffer("live", torch.tensor(live))
        self.s_live, self.s_spoof, self.m = s_live, s_spoof, m

    def forward(self, embedding: Tensor) -> Tensor:
        """Embeddings (B, width) to cosines (B, K)."""
        return linear(normalize(embedding), normalize(self.weight))

    def loss(self, cosines: Tensor, target: Tensor, brisque: Tensor | None) -> Tensor:
        """Softmax cross entropy with the margins; without ``brisque`` (B,) all samples count as equally good."""
        q = torch.zeros_like(cosines[:, 0]) if brisque is None else relative_quality(brisque).to(cosines)
        s = torch.where(self.live[target], self.s_live, self.s_spoof).to(cosines)
        return cross_entropy(self.m * rq_logits(cosines, target, s, q), target)

    def score(self, cosines: Tensor) -> Tensor:
        """Liveness (B,) in [0, 1]: the probabilities of all live styles together, without margins."""
        return (self.m * cosines).softmax(1)[:, self.live].sum(1)
