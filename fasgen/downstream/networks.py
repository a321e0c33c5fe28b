"""Networks of the method ``fas``: image, cue, or both in one of two ways, and the head of a loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from fasgen.downstream.backbones import Net, build_backbone, imagenet_network, load_pretrained
from fasgen.downstream.config import LossConfig, ModelConfig
from fasgen.downstream.losses import DomainAdversary
from fasgen.downstream.oanet import OaNet
from fasgen.downstream.resnet import ResNet
from fasgen.downstream.rq_loss import RqHead
from fasgen.downstream.vit import Vit


class ImageTrunk(nn.Module):
    """The image alone, or the cue alone."""

    def __init__(self, net: Net, *, cue: bool) -> None:
        super().__init__()
        self.net, self.width, self._cue = net, net.width, cue

    def forward(self, image: Tensor, cue: Tensor | None) -> Tensor:
        """(B, width)."""
        out: Tensor = self.net(cue if self._cue else image)
        return out


class TwoBranch(nn.Module):
    """Features of image and cue side by side."""

    def __init__(self, image: Net, cue: Net) -> None:
        super().__init__()
        self.image, self.cue, self.width = image, cue, image.width + cue.width

    def forward(self, image: Tensor, cue: Tensor | None) -> Tensor:
        """(B, image.width + cue.width)."""
        return torch.cat([self.image(image), self.cue(cue)], 1)


def build_trunk(config: ModelConfig, size: int, cue_channels: int) -> ImageTrunk | TwoBranch | OaNet:
    """From image and cue to features; ImageNet weights where the configuration names their files.

    Raises:
        WeightsError: a file does not fit.
    """
    alone = config.use == "cue"
    channels = cue_channels if alone else 3
    net = imagenet_network(channels) if config.imagenet else build_backbone(config.backbone, size, channels)
    if config.pretrained is not None:
        load_pretrained(net, config.pretrained)
    if config.use in {"image", "cue"}:
        return ImageTrunk(net, cue=alone)
    encoder = build_backbone(config.cue_backbone, size, cue_channels)
    if config.cue_pretrained is not None:
        load_pretrained(encoder, config.cue_pretrained, random=("layer4.",))
    if config.use == "cross_attention" and isinstance(net, Vit) and isinstance(encoder, ResNet):
        return OaNet(net, encoder)
    return TwoBranch(net, encoder)


class SoftmaxHead(nn.Module):
    """Linear classifier over spoof and live on a normalised embedding.

    Args:
        width: of the embedding.
        unit: cosine logits times ``scale``; else weights have unit length along the classes, as in SSDG's code.
        scale: of the cosines.
    """

    def __init__(self, width: int, unit: bool, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2, width))
        nn.init.xavier_normal_(self.weight)
        self._unit, self._scale = unit, scale

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, width) to logits (B, 2)."""
        if self._unit:
            return self._scale * linear(embedding, normalize(self.weight))
        return linear(embedding, normalize(self.weight, dim=0))

    def score(self, logits: Tensor) -> Tensor:
        """Probability (B,) of live."""
        return logits.softmax(1)[:, 1]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What losses need.

    Attributes:
        embedding: (B, width), normalised.
        logits: (B, 2) logits or (B, K) cosines of the head.
        domains: (B, D) logits of the adversary; None without one.
    """

    embedding: Tensor
    logits: Tensor
    domains: Tensor | None


class FasNet(nn.Module):
    """Trunk, embedding, head and, for SSDG, the adversary.

    Args:
        model, loss: settings.
        size: side of the images, px.
        cue_channels: of the stacked cues.
        domains: number of source domains.
        styles: for each style class whether it is live (rq).
    """

    def __init__(
        self, model: ModelConfig, loss: LossConfig, size: int, cue_channels: int, domains: int, styles: list[bool]
    ) -> None:
        super().__init__()
        self.trunk = build_trunk(model, size, cue_channels)
        self.embed = nn.Linear(self.trunk.width, model.embedding)
        self._unit = model.normalise == "unit"
        self.head: SoftmaxHead | RqHead = (
            RqHead(model.embedding, styles, loss.s_live, loss.s_spoof, loss.m)
            if loss.classification == "rq"
            else SoftmaxHead(model.embedding, self._unit, model.scale)
        )
        adversarial = loss.kind == "ssdg" and loss.adversarial > 0
        self.adversary = DomainAdversary(model.embedding, domains) if adversarial else None

    def forward(self, image: Tensor, cue: Tensor | None, coefficient: float = 0.0) -> Outputs:
        """Image (B, 3, H, W) and stacked cues (B, C, H, W) to outputs; ``coefficient`` is that of the reversed gradient."""
        embedding = normalise(self.embed(self.trunk(image, cue)), unit=self._unit)
        domains = None if self.adversary is None else self.adversary(embedding, coefficient)
        return Outputs(embedding, self.head(embedding), domains)

    def score(self, image: Tensor, cue: Tensor | None) -> Tensor:
        """Liveness (B,) in [0, 1]."""
        outputs: Outputs = self(image, cue)
        score: Tensor = self.head.score(outputs.logits)
        return score


def normalise(f: Tensor, *, unit: bool) -> Tensor:
    """Features (B, width) to unit length, or divided by ``sqrt(2 |f|)`` as SSDG's code has it."""
    if unit:
        return normalize(f)
    out: Tensor = f / (2 * f.norm(dim=1, keepdim=True)).clamp(min=1e-12).sqrt()
    return out
