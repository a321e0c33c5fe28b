"""Opening a file of a source so that whatever the operating system says becomes a reason."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fasgen.records import Reason
from fasgen.remote.path import RemoteError, RemotePath
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import unescape


def on_disk(root: Path | RemotePath, path: str) -> Path:
    """The path of a file that is read here and there, in ways that ask for a disk.

    Raises:
        SampleError: it lies at an address.
    """
    if isinstance(root, RemotePath):
        raise SampleError(Reason.UNREADABLE, "archives of this kind are read from a disk alone: copy it to one")
    return root / path


_AT_ONCE = 1 << 23
"""Bytes of a file that is fetched in one piece."""


@contextmanager
def opened(root: str | RemotePath, path: str, most: int | None = None) -> Iterator[tuple[int, int]]:
    """Open a regular, non-empty file for reading.

    What lies at an address is fetched first, into a file without a name, in the folder for temporary files: decoders of
    videos need one that they can move about in.

    Args:
        root: the source's folder, or its address.
        path: escaped relative path.
        most: bytes beyond which a file at an address is not fetched.

    Yields:
        descriptor and size in bytes.

    Raises:
        SampleError: ``UNREADABLE``, ``EMPTY_FILE`` or ``TOO_LARGE``; every error of the operating system or the network inside
            becomes the first.
    """
    try:
        if isinstance(root, RemotePath):
            with _fetched(root / unescape(path), most) as found:
                yield found
            return
        # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
        file = os.open(os.path.join(root, unescape(path)), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # noqa: PTH118
        try:
            status = os.fstat(file)
            if stat.S_ISDIR(status.st_mode):
                raise SampleError(Reason.UNREADABLE, "a folder that cannot be listed, or a link back to a folder above it")
            if not stat.S_ISREG(status.st_mode):
                raise SampleError(Reason.UNREADABLE, "not a regular file")
            if status.st_size == 0:
                raise SampleError(Reason.EMPTY_FILE, "0 bytes")
            yield file, status.st_size
        finally:
            os.close(file)
    except OSError as error:
        raise SampleError(Reason.UNREADABLE, error.strerror or "cannot be read") from error
    except RemoteError as error:
        raise SampleError(Reason.UNREADABLE, "cannot be fetched") from error
    except ValueError as error:
        raise SampleError(Reason.UNREADABLE, f"not a usable path: {error}") from error


@contextmanager
def _fetched(there: RemotePath, most: int | None) -> Iterator[tuple[int, int]]:
    try:
        size = there.file().size
    except FileNotFoundError:
        # Drivers say it in words of their own.
        raise SampleError(Reason.UNREADABLE, os.strerror(errno.ENOENT)) from None
    if size == 0:
        raise SampleError(Reason.EMPTY_FILE, "0 bytes")
    if most is not None and size > most:
        raise SampleError(Reason.TOO_LARGE, f"{size} bytes, more than max_bytes = {most}")
    with tempfile.TemporaryFile() as stream:
        if 0 < size <= _AT_ONCE:
            stream.write(there.read())
        else:
            for block in there.blocks():
                stream.write(block)
                if most is not None and stream.tell() > most:
                    raise SampleError(Reason.TOO_LARGE, f"more than max_bytes = {most}")
        length = stream.tell()
        stream.seek(0)
        yield stream.fileno(), length


def file_digest(file: int) -> str:
    """SHA-256 of an open file in hex; its position is left alone."""
    total, at = hashlib.sha256(), 0
    while block := os.pread(file, 1 << 20, at):
        total.update(block)
        at += len(block)
    return total.hexdigest()
