"""Training of the style encoder (DiffFAS, section 3.1): cross-entropy over spoofing styles, live ones among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.errors import SourceError
from fasgen.stages.gallery.train_gallery import Gallery, counted
from fasgen.stages.gallery.train_views import moved
from fasgen.stages.score.brisque import Brisque
from fasgen.stages.score.config import brisque_folder
from fasgen.stages.score.support_vectors import load as load_support_vectors
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from fasgen.stages.synth.difffas.train_pairs import load_pairs
from fasgen.stages.synth.difffas.training_config import StyleTraining
from fasgen.training.draws import Lists, chance, coins
from fasgen.training.faces import as_input
from fasgen.training.learnt import learnt
from fasgen.training.residency import sent

VALIDATED = 1200
MEASURED = 200


class Batch(NamedTuple):
    """Images (B, 3, S, S) in [-1, 1] and numbers of their styles (B,)."""

    x: Tensor
    style: Tensor


class StyleTask:
    """Classification of styles.

    Args:
        config: settings.
        device: where batches go.

    Raises:
        SourceError: if there are fewer than two styles.
    """

    traced = True

    def __init__(self, config: StyleTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        self.train, self.held = load_pairs(config)
        self.counted = counted(self.train, self.held)
        self.seen = learnt("style", self.train.faces, config, {})
        styles = tuple(sorted(set(self.train.styles)))
        if len(styles) < 2:
            raise SourceError(f"only the style {', '.join(styles)} is there to learn; two at least are needed")
        self.by_style = [[i for i, s in enumerate(self.train.styles) if s == style] for style in styles]
        self.lists = Lists(self.by_style)
        self.bank = self.train.bank(device)
        self.needs_host = not self.bank.resident
        shape = StyleEncoderConfig(
            styles, config.blocks, config.widths, config.taps, config.kernel, config.pool, config.faces.size
        )
        self.module: nn.Module = StyleEncoder(shape)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches in which every style is as likely as every other, drawn from the step's own seed."""
        config, size = self.config, self.config.batch // world
        for step in count(start):
            pictures, views = coins(config.seed, step, rank, self.device)
            style = self.lists.any(size, pictures)
            levels = self.bank.take(self.lists.draw(style, pictures))
            flip = chance(size, 0.5 if config.faces.flip else 0.0, views)
            x = shifted(as_input(levels, flip), config.shift, views)
            yield Batch(x.contiguous(memory_format=torch.channels_last), sent(style, self.device))

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Cross-entropy over styles."""
        logits = module(batch.x).logits.float()
        loss = F.cross_entropy(logits, batch.style, label_smoothing=self.config.smoothing)
        return loss, {"accuracy": (logits.argmax(1) == batch.style).float().mean()}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """On people held out, under looks never trained on: accuracy, mean recall over styles, and live against spoof."""
        encoder: StyleEncoder = module  # type: ignore[assignment]
        return recall(encoder, self.held, self.device)

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the encoder's folder."""
        encoder: StyleEncoder = module  # type: ignore[assignment]
        encoder.config = replace(encoder.config, bands=self._bands(encoder.config.styles))
        encoder.save(folder)

    def _bands(self, styles: Sequence[str]) -> tuple[tuple[float, float], ...]:
        """BRISQUE of pictures of each style, 5th and 95th percentile; an empty band (1, 0) where none has texture."""
        measure = Brisque(load_support_vectors(brisque_folder("embedded")), torch.device("cpu"))
        bands = []
        for _, members in zip(styles, self.by_style, strict=True):
            levels = (
                self.train.take(torch.tensor(members[:: max(1, len(members) // MEASURED)])).permute(0, 2, 3, 1).contiguous()
            )
            scores = torch.cat([measure(part) for part in torch.split(levels, 32)])
            found = scores[scores.isfinite()]
            low, high = (float(found.quantile(q)) for q in (0.05, 0.95)) if len(found) else (1.0, 0.0)
            bands.append((round(low, 2), round(high, 2)))
        return tuple(bands)


def shifted(x: Tensor, most: int, coin: torch.Generator) -> Tensor:
    """Images (B, 3, H, W) moved by up to ``most`` whole pixels each way, the edge repeated: no value is interpolated."""
    if not most:
        return x
    return moved(x, torch.randint(-most, most + 1, (len(x), 2), generator=coin, device=coin.device))


def recall(encoder: StyleEncoder, gallery: Gallery, device: torch.device) -> dict[str, float]:
    """Figures of the encoder on pictures whose styles it knows; empty without any."""
    styles = encoder.config.styles
    known = [i for i, style in enumerate(gallery.styles) if style in styles]
    chosen = known[:: max(1, len(known) // VALIDATED)]
    if not chosen:
        return {}
    truth = torch.tensor([styles.index(gallery.styles[i]) for i in chosen])
    spoof = torch.tensor([not gallery.live[i] for i in chosen])
    live_style = torch.tensor([style == "live" or style.endswith("|live") for style in styles])
    parts = torch.split(torch.tensor(chosen), 64)
    logits = torch.cat([encoder.logits(as_input(gallery.take(part)).to(device)).float().cpu() for part in parts])
    guess = logits.argmax(1)
    right = guess == truth
    recalls = [right[truth == s].float().mean() for s in sorted(set(truth.tolist()))]
    figures = {
        "accuracy": float(right.float().mean()),
        "recall": float(torch.stack(recalls).mean()),
        "worst_recall": float(torch.stack(recalls).min()),
    }
    if spoof.any() and not spoof.all():
        figures["live_or_spoof"] = float((live_style[guess] != spoof).float().mean())
    return figures


def task(config: StyleTraining, device: torch.device) -> StyleTask:
    """The task of ``fasgen train style``."""
    return StyleTask(config, device)
