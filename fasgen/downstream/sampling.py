"""Which sampler an experiment draws its batches with; made before anything is trained, it refuses what cannot be drawn."""

from __future__ import annotations

import numpy as np

from fasgen.downstream.config import Experiment
from fasgen.reader import BalancedSampler, SampleTable, SubjectSampler


def subject_table(experiment: Experiment, train: SampleTable) -> SampleTable:
    """The samples that DLIF can learn from: those with a subject, and synthetic ones unless their share is 0."""
    named = np.array([bool(subject) for subject in train.subject], bool)
    return train.take(named & ~(train.synthetic & (experiment.synthetic == 0)))


def training_sampler(
    experiment: Experiment, train: SampleTable, seed: int, start: int = 0, rank: int = 0, world: int = 1
) -> BalancedSampler | SubjectSampler:
    """Live and spoof one to one from every source domain, or for DLIF so many subjects of each.

    Raises:
        ConfigError: the batch does not divide, or a domain lacks samples or subjects.
    """
    by = experiment.protocol.by
    if experiment.method == "dlif":
        d = experiment.dlif
        return SubjectSampler(
            subject_table(experiment, train),
            subjects=d.subjects,
            live=d.live,
            spoof=d.spoof,
            by=by,
            seed=seed,
            start=start,
            rank=rank,
            world=world,
        )
    batch = experiment.loop.batch // world
    return BalancedSampler(train, batch, by=by, synthetic=experiment.synthetic, seed=seed, start=start, rank=rank, world=world)
