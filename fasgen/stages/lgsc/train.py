"""Training of LGSC's spoof cue generator: live cues to zero, triplets on five levels, a classifier on face plus cue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.errors import ConfigError, SourceError, WeightsError
from fasgen.stages.gallery.train_gallery import Gallery, counted, load_galleries
from fasgen.stages.lgsc.losses import all_triplets, regression
from fasgen.stages.lgsc.network import AuxiliaryClassifier, Cue, GeneratorConfig, SpoofCueGenerator
from fasgen.stages.lgsc.resnet import ResNet
from fasgen.stages.lgsc.train_views import patches, photometric, rescaled
from fasgen.stages.lgsc.training_config import LgscTraining
from fasgen.stages.network_folder import load_network, save_network
from fasgen.training.average import average
from fasgen.training.draws import Lists, chance, coins
from fasgen.training.faces import as_input
from fasgen.training.layout import memory_format
from fasgen.training.learnt import learnt
from fasgen.training.residency import Bank, fits, sent
from fasgen.training.sheet import save_sheet

SHOWN = 24
VALIDATED = 600


class Both(nn.Module):
    """What is trained: the generator, and the classifier that is left behind at export."""

    def __init__(self, generator: SpoofCueGenerator, classifier: AuxiliaryClassifier) -> None:
        super().__init__()
        self.generator, self.classifier = generator, classifier

    def forward(self, x: Tensor) -> tuple[Cue, Tensor]:
        """Faces to cues, and to the classifier's logits of face plus cue."""
        cue: Cue = self.generator(x)
        return cue, self.classifier(x + cue.map)


class LgscTask:
    """LGSC's losses on batches that are half live and half spoof.

    Args:
        config: settings.
        device: where batches go.

    Raises:
        SourceError: if there are no live faces, or no spoofs.
        ConfigError: if settings do not fit each other.
    """

    traced = True

    def __init__(self, config: LgscTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        if config.batch % 2:
            raise ConfigError(f"batch={config.batch}: half of a batch is live and half spoof; take {config.batch + 1}")
        try:
            shape = GeneratorConfig(
                config.stem, config.widths, config.blocks, config.decoder, config.norm, config.kernel, config.padding
            )
            classifier = AuxiliaryClassifier(
                config.classifier_stem, config.classifier_widths, config.dropout, config.kernel, config.padding
            )
        except ValueError as error:
            raise ConfigError(f"the network's settings do not fit each other: {error}") from error
        self.train, self.held = load_galleries(config)
        self.counted = counted(self.train, self.held)
        self.seen = learnt("lgsc", self.train.faces, config, {"start": config.init, "blend": config.blend})
        lives = sum(self.train.live)
        spoofs = [i for i, live in enumerate(self.train.live) if not live]
        if not lives or not spoofs:
            raise SourceError(
                f"{lives} live faces and {len(spoofs)} spoofs are there to learn from, both are needed: give live "
                "faces (faces.path) with simulation.renders above 0, or a store with live and spoof crops (pairs.path)"
            )
        styles = sorted({self.train.styles[i] for i in spoofs})
        partners = self.train.partners()
        self.by_style = Lists([[i for i in spoofs if self.train.styles[i] == style] for style in styles])
        self.partners = Lists([partners[style] for style in styles])
        # Reducing and coding pictures is the host's work.
        self.bank = Bank(self.train.parts, device, not config.rescale and fits(self.train.parts, device))
        self.needs_host = not self.bank.resident
        both = Both(SpoofCueGenerator(shape), classifier)
        if config.init is not None and config.init.is_dir():
            both.generator.load_state_dict(_generator(config.init, both.generator, "init").state_dict())
        elif config.init is not None:
            tensors = _imagenet(config.init)
            _start(both.generator.encoder, tensors, config.init)
            _start(both.classifier.trunk, tensors, config.init)
        self.blend = None if config.blend is None else _generator(config.blend, both.generator, "blend")
        self.module: nn.Module = both
        self.layout = memory_format(both, device)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        """Faces (B, 3, S, S) in [-1, 1], the first half of them live, drawn from the step's own seed.

        Every style of spoof is as likely as every other, live faces come from where the spoofs come from.

        Raises:
            ConfigError: a rank's share of a batch is odd.
        """
        config, share = self.config, self.config.batch // world
        if share % 2:
            raise ConfigError(f"batch={config.batch} on {world} ranks: a rank's share is odd, half of it must be live")
        for step in count(start):
            pictures, views = coins(config.seed, step, rank, self.device)
            style = self.by_style.any(share // 2, pictures)
            index = torch.cat([self.partners.draw(style, pictures), self.by_style.draw(style, pictures)])
            if config.rescale:
                levels = sent(rescaled(self.train.take(index), config.rescale, pictures), self.device)
            else:
                levels = self.bank.take(index)
            flip = chance(share, 0.5 if config.faces.flip else 0.0, views)
            x = patches(photometric(as_input(levels, flip), config.photometric, views), config.patch, views)
            yield x.contiguous(memory_format=self.layout)

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Weighted sum of regression, triplets and classification (section 3.2)."""
        config, lives = self.config, len(batch) // 2
        cue, logits = module(batch)
        cue_map = cue.map.float()
        live = (torch.arange(len(batch), device=batch.device) < lives).long()
        parts = {
            "regression": regression(cue_map, lives),
            "triplet": all_triplets(cue.features, lives, config.margin),
            "classification": F.cross_entropy(logits.float(), live),
        }
        weights = {"regression": config.regression, "triplet": config.triplet, "classification": config.classification}
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return total, parts | {"spoof": cue_map.detach()[lives:].abs().mean()}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """On people held out, under simulated devices never trained on: area under the ROC curve of the score, and its means;
        a sheet of live, cue, spoof, cue."""
        generator: SpoofCueGenerator = module.generator  # type: ignore[assignment]
        held = self.held
        shown = sorted(held.lives)[:: max(1, len(held.lives) // SHOWN)][:SHOWN]
        if shown:
            pairs = torch.tensor([(held.lives[spoof][0], spoof) for spoof in shown])
            live, spoof = (as_input(held.take(numbers)) for numbers in pairs.T)
            columns = [live, self._maps(generator, live), spoof, self._maps(generator, spoof)]
            save_sheet(folder / f"{step:07d}.png", columns)
        scores = {is_live: self._scores(generator, held, is_live) for is_live in (True, False)}
        if not all(map(len, scores.values())):
            return {}
        return {
            "auc": area(scores[False], scores[True]),
            "live_score": float(scores[True].mean()),
            "spoof_score": float(scores[False].mean()),
        }

    def _scores(self, generator: SpoofCueGenerator, gallery: Gallery, live: bool) -> NDArray[np.float64]:
        numbers = [i for i, one in enumerate(gallery.live) if one == live]
        numbers = numbers[:: -(-len(numbers) // VALIDATED) or 1]
        parts = torch.split(torch.tensor(numbers, dtype=torch.int64), 32)
        found = [self._maps(generator, as_input(gallery.take(part))).abs().flatten(1).mean(1) for part in parts if len(part)]
        return torch.cat(found).double().numpy() if found else np.empty(0)

    def _maps(self, generator: SpoofCueGenerator, x: Tensor) -> Tensor:
        cue: Cue = generator(x.to(self.device))
        return cue.map.float().cpu()

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the generator's folder."""
        generator: SpoofCueGenerator = module.generator  # type: ignore[assignment]
        if self.blend is not None:
            average(generator, self.blend)
        save_network(generator, generator.config, folder)


def area(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> float:
    """Area under the ROC curve: the chance that a positive lies above a negative; ties count half."""
    below = np.searchsorted(np.sort(negatives), positives, "left")
    up_to = np.searchsorted(np.sort(negatives), positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def _generator(folder: Path, like: SpoofCueGenerator, setting: str) -> SpoofCueGenerator:
    """A trained generator of the shape of ``like``, whatever its padding."""
    other = load_network(folder, SpoofCueGenerator, GeneratorConfig)
    if replace(other.config, padding=like.config.padding) != like.config:
        raise WeightsError(f"{setting}: {folder}: is a generator of another shape: {other.config}, not {like.config}")
    return other


def _imagenet(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"init: {path}: not readable as safetensors ({error})") from error
    return {key: value for key, value in tensors.items() if not key.startswith("fc.")}


def _start(network: ResNet, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``tensors`` into ``network``, all of them."""
    wanted = network.state_dict()
    wrong = sorted(wanted.keys() ^ tensors.keys()) + [
        k for k, v in wanted.items() if k in tensors and v.shape != tensors[k].shape
    ]
    if wrong:
        raise WeightsError(
            f"init: {path}: is not the ResNet that stem, widths, blocks and kernel describe: {', '.join(wrong[:4])} and "
            f"{max(0, len(wrong) - 4)} more differ"
        )
    network.load_state_dict(dict(tensors))


def task(config: LgscTraining, device: torch.device) -> LgscTask:
    """The task of ``fasgen train lgsc``."""
    return LgscTask(config, device)
