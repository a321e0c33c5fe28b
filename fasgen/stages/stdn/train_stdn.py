"""Training of STDN+: a step of three turns, as its Algorithm 1 has them.

First the generator takes live faces and spoofs apart; then the discriminators tell what it made from what is real; then it
meets spoofs that were synthesised from its own traces, whose traces and depth are therefore known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fasgen.errors import ConfigError, WeightsError
from fasgen.stages.gallery.train_gallery import counted, load_galleries
from fasgen.stages.stdn.bands import cuts, low
from fasgen.stages.stdn.discriminators import Discriminators
from fasgen.stages.stdn.generator import Analysis, Generator, GeneratorConfig
from fasgen.stages.stdn.losses import (
    depth_loss,
    discriminator_loss,
    generator_loss,
    mask_prior,
    regulariser,
    self_supervision,
    trace_size,
)
from fasgen.stages.stdn.traces import Traces, additive, hierarchy, live_of, spoof_of, stacked, unstacked, weaker
from fasgen.stages.stdn.train_faces import Batch, Draws, Landmarks
from fasgen.stages.stdn.training_config import StdnTraining
from fasgen.stages.stdn.warp import warp
from fasgen.training.average import average
from fasgen.training.draws import chance, coins
from fasgen.training.faces import Epochs
from fasgen.training.learnt import learnt
from fasgen.training.sheet import save_sheet
from fasgen.training.turns import Turn

VALIDATED = 200
"""Held-out spoofs and live faces that are measured."""
SHOWN = 24
ALPHAS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Weights of the traces in the score among which the held-out faces choose."""
_AMPLIFIED = 2.0


class Made(NamedTuple):
    """What the first turn leaves to the others, without gradient.

    Attributes:
        live: live counterparts of the spoofs: low, middle, high.
        synthesised: spoofs of the batch's live faces.
        traces: of the spoofs, warped to the live faces.
        spoof: the spoofs, warped likewise.
    """

    live: tuple[Tensor, Tensor, Tensor]
    synthesised: Tensor
    traces: Traces
    spoof: Tensor


class StdnTask:
    """Disentanglement of spoof traces.

    Args:
        config: settings.
        device: where batches go.

    Raises:
        SourceError: if live faces or spoofs are missing.
        ConfigError: if the generator cannot have the configured shape.
        WeightsError: if a generator to go on from, or to blend with, is of another.
    """

    traced = True

    def __init__(self, config: StdnTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        try:
            shape = GeneratorConfig(
                config.faces.size,
                config.stem,
                config.widths,
                config.blocks,
                config.depth_width,
                config.fold,
                config.mask_bias,
                smooth=config.smooth,
            )
        except ValueError as error:
            raise ConfigError(f"the generator's settings do not fit each other: {error}") from error
        generator = Generator(shape)
        if config.init is not None:
            generator.load_state_dict(_partner(config.init, shape, "init").state_dict())
        self.blend = None if config.blend is None else _partner(config.blend, shape, "blend")
        parts: dict[str, nn.Module] = {
            "generator": generator,
            "discriminators": Discriminators(config.faces.size, config.discriminator_width),
        }
        self.module: nn.Module = nn.ModuleDict(parts)
        self.turns = (
            Turn("generator", self.loss),
            Turn("discriminators", self.verdicts, config.discriminator_rate),
            Turn("generator", self.synthetic),
        )
        train, held = load_galleries(config)
        self.counted = counted(train, held)
        # The weight of its score is chosen on those that are held out.
        self.seen = learnt("stdn", [*train.faces, *held.faces], config, {"start": config.init, "blend": config.blend})
        where = config.template, config.faces.size, config.landmarks, device
        self.draws = Draws(train, Landmarks(*where), device)
        # Where people are held out who are all live, or all spoofs, there is nothing to tell apart.
        both = any(held.live) and not all(held.live)
        self.held = Draws(held, Landmarks(*where), device) if both else None
        self.epochs = Epochs(len(self.draws.live), config.batch // 2, config.seed)
        self.made: Made | None = None
        self.alpha0 = shape.alpha0

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches drawn from the step's own seed: spoofs uniform over styles, live faces of the spoofs' origins.

        Live faces go round in epochs; one that comes from elsewhere than the spoof beside it gives its place to another.
        """
        config, draws = self.config, self.draws
        flips = 0.5 if config.faces.flip else 0.0
        for step in count(start):
            pictures = coins(config.seed, step, rank, self.device)[0]
            index = self.epochs.at(step, rank, world).items
            spoof = [draws.spoof(pictures) for _ in index]
            live = [draws.partner(one, draws.live[int(i)], pictures) for one, i in zip(spoof, index, strict=True)]
            flip = chance(2 * len(live), flips, pictures).reshape(2, -1).numpy()
            yield draws.batch(live, spoof, flip, pictures)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """First turn: a1 L_R + a2 L_P + a3 L_G + a4 L_depth, and the term of known pairs where it is weighed.

        Where meshes are looked for, ``dense`` is noted beside the terms: the share of the batch's faces that have one.
        """
        config, count = self.config, len(batch.live)
        generator, judges = parts_of(module)
        said: Analysis = generator(torch.cat([batch.live, batch.spoof]))
        of_live, of_spoof = said.traces.take(slice(count)), said.traces.take(slice(count, None))
        counterparts = hierarchy(batch.spoof, of_spoof)
        moved = warp(torch.cat([stacked(of_spoof), batch.spoof], 1), batch.offset)
        traces, spoof = unstacked(moved[:, :-3]), moved[:, -3:]
        synthesised = spoof_of(batch.live, traces, spoof)
        target = torch.cat([batch.depth, torch.zeros_like(batch.depth)])
        parts = {
            "regulariser": config.regularise_live * regulariser(of_live) + config.regularise_spoof * regulariser(of_spoof),
            "mask": config.mask_weight * mask_prior(of_spoof, batch.untouched, batch.additive),
            "gan": config.gan_weight * generator_loss(judges([*counterparts, synthesised])),
            "depth": config.depth_weight * depth_loss(said.depth, target),
        }
        if config.paired_weight:
            parts["paired"] = config.paired_weight * pair_loss(counterparts, batch)
        lowest, middle, highest = (image.detach() for image in counterparts)
        self.made = Made((lowest, middle, highest), synthesised.detach(), traces.detach(), spoof.detach())
        noted = {"dense": batch.dense.float().mean()} if config.landmarks == "dense" else {}
        return torch.stack(list(parts.values())).sum(), parts | noted

    def verdicts(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Second turn: L_D. Live faces are real to the first three, spoofs to the fourth."""
        made = self._made()
        _, judges = parts_of(module)
        loss = discriminator_loss(judges([batch.live] * 3 + [batch.spoof]), judges([*made.live, made.synthesised]))
        return loss, {"discriminators": loss}

    def synthetic(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Third turn: a5 L_S + a6 L_H on spoofs whose traces are known, a share of them weakened.

        Live faces go with them, as in the paper, to keep the batch's statistics what they were; their depth is asked for too,
        at the weight a6, so that the head is not taught spoofs alone.
        """
        config, made, count = self.config, self._made(), len(batch.live)
        generator, _ = parts_of(module)
        hard = torch.rand(count, 1, 1, 1, device=batch.live.device) < config.harder_share
        put = Traces(*(torch.where(hard, a, b) for a, b in zip(weaker(made.traces), made.traces, strict=True)))
        synthesised = spoof_of(batch.live, put, made.spoof)
        said: Analysis = generator(torch.cat([batch.live, synthesised]))
        target = torch.cat([batch.depth, torch.zeros_like(batch.depth)])
        parts = {
            "again": config.trace_weight * self_supervision(said.traces.take(slice(count, None)), put),
            "harder": config.harder_weight * depth_loss(said.depth, target),
        }
        return torch.stack(list(parts.values())).sum(), parts

    def _made(self) -> Made:
        assert self.made is not None, "the first turn comes first"
        return self.made

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Held-out live faces against held-out spoofs; a sheet of live, spoof, traces, live counterpart and synthesised.

        ``auc`` is that of the score at the best weight of the traces, ``auc_depth`` and ``auc_traces`` those of its terms
        alone; ``error`` is the mean absolute difference, in levels, of spoofs' live counterparts from the faces that the spoofs
        were made of, ``error_spoof`` that of the spoofs themselves, which a network that does nothing reaches; ``change_live``
        is how far live faces are from their own counterparts.
        """
        if self.held is None:
            return {}
        found = [self._measure(module, number) for number in self._numbers(self.held)]
        live = torch.cat([one[0] for one in found])
        spoof = torch.cat([one[1] for one in found])
        areas = {
            alpha: area(live[:, 0] / 2 - alpha / 2 * live[:, 1], spoof[:, 0] / 2 - alpha / 2 * spoof[:, 1]) for alpha in ALPHAS
        }
        self.alpha0 = max(areas, key=lambda alpha: areas[alpha])
        figures = {
            "auc": areas[self.alpha0],
            "alpha0": self.alpha0,
            "auc_depth": areas[0.0],
            "auc_traces": area(-live[:, 1], -spoof[:, 1]),
            "change_live": float(live[:, 2].mean()),
        }
        known = spoof[spoof[:, 4] > 0]
        if len(known):
            figures |= {"error": float(known[:, 2].mean()), "error_spoof": float(known[:, 3].mean())}
        self._sheet(module, folder / f"{step:07d}.png")
        return figures

    def _numbers(self, held: Draws) -> list[list[tuple[int, int]]]:
        """Pairs of a live face and a spoof, the styles taking turns, in batches."""
        count = min(VALIDATED, len(held.live))
        stride = len(held.live) // count
        pairs = []
        for place in range(count):
            style = held.spoofs[place % len(held.spoofs)]
            pairs.append((held.live[place * stride], style[(place // len(held.spoofs)) * 7919 % len(style)]))
        size = self.config.batch
        return [pairs[first : first + size] for first in range(0, count, size)]

    def _held_batch(self, pairs: list[tuple[int, int]]) -> Batch:
        assert self.held is not None
        live, spoof = [list(numbers) for numbers in zip(*pairs, strict=True)]
        drawn = torch.Generator().manual_seed(self.config.seed)
        return self.held.batch(live, spoof, np.zeros((2, len(pairs)), np.bool_), drawn)

    def _measure(self, module: nn.Module, pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Of live faces depth, traces, change; of spoofs depth, traces, error, error of the spoof, whether it is known."""
        batch = self._held_batch(pairs)
        generator, _ = parts_of(module)
        said: Analysis = generator(torch.cat([batch.live, batch.spoof]))
        images = torch.cat([batch.live, batch.spoof])
        made = live_of(images, said.traces)
        count = len(pairs)
        depth, size = said.depth.flatten(1).mean(1), trace_size(said.traces)
        live = torch.stack([depth[:count], size[:count], _levels(made[:count], batch.live)], 1)
        spoof = torch.stack(
            [
                depth[count:],
                size[count:],
                _levels(made[count:], batch.parent),
                _levels(batch.spoof, batch.parent),
                batch.has_parent.float(),
            ],
            1,
        )
        return live.cpu(), spoof.cpu()

    def _sheet(self, module: nn.Module, path: Path) -> None:
        assert self.held is not None
        batch = self._held_batch([pair for some in self._numbers(self.held) for pair in some][:SHOWN])
        generator, _ = parts_of(module)
        traces = generator(batch.spoof).traces
        moved = warp(torch.cat([stacked(traces), batch.spoof], 1), batch.offset)
        made = spoof_of(batch.live, unstacked(moved[:, :-3]), moved[:, -3:])
        columns = [batch.live, batch.spoof, 0.5 + _AMPLIFIED * additive(traces) / 2, live_of(batch.spoof, traces), made]
        save_sheet(path, [x * 2 - 1 for x in columns], across=2)

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the generator, with the weight of the score that held-out faces chose; discriminators end with the training."""
        generator = module.get_submodule("generator")
        assert isinstance(generator, Generator)
        if self.blend is not None:
            average(generator, self.blend)
        generator.config = replace(generator.config, alpha0=self.alpha0)
        generator.save(folder / "generator")


def parts_of(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminators of what is trained."""
    return module.get_submodule("generator"), module.get_submodule("discriminators")


def _partner(folder: Path, shape: GeneratorConfig, setting: str) -> Generator:
    """A trained generator of the shape ``shape``, whatever becomes of its output and its score."""
    other = Generator.load(folder)
    if replace(other.config, smooth=shape.smooth, alpha0=shape.alpha0, mask_bias=shape.mask_bias) != shape:
        raise WeightsError(f"{setting}: {folder}: is a generator of another shape: {other.config}, not {shape}")
    return other


def pair_loss(counterparts: tuple[Tensor, Tensor, Tensor], batch: Batch) -> Tensor:
    """L1 between live counterparts and the faces that spoofs were made of, summed over low, middle and high. Scalar."""
    n1, n2 = cuts(batch.parent.shape[-1])
    wanted = (low(batch.parent, n1), low(batch.parent, n2), batch.parent)
    errors = [(made - face).abs().flatten(1).mean(1) for made, face in zip(counterparts, wanted, strict=True)]
    known = batch.has_parent.to(errors[0])
    return (torch.stack(errors).sum(0) * known).sum() / known.sum().clamp_min(1)


def area(live: Tensor, spoof: Tensor) -> float:
    """Area under the ROC curve of scores that should be higher for live faces; ties count half."""
    difference = live[:, None] - spoof[None]
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)


def _levels(a: Tensor, b: Tensor) -> Tensor:
    return 255 * (a - b).abs().flatten(1).mean(1)


def task(config: StdnTraining, device: torch.device) -> StdnTask:
    """The task of ``fasgen train stdn``."""
    return StdnTask(config, device)
