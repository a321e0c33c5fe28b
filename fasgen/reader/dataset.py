"""Shards as a stream of samples for ``torch.utils.data.DataLoader``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from fasgen.errors import ConfigError
from fasgen.reader.decode import FasSample, SampleDecoder
from fasgen.reader.shards import Where, list_shards, open_shard
from fasgen.reader.split import Consumer, Span, rank_and_world, rank_range, shard_order, spans
from fasgen.reader.tar import RawSample, ShardError, read_samples

T = TypeVar("T")
_WORKERS = 1024


class FasDataset(IterableDataset[FasSample]):
    """Samples of packed shards, read in sequence, split over ranks and workers.

    Every sample comes exactly once an epoch, whatever the number of ranks and workers (but see ``even``). What augmentation
    does to a sample depends on seed, epoch and sample alone.

    Args:
        where: a folder that pack wrote, shards, a brace pattern, or remote addresses.
        decoder: how samples become tensors; by default image and cues, standardised as AG-FAS does.
        shuffle: size of the buffer from which samples are drawn at random, and shards in another order each epoch; 0 reads in
            order. The buffer holds undecoded members.
        seed: seed of the order.
        on_error: ``raise`` ends at the first damaged shard or sample with a ``ShardError``; ``skip`` passes over what is
            damaged and counts it in ``skipped``.
        even: give every rank the same number of samples, leaving up to ``world - 1`` unread.
        rank, world: by default those of ``torch.distributed`` or of the launcher's environment.

    Raises:
        StoreError: there are no shards.
        ConfigError: arguments contradict each other.
    """

    def __init__(
        self,
        where: Where,
        decoder: SampleDecoder | None = None,
        *,
        shuffle: int = 0,
        seed: int = 0,
        on_error: Literal["raise", "skip"] = "raise",
        even: bool = False,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__()
        if shuffle < 0:
            raise ConfigError(f"shuffle is {shuffle}, 0 or a size of the buffer is needed")
        self.shards = list_shards(where)
        self.decoder = decoder or SampleDecoder()
        self.shuffle, self.seed, self.on_error, self.even = shuffle, seed, on_error, even
        self.rank, self.world = rank_and_world(rank, world)
        if even and self.decoder.select:
            raise ConfigError("even=True counts samples before select passes over some: use one of the two, or FasIndex")
        # In shared memory, so that workers that live on see a new epoch and their counts come back; each writes its own slot.
        self._epoch = _shared(1)
        self._skipped = _shared(_WORKERS)

    def set_epoch(self, epoch: int) -> None:
        """Start ``epoch`` at the next iteration: another order, other augmentation. Workers that persist follow."""
        self._epoch.fill_(epoch)

    @property
    def skipped(self) -> int:
        """Samples passed over as damaged since this data set was made, over all workers of this rank.

        Without an index, what a damaged shard lost counts as one.
        """
        return int(self._skipped.sum())

    def __len__(self) -> int:
        """Samples of this rank in an epoch.

        Raises:
            TypeError: not known, because there is no index or a selection.
        """
        counts = [shard.samples for shard in self.shards]
        if self.decoder.select or any(count is None for count in counts):
            raise TypeError("the number of samples is not known: shards without an index, or a selection")
        first, last = rank_range(sum(count or 0 for count in counts), self.rank, self.world, even=self.even)
        return last - first

    def __iter__(self) -> Iterator[FasSample]:
        """Samples of this rank and worker.

        Raises:
            ShardError: a shard or a sample is damaged and ``on_error`` is ``raise``.
        """
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        epoch = int(self._epoch)
        shards = self.shards
        if self.shuffle:
            shards = [shards[i] for i in shard_order(len(shards), self.seed, epoch)]
        mine = spans(shards, Consumer(self.rank, self.world, worker, workers), even=self.even)
        raws: Iterable[RawSample] = (raw for span in mine for raw in self._read(span, worker))
        if self.shuffle:
            key = np.random.SeedSequence([self.seed, epoch, self.rank, worker])
            raws = buffered(raws, self.shuffle, np.random.default_rng(key))
        for raw in raws:
            try:
                sample = self.decoder(raw, epoch)
            except ShardError:
                if self.on_error == "raise":
                    raise
                self._skipped[worker % _WORKERS] += 1
                continue
            if sample is not None:
                yield sample

    def _read(self, span: Span, worker: int) -> Iterator[RawSample]:
        read = 0
        try:
            with open_shard(span.shard) as stream:
                for raw in read_samples(stream, span.shard.url, span.start, span.stop):
                    read += 1
                    yield raw
            if span.stop is not None and read < span.stop - span.start:
                what = f"the index states {span.shard.samples} samples, the shard ends after {span.start + read}"
                raise ShardError(what, span.shard.url)
        except ShardError:
            if self.on_error == "raise":
                raise
            self._skipped[worker % _WORKERS] += 1 if span.stop is None else span.stop - span.start - read


def _shared(count: int) -> torch.Tensor:
    shared: torch.Tensor = torch.zeros(count, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
    return shared


def buffered(items: Iterable[T], size: int, rng: np.random.Generator) -> Iterator[T]:
    """Yield ``items`` in a random order that a buffer of ``size`` allows."""
    buffer: list[T] = []
    for item in items:
        if len(buffer) < size:
            buffer.append(item)
            continue
        place = int(rng.integers(size))
        yield buffer[place]
        buffer[place] = item
    for place in rng.permutation(len(buffer)):
        yield buffer[int(place)]
