"""Shards as an array of samples: any sample by its number, for samplers that balance or pair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from fasgen.errors import ConfigError
from fasgen.reader.decode import FasSample, SampleDecoder
from fasgen.reader.shards import Where, list_shards
from fasgen.reader.tar import Member, RawSample, ShardError, TarStream


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sample lies: its shard, and its members by extension."""

    shard: str
    key: str
    members: Mapping[str, Member]


class FasIndex(Dataset[FasSample]):
    """Random access to packed shards on local disks.

    Only tar headers are read at the start, some milliseconds a shard; a sample then costs one read a member.

    Args:
        where: a folder that pack wrote, shards, or a brace pattern; local.
        decoder: how samples become tensors. Its ``select`` is applied at the start, which reads every sample's JSON.

    Raises:
        StoreError: there are no shards.
        ShardError: a shard is damaged.
        ConfigError: a shard is remote.
    """

    def __init__(self, where: Where, decoder: SampleDecoder | None = None) -> None:
        self.decoder = decoder or SampleDecoder()
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

    def __getitem__(self, number: int) -> FasSample:
        """Sample ``number``.

        Raises:
            IndexError: there is no such sample.
            ShardError: a member is missing or damaged.
        """
        sample = self.decoder(self.raw(number), self.epoch)
        if sample is None:
            raise IndexError(f"sample {number} is not selected")
        return sample

    def raw(self, number: int) -> RawSample:
        """The undecoded members of sample ``number``."""
        place = self.places[number]
        return RawSample(place.shard, place.key, {name: self._payload(place, name) for name in place.members})

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
        return {**self.__dict__, "_files": {}}

    def __del__(self) -> None:
        if "_files" in self.__dict__:
            self.close()

    def _meta(self, place: Place) -> dict[str, Any]:
        files = {"json": self._payload(place, "json")} if "json" in place.members else {}
        return SampleDecoder.meta(RawSample(place.shard, place.key, files))

    def _payload(self, place: Place, extension: str) -> bytes:
        member = place.members[extension]
        if place.shard not in self._files:
            self._files[place.shard] = os.open(place.shard, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        # pread has no position: forked workers and threads share the descriptor safely.
        data = os.pread(self._files[place.shard], member.size, member.offset)
        if len(data) != member.size:
            raise ShardError(f"member {extension} is truncated: {len(data)} of {member.size} bytes", place.shard, place.key)
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
