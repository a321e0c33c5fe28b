"""Single pictures in NumPy archives, as one array each. Pickled arrays are refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.contained.pixels import to_rgb
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.opening import on_disk

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB


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
            # What a few bytes say they unpack to is believed before it is unpacked.
            if inside[name] > 64 * self._limits.max_pixels:
                raise SampleError(Reason.TOO_LARGE, f"npz: an array of {inside[name]} bytes")
            with np.load(file, allow_pickle=False) as arrays:
                array = arrays[name.removesuffix(".npy")]
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError) as error:
            raise SampleError(Reason.CORRUPT, f"npz: {describe(error)}") from error
        return to_rgb(array, part == "bgr", self._limits), None
