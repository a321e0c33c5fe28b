"""Single pictures in NumPy archives, as one array each. Pickled arrays are refused."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.contained.pixels import check_shape, to_rgb
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.opening import on_disk

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB


_HEADERS: Mapping[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_LARGEST_NUMBER = 8
"""Bytes of a level."""


class Npz:
    """Reads ``.npz`` files of one picture."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, root: Path | RemotePath, path: str, part: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """The largest array of the archive, by its first three channels; ``part`` is ``rgb`` or ``bgr``.

        Raises:
            SampleError: it is damaged, holds no picture, or needs unpickling.
        """
        file = on_disk(root, path)
        size = file.stat().st_size
        if size == 0:
            raise SampleError(Reason.EMPTY_FILE, "0 bytes")
        if size > self._limits.max_bytes:
            raise SampleError(Reason.TOO_LARGE, f"{size} bytes, more than max_bytes = {self._limits.max_bytes}")
        try:
            with zipfile.ZipFile(file) as archive:
                inside = {one.filename: one.file_size for one in archive.infolist() if one.filename.endswith(".npy")}
            if not inside:
                raise SampleError(Reason.NOT_MEDIA, "npz: holds no array")
            name = max(sorted(inside), key=inside.__getitem__)
            with zipfile.ZipFile(file) as archive, archive.open(name) as stream:
                self._check(stream, inside[name])
            with np.load(file, allow_pickle=False) as arrays:
                array = arrays[name.removesuffix(".npy")]
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError, TokenError) as error:
            raise SampleError(Reason.CORRUPT, f"npz: {describe(error)}") from error
        return to_rgb(array, part == "bgr", self._limits), None

    def _check(self, stream: IO[bytes], size: int) -> None:
        """Refuse an array by its header: numpy would take the memory that it speaks of."""
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"a header of version {version}, which no array of numbers needs")
        shape, _, kind = _HEADERS[version](stream)
        if kind.hasobject:
            raise ValueError("it holds objects, which are never unpickled")
        if kind.kind not in "uif" or kind.itemsize > _LARGEST_NUMBER:
            raise SampleError(Reason.NOT_MEDIA, f"npz: {kind} is no type of levels")
        check_shape(shape, self._limits)
        if math.prod(shape) * kind.itemsize != size - stream.tell():
            raise ValueError("its header speaks of more numbers, or fewer, than there are")
