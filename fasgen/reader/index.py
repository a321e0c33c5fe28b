"""Shards as an array of samples: any sample by its number, for samplers that balance or pair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from fasgen.errors import ConfigError
from fasgen.reader.decode import Decoded, FasSample, SampleDecoder
from fasgen.reader.shards import Where, list_shards
from fasgen.reader.tar import Member, RawSample, ShardError, TarStream


class Draw(NamedTuple):
    """One of many draws of a sample: augmentation draws anew for each ``variant``."""

    number: int
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample lies: its shard, and its members by extension."""

    shard: str
    key: str
    members: Mapping[str, Member]


class FasIndex(Dataset[FasSample]):
    """Random access to packed shards on local disks.

    Only tar headers are read at the start, some milliseconds a shard; a sample then costs one read, since its members lie side
    by side.

    Args:
        where: a folder that pack wrote, shards, or a brace pattern; local.
        decoder: how samples become tensors. Its ``select`` is applied at the start, which reads every sample's JSON.
        keep: keep what was decoded and resized, as float32, in memory: for small data sets that are read many times. Every
            worker of a DataLoader keeps its own.

    Raises:
        StoreError: there are no shards.
        ShardError: a shard is damaged.
        ConfigError: a shard is remote.
    """

    def __init__(self, where: Where, decoder: SampleDecoder | None = None, *, keep: bool = False) -> None:
        self.decoder = decoder or SampleDecoder()
        self._kept: dict[int, Decoded] | None = {} if keep else None
        self.epoch = 0
        self._files: dict[str, int] = {}
        shards = list_shards(where)
        for shard in shards:
            if not shard.local:
                raise ConfigError(f"{shard.url}: random access needs shards on a local disk; copy them, or use FasDataset")
        self.places: list[Place] = []
        for shard in shards:
            places = _scan(shard.url)
            if shard.samples is not None and shard.samples != len(places):
                raise ShardError(f"the index states {shard.samples} samples, the shard has {len(places)}", shard.url)
            self.places += places
        select = self.decoder.select
        if select:
            self.places = [
                place for place in self.places if all(self._meta(place).get(key) in allowed for key, allowed in select.items())
            ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, which: int | Draw) -> FasSample:
        """A sample by its number, augmented by ``epoch``, or a draw of it, augmented by its variant.

        Raises:
            IndexError: there is no such sample.
            ShardError: a member is missing or damaged.
        """
        number, variant = which if isinstance(which, Draw) else (which, self.epoch)
        if self._kept is None:
            return self.decoder.finish(self._decoded(number), variant)
        if number not in self._kept:
            self._kept[number] = self._decoded(number)
        kept = self._kept[number]
        # What is kept must not change under a caller that writes into its sample.
        copies = {name: x.clone() for name, x in kept.moved.items()} if self.decoder.augment is None else kept.moved
        return self.decoder.finish(replace(kept, moved=copies, rest={n: x.clone() for n, x in kept.rest.items()}), variant)

    def unaugmented(self) -> FasIndex:
        """The same samples as they are, for scoring; shares what is kept."""
        plain = FasIndex.__new__(FasIndex)
        plain.__dict__.update(self.__dict__, _files={}, decoder=replace(self.decoder, augment=None))
        return plain

    def raw(self, number: int) -> RawSample:
        """The undecoded members of sample ``number``."""
        place = self.places[number]
        members = place.members.values()
        start, stop = min(m.offset for m in members), max(m.offset + m.size for m in members)
        data = self._read(place, start, stop - start)
        files = {m.extension: data[m.offset - start : m.offset - start + m.size] for m in members}
        return RawSample(place.shard, place.key, files)

    def meta(self, number: int) -> dict[str, Any]:
        """The JSON of sample ``number``; no pixel is read."""
        return self._meta(self.places[number])

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Sample id to number."""
        return {place.key: number for number, place in enumerate(self.places)}

    def close(self) -> None:
        """Close the shards; the next access opens them again."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}, "_kept": None if self._kept is None else {}}

    def __del__(self) -> None:
        if "_files" in self.__dict__:
            self.close()

    def _meta(self, place: Place) -> dict[str, Any]:
        files = {"json": self._payload(place, "json")} if "json" in place.members else {}
        return SampleDecoder.meta(RawSample(place.shard, place.key, files))

    def _decoded(self, number: int) -> Decoded:
        decoded = self.decoder.decode(self.raw(number))
        if decoded is None:
            raise IndexError(f"sample {number} is not selected")
        return decoded

    def _payload(self, place: Place, extension: str) -> bytes:
        member = place.members[extension]
        return self._read(place, member.offset, member.size)

    def _read(self, place: Place, offset: int, size: int) -> bytes:
        if place.shard not in self._files:
            self._files[place.shard] = os.open(place.shard, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        # pread has no position: forked workers and threads share the descriptor safely.
        data = os.pread(self._files[place.shard], size, offset)
        if len(data) != size:
            raise ShardError(f"is truncated: {len(data)} of {size} bytes at byte {offset}", place.shard, place.key)
        return data


def _scan(path: str) -> list[Place]:
    places: list[Place] = []
    members: dict[str, Member] = {}
    key = None
    with Path(path).open("rb") as stream:
        for member in TarStream(stream, path).members():
            if member.key != key:
                key, members = member.key, {}
                places.append(Place(path, key, members))
            members[member.extension] = member
    return places
