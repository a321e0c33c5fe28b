"""Which sampler an experiment draws its batches with; made before anything is trained, it refuses what cannot be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
from torch.utils.data import Sampler

from fasgen.downstream.config import Experiment
from fasgen.errors import ConfigError
from fasgen.reader import BalancedSampler, Draw, SampleTable, SubjectSampler


def subject_table(experiment: Experiment, train: SampleTable) -> SampleTable:
    """The samples that DLIF can learn from: those with a subject, and synthetic ones unless their share is 0."""
    named = np.array([bool(subject) for subject in train.subject], bool)
    return train.take(named & ~(train.synthetic & (experiment.synthetic == 0)))


class RankShare(Sampler[list[Draw]]):
    """One rank's part of every batch of a sampler that knows no ranks: the parts of a step are together the batch.

    Subjects stay whole, since a rank's losses compare the samples of a subject; the subjects of each data set are dealt in
    turn.

    Args:
        whole: draws the batches of all ranks together, ``group`` draws a subject, ``subjects`` subjects a data set.
        subjects: subjects of each data set in a batch of ``whole``; a multiple of ``world``.
        group: draws of one subject.
        rank, world: which part.

    Raises:
        ConfigError: the subjects cannot be dealt evenly.
    """

    def __init__(self, whole: SubjectSampler, subjects: int, group: int, rank: int, world: int) -> None:
        if subjects % world:
            raise ConfigError(
                f"dlif.subjects is {subjects}, which {world} ranks cannot share evenly; take a multiple of {world}"
            )
        self._whole, self._group, self._rank, self._world = whole, group, rank, world

    def at(self, step: int) -> list[Draw]:
        """This rank's part of the batch at ``step``."""
        draws = self._whole.at(step)
        # A batch lists its data sets one after the other, each with a multiple of ``world`` subjects: every world-th is enough.
        groups = [draws[i : i + self._group] for i in range(0, len(draws), self._group)]
        return [draw for group in groups[self._rank :: self._world] for draw in group]

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in count(self._whole.start):
            yield self.at(step)


def training_sampler(
    experiment: Experiment, train: SampleTable, seed: int, start: int = 0, rank: int = 0, world: int = 1
) -> BalancedSampler | SubjectSampler | RankShare:
    """Live and spoof one to one from every source domain, or for DLIF so many subjects of each.

    The batches of all ranks of a step are together the batch that one rank alone would draw.

    Raises:
        ConfigError: the batch does not divide, or a domain lacks samples or subjects.
    """
    by = experiment.protocol.by
    if experiment.method == "dlif":
        d = experiment.dlif
        whole = SubjectSampler(
            subject_table(experiment, train),
            subjects=d.subjects,
            live=d.live,
            spoof=d.spoof,
            synthetic=experiment.synthetic,
            by=by,
            seed=seed,
            start=start,
            rank=0,
            world=1,
        )
        return whole if world == 1 else RankShare(whole, d.subjects, d.live + d.spoof, rank, world)
    if experiment.loop.batch % world:
        raise ConfigError(f"loop.batch is {experiment.loop.batch}, which {world} ranks cannot share evenly")
    batch = experiment.loop.batch // world
    return BalancedSampler(
        train,
        batch,
        by=by,
        synthetic=experiment.synthetic,
        mix=experiment.mix,
        live_only=experiment.live_only,
        seed=seed,
        start=start,
        rank=rank,
        world=world,
    )
