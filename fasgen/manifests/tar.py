"""Tar files of the POSIX ustar format (IEEE Std 1003.1-1988), written straight and read by offset.

The writer gives the bytes that ``tarfile`` gives for regular files with mode 0444, owner 0 and time 0, without building an
object and formatting ten constant fields for each member.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from fasgen.errors import StoreError

BLOCK = 512
RECORD = 10_240
_MAX_SIZE = 8**11 - 1
_ZEROS = bytes(RECORD)

_AFTER_NAME = b"\x00".join([b"0000444", b"0000000", b"0000000", b""])
_MTIME = b"\x00".join([b"", b"00000000000", b""])
_AFTER_SUM = b"\x00 0" + bytes(100) + b"ustar\x0000" + bytes(32 + 32 + 8 + 8)
# The checksum counts its own field as eight spaces.
_CONSTANT_SUM = sum(_AFTER_NAME) + sum(_MTIME) + sum(_AFTER_SUM) - ord(" ") + 8 * ord(" ") - ord("\0")


def _split(name: str) -> tuple[bytes, bytes]:
    """The prefix and name fields of a member name."""
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw:
        raise StoreError(f"tar member name {name!r} is empty or holds a NUL")
    if len(raw) <= 100:
        return b"", raw
    cut = raw.find(b"/", max(1, len(raw) - 101))
    if cut < 0 or cut > 155:
        raise StoreError(f"tar member name {name!r} is too long for ustar: 100 bytes, or 155 + 100 around a slash")
    return raw[:cut], raw[cut + 1 :]


def header(name: str, size: int) -> bytes:
    """The 512-byte ustar header of a regular file.

    Raises:
        StoreError: if the name or the size does not fit the format (8 GiB a member).
    """
    prefix, raw = _split(name)
    if size > _MAX_SIZE:
        raise StoreError(f"tar member {name!r} has {size} bytes: ustar holds at most {_MAX_SIZE}")
    digits = b"%011o" % size
    total = _CONSTANT_SUM + sum(raw) + sum(prefix) + sum(digits)
    return b"%b%b%b%b%06o%b%b" % (
        raw.ljust(100, b"\0"),
        _AFTER_NAME,
        digits,
        _MTIME,
        total,
        _AFTER_SUM,
        prefix.ljust(167, b"\0"),
    )


class Member(NamedTuple):
    """Where a member's bytes lie."""

    name: str
    offset: int
    size: int


class TarWriter:
    """Appends members to a new tar file; the bytes depend on nothing but names and contents.

    Args:
        path: file to create; it must not exist.
        digest: keep the SHA-256 of the file while it is written.
        sync: wait at the end until the bytes are on the disk.
    """

    def __init__(self, path: Path, digest: bool = True, sync: bool = True) -> None:
        self._path = path
        self._stream: BinaryIO = path.open("xb", buffering=1 << 17)
        self._digest = hashlib.sha256() if digest else None
        self._sync = sync
        self._offset = 0
        self._names: set[str] = set()
        self.members: list[Member] = []

    def add(self, name: str, data: bytes) -> None:
        """Append one member.

        Raises:
            StoreError: if the file has a member of that name, or the name does not fit.
        """
        if name in self._names:
            raise StoreError(f"{self._path.name}: two members are called {name!r}: sample ids and fields must differ")
        size = len(data)
        head = header(name, size)
        pad = -size % BLOCK
        self._names.add(name)
        self.members.append(Member(name, self._offset + BLOCK, size))
        write = self._stream.write
        write(head)
        write(data)
        if pad:
            write(_ZEROS[:pad])
        if self._digest:
            self._digest.update(head)
            self._digest.update(data)
            self._digest.update(_ZEROS[:pad])
        self._offset += BLOCK + size + pad

    def close(self) -> str:
        """End the archive and return its SHA-256 (empty if it was not asked for)."""
        end = _ZEROS[: 2 * BLOCK] + bytes(-(self._offset + 2 * BLOCK) % RECORD)
        self._stream.write(end)
        if self._digest:
            self._digest.update(end)
        self._stream.flush()
        if self._sync:
            os.fsync(self._stream.fileno())
        self._stream.close()
        return self._digest.hexdigest() if self._digest else ""

    def abort(self) -> None:
        """Close the file as it is; what cannot be written any more is not wanted any more."""
        with suppress(OSError):
            self._stream.close()


def copy_members(source: Path, target: Path, members: Sequence[Member]) -> str:
    """Write a new tar with ``members`` of ``source`` in the given order; returns its SHA-256."""
    writer = TarWriter(target)
    with source.open("rb") as stream:
        for member in members:
            stream.seek(member.offset)
            writer.add(member.name, stream.read(member.size))
    return writer.close()


class TarReader:
    """Random access to the members of a ustar file. Reads are safe from several threads.

    Attributes:
        members: name to place, in the order of the file.

    Raises:
        StoreError: if the file is missing, cut off or not a ustar file with sound headers.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}): run `fasgen verify`") from None
        try:
            self.members = self._scan()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _scan(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        total = os.fstat(self._descriptor).st_size
        if total < 2 * BLOCK:
            raise self._damaged(0)
        with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as view:
            offset = 0
            while True:
                block = view[offset : offset + BLOCK]
                if block == _ZEROS[:BLOCK]:
                    return members
                if len(block) < BLOCK or block[257:263] != b"ustar\0":
                    raise self._damaged(offset)
                try:
                    size, expected = int(block[124:135], 8), int(block[148:154], 8)
                except ValueError:
                    raise self._damaged(offset) from None
                if sum(block) - sum(block[148:156]) + 8 * ord(" ") != expected or offset + BLOCK + size > total:
                    raise self._damaged(offset)
                prefix, name = block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0")
                full = (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape")
                members[full] = Member(full, offset + BLOCK, size)
                offset += BLOCK + size + (-size % BLOCK)

    def _damaged(self, offset: int) -> StoreError:
        return StoreError(f"{self._path}: not a sound ustar file at byte {offset}: run `fasgen verify` and make the unit again")

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            StoreError: if there is no such member.
        """
        member = self.members.get(name)
        if member is None:
            raise StoreError(f"{self._path}: has no member {name!r}")
        return os.pread(self._descriptor, member.size, member.offset)

    def close(self) -> None:
        """Close the file; reading is over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
