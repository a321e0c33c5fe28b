"""Pixels that lie inside other files: HDF5, NumPy and joblib archives, tars. Nothing here runs what a file holds.

A row's ``container`` names the kind, and after a colon which part of it is meant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fasgen.records import Reason
from fasgen.remote.path import RemoteError, RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import unescape

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

Picker = Callable[[int], int | None]
"""From the frames that there are to the index of the one that a row means, None where it means none."""


class Reader(Protocol):
    """Reads samples out of one kind of container; keeps what is open for the next sample."""

    def read(self, root: Path | RemotePath, path: str, part: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """The upright picture at ``path`` below ``root``, and for a video the index of its frame."""
        ...


class Contained:
    """All readers of one source. Safe to call from several threads."""

    def __init__(self, root: Path | RemotePath, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._lock = threading.Lock()
        self._readers: dict[str, Reader] = {}

    def read(self, container: str, path: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """Read one sample.

        Args:
            container: the row's container.
            path: escaped relative path; for a member of an archive, the archive's and behind it the member's.
            pick: for a video, which of its frames.

        Raises:
            SampleError: there are no such pixels; it says why.
        """
        kind, _, part = container.partition(":")
        with self._lock:
            if kind not in self._readers:
                self._readers[kind] = self._made(kind)
            try:
                return self._readers[kind].read(self._root, unescape(path), part, pick)
            except MemoryError as error:
                raise SampleError(Reason.OUT_OF_MEMORY, "not enough memory to read this sample") from error
            except RemoteError as error:
                raise SampleError(Reason.UNREADABLE, "cannot be fetched") from error
            except OSError as error:
                raise SampleError(Reason.UNREADABLE, error.strerror or "cannot be read") from error

    def _made(self, kind: str) -> Reader:
        makers: Mapping[str, Callable[[], Reader]] = {
            "hdf5": self._hdf5,
            "npz": self._npz,
            "joblib": self._joblib,
            "tar": self._tar,
        }
        if kind not in makers:
            raise SampleError(Reason.NOT_MEDIA, f"no reader for a container {kind!r}; there are {', '.join(makers)}")
        return makers[kind]()

    def _hdf5(self) -> Reader:
        from fasgen.sources.contained.hdf5 import Hdf5

        return Hdf5(self._limits)

    def _npz(self) -> Reader:
        from fasgen.sources.contained.npz import Npz

        return Npz(self._limits)

    def _joblib(self) -> Reader:
        from fasgen.sources.contained.joblib_archive import JoblibArchive

        return JoblibArchive(self._limits)

    def _tar(self) -> Reader:
        from fasgen.sources.contained.tar import Tar

        return Tar(self._limits)
