"""Pictures in a compressed joblib archive: a mapping of one large array and lists that tell its entries apart.

The array is read as a stream, forwards, so rows in their listed order cost one pass; going back begins anew.
"""

from __future__ import annotations

import bz2
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from fasgen.errors import SourceError
from fasgen.joblib_reader import RefusedError, Skipped, read_joblib
from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.contained.pixels import check_shape, to_rgb
from fasgen.sources.failure import SampleError
from fasgen.sources.opening import on_disk
from fasgen.sources.paths import escape

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB

_PICTURES = 3
"""Axes from which on an array holds pictures; lists of identifiers and codes have one."""


def list_members(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Identifiers and codes of an archive's pictures, in order.

    The whole archive is decompressed once, which for gigabytes takes minutes; its array is passed over.

    Yields:
        identifier, and ``attack_raw`` and ``label`` as the archive says them.

    Raises:
        SourceError: it is no such archive, or asks for objects that are not built.
    """
    held = _held(file)
    names, codes, labels = (held.get(name) for name in ("identifiers", "pai_codes", "labels"))
    if not isinstance(names, list | tuple) or not isinstance(held.get("data"), Skipped):
        raise SourceError(
            f"{escape(os.fspath(file))}: data and identifiers were expected, found {', '.join(map(str, held)) or 'nothing'}; "
            "write its pictures as .npz files and give their folder"
        )
    for number, name in enumerate(names):
        extra = {}
        if isinstance(codes, list | tuple) and number < len(codes):
            extra["attack_raw"] = str(codes[number])
        if isinstance(labels, list | tuple) and number < len(labels):
            extra["label"] = "spoof" if labels[number] else "live"
        yield str(name).replace("/", "-"), extra


def _held(file: Path) -> dict[str, Any]:
    try:
        with _decompressed(file) as stream:
            held = read_joblib(stream, skip=_PICTURES)
    except RefusedError as error:
        raise SourceError(
            f"{escape(os.fspath(file))} is a pickle that is not opened: {error}. Write its pictures as .npz files "
            "(numpy.savez, one a file, called by identifier) where you trust it, and give their folder"
        ) from error
    except OSError as error:
        raise SourceError(f"{escape(os.fspath(file))} cannot be read: {error}; fetch it anew") from error
    plain = held.items() if isinstance(held, dict) else ()
    return {str(name): value.tolist() if isinstance(value, np.ndarray) else value for name, value in plain}


@contextmanager
def _decompressed(file: Path) -> Iterator[BinaryIO]:
    with bz2.open(file) as stream:
        yield cast("BinaryIO", stream)


class JoblibArchive:
    """Reads entries of the array; the archive read last stays open where its stream is."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._file: Path | None = None
        self._stream: BinaryIO | None = None
        self._array: Skipped | None = None
        self._numbers: dict[str, int] = {}

    def read(self, root: Path | RemotePath, path: str, part: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """The picture of identifier ``path``'s last part; ``part`` is ``rgb`` or ``bgr``.

        Raises:
            SampleError: the archive has changed, or ends within the picture.
        """
        archive, _, name = path.rpartition("/")
        array, stream = self._opened(on_disk(root, archive))
        number = self._numbers.get(name)
        if number is None or number >= array.shape[0]:
            raise SampleError(Reason.UNREADABLE, f"the archive has no {escape(name)} any more")
        shape = array.shape[1:]
        check_shape(shape, self._limits)
        size = int(np.prod(shape)) * array.dtype.itemsize
        try:
            stream.seek(array.offset + number * size)
            raw = stream.read(size)
        except EOFError as error:
            raise SampleError(Reason.CORRUPT, f"the archive is cut: {error}") from error
        if len(raw) != size:
            raise SampleError(Reason.CORRUPT, "the archive is cut within this picture")
        return to_rgb(np.frombuffer(raw, array.dtype).reshape(shape), part == "bgr", self._limits), None

    def _opened(self, file: Path) -> tuple[Skipped, BinaryIO]:
        if self._file != file or self._stream is None or self._array is None:
            if self._stream is not None:
                self._stream.close()
            self._file = None
            try:
                held = _held(file)
            except SourceError as error:
                raise SampleError(Reason.CORRUPT, str(error)) from error
            names, array = held.get("identifiers"), held.get("data")
            if not isinstance(names, list | tuple) or not isinstance(array, Skipped):
                raise SampleError(Reason.CORRUPT, "the archive has no data and identifiers any more")
            self._numbers = {str(name).replace("/", "-"): number for number, name in enumerate(names)}
            self._stream = cast("BinaryIO", bz2.open(file))  # noqa: SIM115 (stays open for the next picture)
            self._array, self._file = array, file
        return self._array, self._stream
