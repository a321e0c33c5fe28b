"""Who reads what: shards cut into spans, one consumer a rank and worker, no sample lost or doubled."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fasgen.errors import ConfigError
from fasgen.reader.shards import Shard


@dataclass(frozen=True, slots=True)
class Span:
    """Samples ``start`` to ``stop`` (exclusive) of a shard; ``stop`` is None where the number of samples is not known."""

    shard: Shard
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Consumer:
    """One reader among ``world * workers``."""

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1


def shard_order(count: int, seed: int, epoch: int) -> list[int]:
    """A permutation of shards, the same for every consumer of an epoch."""
    return [int(i) for i in np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)]


def spans(shards: Sequence[Shard], consumer: Consumer, *, even: bool = False) -> list[Span]:
    """What one consumer reads of ``shards``, in order.

    With an index, samples are dealt: each consumer gets a contiguous run, runs differ by one sample at most, and a shard may be
    shared. Without, whole shards are dealt in turn.

    Args:
        shards: in the order of the epoch.
        consumer: who asks.
        even: give every rank the same number of samples, so that ranks take equally many steps; up to ``world - 1`` samples
            of the epoch's order stay unread.

    Raises:
        ConfigError: ``even`` was asked for, and the shards have no index.
    """
    counts = [shard.samples for shard in shards]
    if any(count is None for count in counts):
        if even:
            raise ConfigError("even=True needs the number of samples of every shard: read a folder that has an index.json")
        number = consumer.rank * consumer.workers + consumer.worker
        return [Span(shard) for shard in shards[number :: consumer.world * consumer.workers]]
    total = sum(count or 0 for count in counts)
    first, last = rank_range(total, consumer.rank, consumer.world, even=even)
    low, high = _part(last - first, consumer.worker, consumer.workers)
    return list(_cut(shards, first + low, first + high))


def rank_range(total: int, rank: int, world: int, *, even: bool) -> tuple[int, int]:
    """The run of samples, out of ``total``, that a rank reads."""
    if even:
        return rank * (total // world), (rank + 1) * (total // world)
    return _part(total, rank, world)


def rank_and_world(rank: int | None, world: int | None) -> tuple[int, int]:
    """The given ones, else those of ``torch.distributed``, else those of the launcher's environment, else 0 of 1.

    Raises:
        ConfigError: only one was given, or the rank is not in ``[0, world)``.
    """
    if (rank is None) != (world is None):
        raise ConfigError("rank and world belong together: give both or none")
    if rank is None or world is None:
        import torch.distributed as dist

        if dist.is_available() and dist.is_initialized():
            rank, world = dist.get_rank(), dist.get_world_size()
        else:
            rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world:
        raise ConfigError(f"rank is {rank}, allowed are 0 to {world - 1} (world is {world})")
    return rank, world


def _part(total: int, number: int, parts: int) -> tuple[int, int]:
    return total * number // parts, total * (number + 1) // parts


def _cut(shards: Sequence[Shard], first: int, last: int) -> Iterator[Span]:
    at = 0
    for shard in shards:
        count = shard.samples or 0
        start, stop = max(first - at, 0), min(last - at, count)
        if start < stop:
            yield Span(shard, start, stop)
        at += count
