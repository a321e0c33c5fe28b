"""Shards as tar files: a sequential reader that is fast on what fasgen writes and strict about what is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fasgen.errors import StoreError

BLOCK = 512
_REGULAR = (b"0", b"\0")
_IGNORED = (b"5", b"x", b"g")  # folders and pax headers: other tools add them, they hold nothing of a sample


class ShardError(StoreError):
    """A shard, or one sample of it, cannot be read.

    Attributes:
        shard: the shard's path or address.
        sample: the sample that is damaged, or the last one met before the damage; None where no sample was met.
    """

    # A DataLoader raises a worker's error anew from its text alone, hence the defaults.
    def __init__(self, what: str, shard: str = "", sample: str | None = None) -> None:
        super().__init__(what, shard, sample)
        self.what = what
        self.shard = shard
        self.sample = sample

    def __str__(self) -> str:
        place = [f"shard {self.shard}"] if self.shard else []
        place += [f"sample {self.sample}"] if self.sample is not None else []
        return f"{', '.join(place)}: {self.what}" if place else self.what


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a shard: ``<key>.<extension>`` of ``size`` bytes starting at byte ``offset``."""

    key: str
    extension: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class RawSample:
    """The members of one sample, undecoded, by extension."""

    shard: str
    key: str
    files: dict[str, bytes]


class TarStream:
    """Members of a tar stream, one after the other; payloads are read or skipped as the caller likes.

    Args:
        stream: binary stream at the start of the tar; it need not be seekable.
        shard: name for messages.
    """

    def __init__(self, stream: BinaryIO, shard: str) -> None:
        self.shard = shard
        self._stream = stream
        self._length = _length(stream) if getattr(stream, "seekable", bool)() else None
        self._at = 0
        self._pending = 0
        self._last: str | None = None

    def members(self) -> Iterator[Member]:
        """Yield members in order. A payload that the caller does not read is skipped.

        Raises:
            ShardError: the stream ends early or is no tar; ``sample`` is the last one whose header was read.
        """
        while True:
            self._skip(self._pending)
            self._pending = 0
            header = self._take(BLOCK)
            if header.count(0) == BLOCK:
                self._drain()
                return
            member, kind = self._parse(header)
            self._pending = member.size + -member.size % BLOCK
            if kind in _IGNORED:
                continue
            if kind not in _REGULAR:
                raise ShardError(f"member type {kind!r} does not belong into a shard", self.shard, member.key)
            self._last = member.key
            yield member

    def payload(self, member: Member) -> bytes:
        """The bytes of the member that was yielded last.

        Raises:
            ShardError: the shard ends inside it.
        """
        data = self._take(member.size)
        self._pending -= member.size
        return data

    def _take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self._at += len(data)
        if len(data) != count:
            raise ShardError(f"the shard is truncated at byte {self._at}; pack its unit again", self.shard, self._last)
        return data

    def _skip(self, count: int) -> None:
        if self._length is None or self._at + count > self._length:
            self._take(count)
        elif count:
            self._at += count
            self._stream.seek(self._at)

    def _drain(self) -> None:
        # A pipe that is closed with bytes left in it makes its writer fail.
        while self._length is None and self._stream.read(1 << 16):
            pass

    def _parse(self, header: bytes) -> tuple[Member, bytes]:
        try:
            stated = int(header[148:156].split(b"\0")[0].strip() or b"0", 8)
            size = int(header[124:136].split(b"\0")[0].strip() or b"0", 8)
            name = _text(header[0:100])
            prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
        except ValueError as error:
            raise ShardError(f"no tar header at byte {self._at - BLOCK}: {error}", self.shard, self._last) from None
        if stated != sum(header) - sum(header[148:156]) + 8 * 32:
            raise ShardError(f"the tar header at byte {self._at - BLOCK} is damaged (checksum)", self.shard, self._last)
        folder, _, base = (f"{prefix}/{name}" if prefix else name).rpartition("/")
        stem, _, extension = base.partition(".")
        return Member(f"{folder}/{stem}" if folder else stem, extension, self._at, size), header[156:157]


def read_samples(stream: BinaryIO, shard: str, start: int = 0, stop: int | None = None) -> Iterator[RawSample]:
    """Samples ``start`` to ``stop`` (exclusive) of a shard; members of one sample lie side by side.

    Samples before ``start`` cost their headers only, where the stream can seek.

    Raises:
        ShardError: the shard is damaged. Samples before the damage have been yielded; the one it lies in has not.
    """
    tar = TarStream(stream, shard)
    number, key = -1, None
    files: dict[str, bytes] = {}
    for member in tar.members():
        if member.key != key:
            if files and key is not None:
                yield RawSample(shard, key, files)
            number, key, files = number + 1, member.key, {}
            if stop is not None and number >= stop:
                return
        if number >= start:
            files[member.extension] = tar.payload(member)
    if files and key is not None:
        yield RawSample(shard, key, files)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _length(stream: BinaryIO) -> int:
    here = stream.tell()
    length = stream.seek(0, 2)
    stream.seek(here)
    return length - here
