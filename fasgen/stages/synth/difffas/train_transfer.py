"""Styles on faces that have no spoof of their own: what pairs cannot teach where a data set's styles come with few people.

DiffFAS learns from pairs alone (Eq. 7), so a style that was only ever photographed of five people is only ever asked for on
those five. Here any live face meets a guide of any style. There is no target; instead the frozen style encoder must see the
guide's style in the clean image, its features must have the guide's means and deviations (the style loss of Huang and Belongie
2017, with this encoder for its VGG), the image's bands and tones must be the guide's, and the person must stay. The bands keep
the encoder from being pleased by noise that no camera makes, the tones from leaving out a cast that its classes do not need.
Guides of styles that it does not know ask for all but its verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fasgen.stages.denoising.schedule import Prediction, noised, split
from fasgen.stages.gallery.train_gallery import Gallery
from fasgen.stages.gallery.train_views import moved
from fasgen.stages.synth.difffas.diffusion import guided
from fasgen.stages.synth.difffas.style_encoder import Style, StyleEncoder
from fasgen.stages.synth.difffas.training_config import TransferConfig
from fasgen.training.draws import Lists, strata

FIRST = 0.8
"""Share of the highest trained level from which on samples start, as they do from a noised live face."""
SHIFT = 4
"""Pixels by which the encoder's view is moved at most: a style that lives at one exact place is none."""

BANDS = 5
"""Octaves in which energies are compared; all that is coarser is one band more."""
TONE = 0.25
"""Difference of mean colours that counts as much as a band whose deviation is off by a factor of e; images are in [-1, 1]."""
UNKNOWN = -100
"""Label of a style that the encoder does not know, which a cross-entropy leaves out."""
LEAST = 2 / 255 / 12**0.5
"""Deviation that rounding to 8 bits leaves in a flat image."""

Denoise = Callable[[Tensor, Tensor, bool], Tensor]
"""``denoise(z_t, t, null)``: what the network predicts under the style, or without it, (B, 3, H, W)."""
Embed = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [-1, 1] to unit vectors (B, D)."""


class Strangers(NamedTuple):
    """Live faces and guides that are no pair.

    Attributes:
        live: (B, 3, S, S) in [-1, 1].
        guide: (B, 3, S, S) in [-1, 1].
        label: (B,) numbers of the guides' styles, `UNKNOWN` for what the encoder does not know.
        first: (B,) levels at which samples start from the live face.
        first_eps: (B, 3, S, S) noise at that level.
        t: (B,) levels, 1 to T.
        eps: (B, 3, S, S) noise.
        moves: (B, 2) pixels by which the encoder's view is moved, each within `SHIFT`.
        gamma: (B,) guidance.
    """

    live: Tensor
    guide: Tensor
    label: Tensor
    first: Tensor
    first_eps: Tensor
    t: Tensor
    eps: Tensor
    moves: Tensor
    gamma: Tensor


class Meetings:
    """Draws live faces and guides of any kind, every style and every source of live faces as likely as any other.

    Args:
        gallery: pictures.
        styles: style keys that the encoder knows.
    """

    def __init__(self, gallery: Gallery, styles: Sequence[str]) -> None:
        guides: dict[str, list[int]] = defaultdict(list)
        lives: dict[str, list[int]] = defaultdict(list)
        for index, (style, live) in enumerate(zip(gallery.styles, gallery.live, strict=True)):
            if live:
                lives[style].append(index)
            else:
                guides[style].append(index)
        sources = [lives[name] for name in sorted(lives)]
        self._sources, self._pooled = Lists(sources), Lists([[i for source in sources for i in source]])
        self._guides = Lists([guides[name] for name in sorted(guides)])
        known = {name: number for number, name in enumerate(styles)}
        self._labels = torch.tensor([known.get(name, UNKNOWN) for name in sorted(guides)], dtype=torch.int64)

    def some(self) -> bool:
        """Whether there are live faces and guides."""
        return len(self._sources) > 0 and len(self._guides) > 0

    def draw(self, count: int, coin: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of live faces and of guides, and the guides' styles, (count,) each, on the host.

        Half of the live faces come from all together, half from each source alike: large sources are seen in their breadth
        and small ones still often.
        """
        pooled = self._pooled.draw(torch.zeros(count, dtype=torch.int64), coin)
        alike = self._sources.draw(self._sources.any(count, coin), coin)
        style = self._guides.any(count, coin)
        live = torch.where(torch.arange(count) % 2 == 1, pooled, alike)
        return live, self._guides.draw(style, coin), self._labels[style]


def draw_levels(count: int, t_max: int, coin: torch.Generator) -> tuple[Tensor, Tensor]:
    """Starting levels, (count,) in `FIRST` t_max to t_max, and levels of the step, spread evenly over 1 to t_max."""
    first = torch.randint(first_level(t_max), t_max + 1, (count,), generator=coin, device=coin.device)
    return first, 1 + (strata(count, coin) * t_max).long().clamp(max=t_max - 1)


def first_level(t_max: int) -> int:
    """The lowest level at which samples start."""
    return max(1, int(FIRST * t_max))


def transfer_loss(
    denoise: Denoise,
    encoder: StyleEncoder,
    embed: Embed | None,
    strangers: Strangers,
    style: Sequence[Tensor],
    abar: Tensor,
    prediction: Prediction,
    config: TransferConfig,
    t_max: int,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """What the clean images lack of the guides' style and of the live people.

    Under guidance, the weights of the style's parts are those of the settings times gamma, that of the identity divided by it.
    The pass without style learns from pairs alone: it is what is departed from, and no gradient enters it here.

    Below the starting levels, z_t is noised from what the network itself makes of the starting level, as in sampling; a live
    face noised a little would ask for the style where sampling never is.

    Args:
        denoise: the network.
        encoder: frozen.
        embed: identity network; ``None``: identity is not asked for.
        strangers: see there.
        style: the encoder's features of the guides.
        abar: (T + 1,) by level.
        prediction: what the network predicts.
        config: weights.
        t_max: highest level trained.

    Returns:
        the weighted sum, and its parts unweighted.
    """

    alone = config.gamma == (1, 1)

    def clean(base: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        abar_t = abar[t].float()[:, None, None, None]
        z_t = noised(base, eps, abar_t)
        output = denoise(z_t, t, False).float()
        if not alone:
            with torch.no_grad():
                null = denoise(z_t, t, True).float()
            output = guided(output, null, strangers.gamma)
        z_0, _ = split(z_t, output, abar_t, prediction)
        # Shown pictures are clamped; the gradient goes past the clamp, so that saturated pixels can come back.
        return z_0 + (z_0.clamp(-1, 1) - z_0).detach()

    with torch.no_grad():
        made = clean(strangers.live, strangers.first_eps, strangers.first)
    starts = (strangers.t >= FIRST * t_max)[:, None, None, None]
    z_0 = clean(torch.where(starts, strangers.live, made), strangers.eps, strangers.t)
    seen: Style = encoder(moved(z_0, strangers.moves))
    found = {
        "style": F.cross_entropy(seen.logits.float(), strangers.label, ignore_index=UNKNOWN, reduction="none"),
        "statistics": statistics_loss(seen.features, style),
        "bands": bands_loss(z_0, strangers.guide),
    }
    total = sum((getattr(config, name) * (strangers.gamma * part).mean() for name, part in found.items()), z_0.new_zeros(()))
    if embed is not None and config.identity:
        with torch.no_grad():
            wanted = embed(strangers.live)
        found["identity"] = 1 - (embed(z_0) * wanted).sum(1)
        total = total + config.identity * (found["identity"] / strangers.gamma).mean()
    return total, {name: part.mean() for name, part in found.items()}


def statistics_loss(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Distance of channel means and deviations (AdaIN, Eq. 13), each level in units of the wanted mean square: (B,)."""
    total = features[0].new_zeros(len(features[0]), dtype=torch.float32)
    for found, aim in zip(features, wanted, strict=True):
        found, aim = found.float(), aim.float()
        unit = aim.square().mean().clamp_min(1e-8)
        means = (found.mean((2, 3)) - aim.mean((2, 3))).square().mean(1)
        deviations = (_deviation(found) - _deviation(aim)).square().mean(1)
        total = total + (means + deviations) / unit
    return total / len(features)


def bands_loss(x: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of what bands and tones are off by, in brightness and two opponent colours.

    Log-ratios of the deviations of `BANDS` octaves and of what is coarser; differences of means, in units of `TONE`.

    Args:
        x: (B, 3, H, W) in [-1, 1].
        wanted: (B, 3, H', W') in [-1, 1].

    Returns:
        (B,).
    """
    (bands, tones), (other, aims) = _bands(x), _bands(wanted)
    return torch.cat([(bands / other).log(), (tones - aims) / TONE], 1).square().mean(1)


def _bands(x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3 (BANDS + 1)) deviations, not below one 8-bit level's rounding error, and (B, 3) means."""
    red, green, blue = x.float().unbind(1)
    x = torch.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], 1)
    means = x.mean((2, 3), keepdim=True)
    parts = []
    for _ in range(BANDS):
        coarse = F.avg_pool2d(x, 2, ceil_mode=True)
        parts.append(x - F.interpolate(coarse, x.shape[2:], mode="nearest"))
        x = coarse
    parts.append(x - means)
    found = [(part.square().mean((2, 3)) + LEAST**2).sqrt() for part in parts]
    return torch.cat(found, 1), means.flatten(1)


def _deviation(x: Tensor) -> Tensor:
    return (x.var((2, 3), unbiased=False) + 1e-6).sqrt()
