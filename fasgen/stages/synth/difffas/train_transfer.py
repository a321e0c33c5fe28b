"""Styles on faces that have no spoof of their own: what pairs cannot teach where a data set's styles come with few people.

DiffFAS learns from pairs alone (Eq. 7), so a style that was only ever photographed of five people is only ever asked for on
those five. Here any live face meets a guide of any style. There is no target; instead the frozen style encoder must see the
guide's style in the clean image, its features must have the guide's means and deviations (the style loss of Huang and Belongie
2017, with this encoder for its VGG), the image's bands must have the guide's energies, and the person must stay. The bands keep
the encoder from being pleased by noise that no camera makes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from fasgen.stages.defake.ddim import Prediction, noised, split
from fasgen.stages.synth.difffas.style_encoder import Style, StyleEncoder
from fasgen.stages.synth.difffas.training_config import TransferConfig
from fasgen.stages.synth.train_gallery import Gallery

FIRST = 0.8
"""Share of the highest trained level from which on samples start, as they do from a noised live face."""
SHIFT = 4
"""Pixels by which the encoder's view is moved at most: a style that lives at one exact place is none."""

BANDS = 4
"""Octaves in which energies are compared."""
LEAST = 2 / 255 / 12**0.5
"""Deviation that rounding to 8 bits leaves in a flat image."""

T = TypeVar("T")
Denoise = Callable[[Tensor, Tensor, Tensor, "Strangers"], Tensor]
"""``denoise(z_t, abar_t, t, strangers)``: what the network predicts, (B, 3, H, W)."""
Embed = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [-1, 1] to unit vectors (B, D)."""


class Strangers(NamedTuple):
    """Live faces and guides that are no pair.

    Attributes:
        live: (B, 3, S, S) in [-1, 1].
        guide: (B, 3, S, S) in [-1, 1].
        style: features of the guides.
        grey: features of a grey image, where that is what "no style" means.
        label: (B,) numbers of the guides' styles.
        first: (B,) levels at which samples start from the live face.
        first_eps: (B, 3, S, S) noise at that level.
        t: (B,) levels, 1 to T.
        eps: (B, 3, S, S) noise.
        moves: (B, 2) pixels by which the encoder's view is moved, 0 to 2 `SHIFT`.
    """

    live: Tensor
    guide: Tensor
    style: tuple[Tensor, ...]
    grey: tuple[Tensor, ...] | None
    label: Tensor
    first: Tensor
    first_eps: Tensor
    t: Tensor
    eps: Tensor
    moves: Tensor


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
            elif style in styles:
                guides[style].append(index)
        self._lives = [lives[name] for name in sorted(lives)]
        self._guides = [(styles.index(name), guides[name]) for name in sorted(guides)]

    def __bool__(self) -> bool:
        return bool(self._lives and self._guides)

    def draw(self, count: int, coin: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers of live faces and of guides, and the guides' styles, (count,) each.

        Half of the live faces come from all together, half from each source alike: large sources are seen in their breadth
        and small ones still often.
        """
        pooled = [i for source in self._lives for i in source]
        live, guide, style = [], [], []
        for number in range(count):
            live.append(_any(pooled if number % 2 else _any(self._lives, coin), coin))
            label, members = _any(self._guides, coin)
            guide.append(_any(members, coin))
            style.append(label)
        return torch.tensor(live), torch.tensor(guide), torch.tensor(style)


def _any(choices: Sequence[T], coin: torch.Generator) -> T:
    return choices[int(torch.randint(len(choices), (), generator=coin))]


def draw_levels(count: int, t_max: int, coin: torch.Generator) -> tuple[Tensor, Tensor]:
    """Starting levels, (count,) in `FIRST` t_max to t_max, and levels of the step, spread evenly over 1 to t_max."""
    low = max(1, int(FIRST * t_max))
    first = torch.randint(low, t_max + 1, (count,), generator=coin)
    share = (torch.randperm(count, generator=coin) + torch.rand(count, generator=coin)) / count
    return first, 1 + (share * t_max).long().clamp(max=t_max - 1)


def transfer_loss(
    denoise: Denoise,
    encoder: StyleEncoder,
    embed: Embed | None,
    strangers: Strangers,
    abar: Tensor,
    prediction: Prediction,
    config: TransferConfig,
    t_max: int,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """What the clean images lack of the guides' style and of the live people.

    Below the starting levels, z_t is noised from what the network itself makes of the starting level, as in sampling; a live
    face noised a little would ask for the style where sampling never is.

    Args:
        denoise: the network.
        encoder: frozen.
        embed: identity network; ``None``: identity is not asked for.
        strangers: see there.
        abar: (T + 1,) by level.
        prediction: what the network predicts.
        config: weights.
        t_max: highest level trained.

    Returns:
        the weighted sum, and its parts unweighted.
    """

    def clean(base: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        abar_t = abar[t].float()[:, None, None, None]
        z_t = noised(base, eps, abar_t)
        z_0, _ = split(z_t, denoise(z_t, abar_t, t, strangers).float(), abar_t, prediction)
        # Shown pictures are clamped; the gradient goes past the clamp, so that saturated pixels can come back.
        return z_0 + (z_0.clamp(-1, 1) - z_0).detach()

    with torch.no_grad():
        made = clean(strangers.live, strangers.first_eps, strangers.first)
    starts = (strangers.t >= FIRST * t_max)[:, None, None, None]
    z_0 = clean(torch.where(starts, strangers.live, made), strangers.eps, strangers.t)
    seen: Style = encoder(moved(z_0, strangers.moves))
    parts = {
        "style": F.cross_entropy(seen.logits.float(), strangers.label),
        "statistics": statistics_loss(seen.features, strangers.style),
    }
    parts["bands"] = bands_loss(z_0, strangers.guide)
    total = sum((getattr(config, name) * part for name, part in parts.items()), z_0.new_zeros(()))
    if embed is not None and config.identity:
        with torch.no_grad():
            wanted = embed(strangers.live)
        parts["identity"] = (1 - (embed(z_0) * wanted).sum(1)).mean()
        total = total + config.identity * parts["identity"]
    return total, parts


def statistics_loss(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Distance of channel means and deviations, each level in units of the wanted features' mean square (AdaIN, Eq. 13)."""
    total = features[0].new_zeros(())
    for found, aim in zip(features, wanted, strict=True):
        found, aim = found.float(), aim.float()
        unit = aim.square().mean().clamp_min(1e-8)
        means = (found.mean((2, 3)) - aim.mean((2, 3))).square().mean()
        deviations = (_deviation(found) - _deviation(aim)).square().mean()
        total = total + (means + deviations) / unit
    return total / len(features)


def bands_loss(x: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of log-ratios of the deviations of `BANDS` bands, one octave each, of brightness and two opponent colours.

    Args:
        x: (B, 3, H, W) in [-1, 1].
        wanted: (B, 3, H', W') in [-1, 1].
    """
    ratios = (_bands(x) / _bands(wanted)).log()
    return ratios.square().mean()


def _bands(x: Tensor) -> Tensor:
    """(B, 3 BANDS) deviations, not below one 8-bit level's rounding error."""
    red, green, blue = x.float().unbind(1)
    x = torch.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], 1)
    found = []
    for _ in range(BANDS):
        coarse = F.avg_pool2d(x, 2, ceil_mode=True)
        fine = x - F.interpolate(coarse, x.shape[2:], mode="nearest")
        found.append((fine.square().mean((2, 3)) + LEAST**2).sqrt())
        x = coarse
    return torch.cat(found, 1)


def _deviation(x: Tensor) -> Tensor:
    return (x.var((2, 3), unbiased=False) + 1e-6).sqrt()


def moved(x: Tensor, moves: Tensor) -> Tensor:
    """Images (B, 3, H, W) moved by ``moves - SHIFT`` whole pixels, the edge repeated."""
    height, width = x.shape[2:]
    padded = F.pad(x, (SHIFT,) * 4, mode="replicate")
    return torch.stack([p[:, dy : dy + height, dx : dx + width] for p, (dy, dx) in zip(padded, moves.tolist(), strict=True)])
