"""What the training loop needs of each method: batches, loss, validation, export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fasgen.downstream.config import Experiment
from fasgen.downstream.data import Batch, Shards
from fasgen.downstream.detector import Shape, dlif_network, fas_network
from fasgen.downstream.dlif_losses import asymmetric_am_softmax
from fasgen.downstream.losses import (
    asymmetric_labels,
    batch_all_triplet,
    focal_loss,
    live_cross_entropy,
    reversal_coefficient,
)
from fasgen.downstream.protocols import Fold
from fasgen.downstream.ranks import of_all_ranks
from fasgen.downstream.rq_loss import RqHead
from fasgen.downstream.sampling import subject_table, training_sampler
from fasgen.errors import ConfigError
from fasgen.reader import SampleTable
from fasgen.seeds import sample_seed
from fasgen.seen import Seen

SCORED_AT_ONCE = 64

Look = Callable[[int], Mapping[str, float]]
"""Is called after a step, under the averaged weights: scores what it wants and returns figures for the curve."""


def _nowhere(step: int) -> Mapping[str, float]:
    """Looks at nothing."""
    return {}


class FasTask:
    """The method ``fas``: softmax, SSDG or relative-quality loss over image, cue or both.

    Args:
        experiment: settings.
        shards: the samples.
        fold: which of them train.
        seed: of the sampler.
        device: where batches go.

    Raises:
        ConfigError: the fold lacks what the settings need.
    """

    module: nn.Module
    seen: Seen | None = None
    look: Look = staticmethod(_nowhere)

    def __init__(self, experiment: Experiment, shards: Shards, fold: Fold, seed: int, device: torch.device) -> None:
        self._experiment, self._shards, self._fold, self._seed, self._device = experiment, shards, fold, seed, device
        self._domains = _numbered(fold.train.column(experiment.protocol.by))
        loss = experiment.loss
        drawn = fold.train.take(~fold.train.synthetic) if experiment.synthetic == 0 else fold.train
        rows = zip(drawn.domain, drawn.attack_type, drawn.label, strict=True)
        styles = [style_class(loss.styles, str(domain), str(attack), int(label)) for domain, attack, label in rows]
        self._styles = _numbered(styles)
        live = dict(zip(styles, (drawn.label == 1).tolist(), strict=True))
        if loss.classification == "rq":
            _check_quality(drawn, live, loss.quality)
        channels = shards.cue_channels if experiment.model.use != "image" else 0
        kinds = [live[name] for name in self._styles]
        self.shape: Shape = {"cue_channels": channels, "domains": len(self._domains), "styles": kinds}
        self.net = fas_network(experiment, self.shape)
        self.module = self.net

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Live and spoof one to one from every source domain."""
        sampler = training_sampler(self._experiment, self._fold.train, self._seed, start, rank, world)
        return self._shards.training(sampler, self._device)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss and its parts."""
        settings = self._experiment.loss
        out = module(batch.image, batch.cue, reversal_coefficient(step, settings.horizon))
        label = of_all_ranks(batch.label)
        parts = {"classification": self._classification(of_all_ranks(out.logits.float()), label, batch)}
        if settings.kind == "ssdg":
            domain = of_all_ranks(self._shards.numbers(batch, self._experiment.protocol.by, self._domains))
            embedding = of_all_ranks(out.embedding.float())
            triplet = batch_all_triplet(embedding, asymmetric_labels(label, domain), settings.margin)
            parts["triplet"] = settings.triplet * triplet
            if out.domains is not None:
                told = live_cross_entropy(of_all_ranks(out.domains.float()), domain, label)
                parts["adversarial"] = settings.adversarial * told
        return torch.stack(list(parts.values())).sum(), parts

    def _classification(self, logits: Tensor, label: Tensor, batch: Batch) -> Tensor:
        """Loss of the classifier over all ranks' logits and labels; ``batch`` is this rank's."""
        settings = self._experiment.loss
        if isinstance(self.net.head, RqHead):
            quality = [meta["quality"]["brisque"] for meta in batch.meta] if settings.quality else None
            brisque = None if quality is None else of_all_ranks(torch.tensor(quality, device=self._device))
            names = [
                style_class(settings.styles, str(m.get("domain") or ""), str(m.get("attack_type") or ""), int(m["label_index"]))
                for m in batch.meta
            ]
            target = of_all_ranks(torch.tensor([self._styles[name] for name in names], device=self._device))
            return self.net.head.loss(logits, target, brisque)
        if settings.classification == "focal":
            return focal_loss(logits, label, settings.gamma)
        if settings.classification == "asymmetric":
            scale = self._experiment.model.scale
            return asymmetric_am_softmax(logits / scale, label, settings.live_margin, settings.spoof_margin, scale)
        return cross_entropy(logits, label)

    def scores(self, table: SampleTable) -> list[float]:
        """Liveness of the samples of ``table``, in order."""
        batches = self._shards.plain(table, SCORED_AT_ONCE, self._device)
        return _scores(self.net, ((self.net.score(batch.image, batch.cue)) for batch in batches))

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """What `look` says."""
        return self.look(step)

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the weights."""
        _export(module, folder)


class DlifTask:
    """The method ``dlif``. Arguments as of `FasTask`."""

    module: nn.Module
    seen: Seen | None = None
    look: Look = staticmethod(_nowhere)

    def __init__(self, experiment: Experiment, shards: Shards, fold: Fold, seed: int, device: torch.device) -> None:
        self._experiment, self._shards, self._fold, self._seed, self._device = experiment, shards, fold, seed, device
        self._subjects = _numbered(subject_table(experiment, fold.train).subject)
        self.shape: Shape = {"subjects": len(self._subjects)}
        self.net = dlif_network(experiment, self.shape)
        self.module = self.net

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """So many subjects of every domain, each with live and spoof samples."""
        sampler = training_sampler(self._experiment, self._fold.train, self._seed, start, rank, world)
        return self._shards.training(sampler, self._device)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """``L_FAS + L_FR`` and all of their terms."""
        generator = torch.Generator().manual_seed(sample_seed(self._seed, "dlif.partners", str(step)))
        parts = module(batch.image, batch.label, self._shards.numbers(batch, "subject", self._subjects), generator)
        return torch.stack(list(parts.values())).sum(), parts

    def scores(self, table: SampleTable) -> list[float]:
        """Liveness of the samples of ``table``, in order, by U and C alone."""
        batches = self._shards.plain(table, SCORED_AT_ONCE, self._device)
        return _scores(self.net, (self.net.score(batch.image) for batch in batches))

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """What `look` says."""
        return self.look(step)

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the weights."""
        _export(module, folder)


def build_task(experiment: Experiment, shards: Shards, fold: Fold, seed: int, device: torch.device) -> FasTask | DlifTask:
    """The task of the experiment's method."""
    make = FasTask if experiment.method == "fas" else DlifTask
    return make(experiment, shards, fold, seed, device)


def style_class(styles: str, domain: str, attack_type: str, label: int) -> str:
    """The style class of a sample for the relative-quality loss; see `LossConfig.styles`."""
    if styles == "domain":
        return domain
    kind = "live" if label == 1 else "spoof"
    return kind if styles == "label" or label == 1 else f"{kind}|{attack_type}"


def _numbered(words: Iterable[Any]) -> dict[str, int]:
    return {str(word): number for number, word in enumerate(sorted(set(words)))}


def _check_quality(train: SampleTable, live: Mapping[str, bool], quality: bool) -> None:
    if set(live.values()) != {True, False}:
        raise ConfigError("loss rq needs live and spoof styles; the samples' domain does not tell them apart")
    missing = np.flatnonzero(np.isnan(train.brisque))
    if quality and missing.size:
        raise ConfigError(
            f"loss rq needs BRISQUE; {missing.size} samples have none, first {train.sample_id[missing[0]]}; "
            f"pack behind score, or take loss.quality=false"
        )


@torch.no_grad()
def _scores(net: nn.Module, batches: Iterator[Tensor]) -> list[float]:
    training = net.training
    net.eval()
    out = [float(score) for scores in batches for score in scores.float().cpu()]
    net.train(training)
    return out


def _export(module: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().contiguous().cpu() for name, value in module.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
