"""Opening a file of a source so that whatever the operating system says becomes a reason."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from fasgen.records import Reason
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import unescape


@contextmanager
def opened(root: str, path: str) -> Iterator[tuple[int, int]]:
    """Open a regular, non-empty file for reading.

    Args:
        root: the source's folder.
        path: escaped relative path.

    Yields:
        descriptor and size in bytes.

    Raises:
        SampleError: ``UNREADABLE`` or ``EMPTY_FILE``; every error of the operating system inside becomes the former.
    """
    try:
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
    except ValueError as error:
        raise SampleError(Reason.UNREADABLE, f"not a usable path: {error}") from error


def file_digest(file: int) -> str:
    """SHA-256 of an open file in hex; its position is left alone."""
    total, at = hashlib.sha256(), 0
    while block := os.pread(file, 1 << 20, at):
        total.update(block)
        at += len(block)
    return total.hexdigest()
