"""DLIF (finer domain partition): liveness and identity encoders that are kept apart, with subjects as domains.

Where the paper leaves it open: styles cross after layer2 (middle) and layer3 (high), style attention stands after each layer,
its hidden width is C / 16, and gradients flow through a partner's statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from fasgen.downstream.dlif_losses import (
    ambiguity,
    asymmetric_am_softmax,
    liveness_contrast_labels,
    orthogonality,
    supervised_contrast,
)
from fasgen.downstream.ranks import of_all_ranks
from fasgen.downstream.resnet import ResNet

VIEWS = 3
"""The original, crossed in the middle, crossed high."""


def style(x: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (+ eps) per channel over space, (B, C, 1, 1) each."""
    return x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True, correction=0) + eps


def style_cross(a: Tensor, b: Tensor) -> Tensor:
    """``SC(a, b) = sigma_b (a - mu_a) / sigma_a + mu_b``: the content of ``a`` (B, C, H, W) in the style of ``b``."""
    (mu_a, sigma_a), (mu_b, sigma_b) = style(a), style(b)
    return sigma_b * (a - mu_a) / sigma_a + mu_b


def partners(labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each sample another one of the same label, at random (B,); itself where there is no other.

    Args:
        labels: (B,), on any device.
        generator: on the CPU.
    """
    wanted = labels.cpu()
    keys = torch.rand(len(wanted), len(wanted), generator=generator)
    keys = keys.masked_fill(wanted[:, None] != wanted[None], -1.0)
    keys.fill_diagonal_(-0.5)  # before strangers, behind any other of the same label
    return keys.argmax(1).to(labels.device)


class StyleAttention(nn.Module):
    """Channel-wise style attention: ``a * X + X`` with a = sigmoid(W2 relu(W1 [mean, variance])).

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(width // 16, 1)
        self.net = nn.Sequential(nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        a = self.net(torch.cat([x.mean((2, 3)), x.var((2, 3), correction=0)], 1))
        out: Tensor = a[:, :, None, None] * x + x
        return out


class Encoder(nn.Module):
    """A ResNet whose layers may cross styles and attend to them.

    Args:
        net: the ResNet.
        attention: with style attention after each layer.
    """

    def __init__(self, net: ResNet, attention: bool) -> None:
        super().__init__()
        self.net, self.width = net, net.width
        self.attention = nn.ModuleList(StyleAttention(width) if attention else nn.Identity() for width in net.widths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width)."""
        return self._high(self._middle(self._low(x)))

    def views(self, x: Tensor, partner: Tensor) -> Tensor:
        """(B, C, H, W) to (3 B, width): originals, crossed with their partners in the middle, and high, in parallel flows."""
        middle = self._low(x)
        high = self._middle(middle)
        flows = (high, self._middle(style_cross(middle, middle[partner])), style_cross(high, high[partner]))
        return torch.cat([self._high(flow) for flow in flows])

    def _low(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention[0](self.net.layer1(self.net.stem(x)))
        return self._layer(out, self.net.layer2, 1)

    def _middle(self, x: Tensor) -> Tensor:
        return self._layer(x, self.net.layer3, 2)

    def _high(self, x: Tensor) -> Tensor:
        return self._layer(x, self.net.layer4, 3).mean((2, 3))

    def _layer(self, x: Tensor, layer: nn.Module, number: int) -> Tensor:
        out: Tensor = self.attention[number](layer(x))
        return out


@dataclass(frozen=True, slots=True)
class DlifSettings:
    """Weights of the losses (all 1 in the paper), margins of the liveness head, scale of both heads, temperature."""

    contrast: float = 1.0
    ambiguous: float = 1.0
    orthogonal: float = 1.0
    live_margin: float = 0.4
    spoof_margin: float = 0.1
    scale: float = 30.0
    tau: float = 0.07


class Dlif(nn.Module):
    """Encoders U and V with the heads C (live or spoof) and D (subject); at test only U and C run.

    ``L_FAS = cls + aaicU + idamb + orthoU`` moves U and C alone, ``L_FR = id + aaicV + liamb + orthoV`` V and D alone: what
    belongs to the other side is detached, so that one backward pass of the sum gives both updates.

    Args:
        u, v: the ResNets, of the same width: each side's head is tried on the other's features.
        subjects: number of training subjects.
        settings: of the losses.
    """

    def __init__(self, u: ResNet, v: ResNet, subjects: int, settings: DlifSettings | None = None) -> None:
        super().__init__()
        self.u, self.v = Encoder(u, attention=True), Encoder(v, attention=False)
        self.c = nn.Parameter(torch.empty(2, u.width))
        self.d = nn.Parameter(torch.empty(subjects, v.width))
        nn.init.xavier_normal_(self.c)
        nn.init.xavier_normal_(self.d)
        self.settings = settings or DlifSettings()

    def forward(self, image: Tensor, label: Tensor, subject: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """All terms of the loss, by their names in the paper, each with its weight.

        Styles cross between samples of the same liveness in U and of the same subject in V, of one rank; losses see all.

        Args:
            image: (B, C, H, W).
            label: (B,), 1 live, 0 spoof.
            subject: (B,), number of the depicted subject.
            generator: draws the partners; on the CPU.
        """
        s = self.settings
        views_u, views_v = self.u.views(image, partners(label, generator)), self.v.views(image, partners(subject, generator))
        # View by view, so that the views of all ranks lie one after the other as those of one rank would.
        f_u, f_v = (torch.cat([of_all_ranks(one) for one in views.chunk(VIEWS)]) for views in (views_u, views_v))
        label, subject = of_all_ranks(label), of_all_ranks(subject)
        labels, subjects = label.repeat(VIEWS), subject.repeat(VIEWS)
        own_u, own_v = f_u[: len(label)], f_v[: len(label)]
        return {
            "cls": asymmetric_am_softmax(_cosines(f_u, self.c), labels, s.live_margin, s.spoof_margin, s.scale),
            "aaicU": s.contrast * supervised_contrast(f_u, liveness_contrast_labels(label, VIEWS), s.tau),
            "idamb": s.ambiguous * ambiguity(s.scale * _cosines(f_u, self.d.detach())),
            "orthoU": s.orthogonal * orthogonality(own_u, own_v.detach()),
            "id": cross_entropy(s.scale * _cosines(f_v, self.d), subjects),
            "aaicV": s.contrast * supervised_contrast(f_v, subjects, s.tau),
            "liamb": s.ambiguous * ambiguity(s.scale * _cosines(f_v, self.c.detach())),
            "orthoV": s.orthogonal * orthogonality(own_u.detach(), own_v),
        }

    def score(self, image: Tensor) -> Tensor:
        """Liveness (B,) in [0, 1]."""
        return (self.settings.scale * _cosines(self.u(image), self.c)).softmax(1)[:, 1]


def _cosines(features: Tensor, weights: Tensor) -> Tensor:
    return linear(normalize(features), normalize(weights))
