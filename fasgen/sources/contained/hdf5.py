"""Videos inside HDF5, as multi-channel data sets ship them: one data set a channel, frames along its first axis."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import SourceError
from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.contained.pixels import check_shape, to_rgb
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.opening import on_disk

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB

_FRAME = re.compile(r"(?:.*/)?Frame_(\d+)/array", re.IGNORECASE)
_COLOUR_AXES = 4
_DEEPEST = 16
"""Groups inside of groups."""
_LARGEST_CHUNK = 1 << 28
"""Bytes of a chunk that holds more than a frame."""
_LARGEST_NUMBER = 8
"""Bytes of a level."""


class Hdf5:
    """Reads frames of colour data sets; the file read last stays open."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: tuple[str, str, Any, list[Any]] | None = None

    def read(self, root: Path | RemotePath, path: str, part: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """One frame of the data set whose name the pattern ``part`` finds, or of the only one that has colour.

        Raises:
            SampleError: the file is damaged, or has no such data set or frame.
            SourceError: h5py is not installed.
        """
        frames, bgr = self._frames(on_disk(root, path), part)
        index = pick(len(frames)) if pick else 0
        if index is None or index >= len(frames):
            raise SampleError(Reason.VIDEO_TOO_SHORT, f"{len(frames)} frames; each of them is taken by another request")
        if len(frames) > self._limits.max_frames:
            raise SampleError(Reason.TOO_LARGE, f"{len(frames)} frames, more than max_frames = {self._limits.max_frames}")
        item = frames[index] if isinstance(frames, _Apart) else frames
        shape = item.shape if isinstance(frames, _Apart) else item.shape[1:]
        check_shape(shape, self._limits)
        _check_storage(item, shape)
        try:
            array = frames[index][()] if isinstance(frames, _Apart) else frames[index]
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise SampleError(Reason.CORRUPT, f"HDF5: frame {index}: {describe(error)}") from error
        return to_rgb(array, bgr, self._limits), index

    def _frames(self, file: Path, part: str) -> tuple[Any, bool]:
        if self._open is None or self._open[:2] != (os.fspath(file), part):
            if self._open is not None:
                self._open[2].close()
                self._open = None
            opened = _opened(file)
            try:
                frames = _colour(opened, part)
            except SampleError:
                opened.close()
                raise
            self._open = (os.fspath(file), part, opened, [frames])
        frames = self._open[3][0]
        return frames, "bgr" in frames.name.lower()


def _check_storage(item: Any, shape: Sequence[int]) -> None:
    """Refuse a data set that takes its numbers from elsewhere, or of which one frame cannot be had without far more of it."""
    if item.is_virtual or item.external:
        raise SampleError(Reason.NOT_MEDIA, "HDF5: its frames lie in other files, and these are not opened")
    if item.dtype.kind not in "uif" or item.dtype.itemsize > _LARGEST_NUMBER:
        raise SampleError(Reason.NOT_MEDIA, f"HDF5: {item.dtype} is no type of levels")
    size = item.dtype.itemsize
    # A chunk is unpacked as a whole, and a few bytes may stand for any number of zeros.
    if item.chunks and math.prod(item.chunks) * size > max(_LARGEST_CHUNK, math.prod(shape) * size):
        raise SampleError(Reason.TOO_LARGE, f"HDF5: chunks of {math.prod(item.chunks) * size} bytes")


class _Apart(list[Any]):
    """Frames that lie in a data set each."""

    name = "Frame_N/array"


def _opened(file: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise SourceError('this data set is HDF5, which needs h5py: pip install "fasgen[hdf5]"') from None
    if file.stat().st_size == 0:
        raise SampleError(Reason.EMPTY_FILE, "0 bytes")
    try:
        return h5py.File(file, "r", locking=False)
    except OSError as error:
        if error.errno:
            raise
        raise SampleError(Reason.CORRUPT, "HDF5: the file is cut or is none") from error


def _colour(opened: Any, part: str) -> Any:
    """The data set of colour frames: F x H x W x 3 or F x 3 x H x W; or one of H x W x 3 a frame, below ``Frame_N``."""
    import h5py

    found: dict[str, Any] = {}
    apart: dict[int, Any] = {}

    def see(name: str, item: Any) -> None:
        if name.count("/") >= _DEEPEST:
            raise SampleError(Reason.CORRUPT, f"HDF5: groups lie more than {_DEEPEST} deep in each other")
        if not isinstance(item, h5py.Dataset):
            return
        if (match := _FRAME.fullmatch(name)) and item.ndim == _COLOUR_AXES - 1:
            apart[int(match[1])] = item
        elif item.ndim == _COLOUR_AXES and 3 in (item.shape[1], item.shape[-1]):
            found[name] = item

    try:
        opened.visititems(see)
    except (OSError, RuntimeError) as error:
        raise SampleError(Reason.CORRUPT, f"HDF5: {describe(error)}") from error
    named = [item for name, item in sorted(found.items()) if re.search(part, name)]
    if len(named) == 1 or (not named and len(found) == 1):
        return (named or list(found.values()))[0]
    if not found and apart and all(3 in (item.shape[0], item.shape[-1]) for item in apart.values()):
        return _Apart(apart[number] for number in sorted(apart))
    names = ", ".join(sorted(found)) or "none"
    raise SampleError(Reason.NOT_MEDIA, f"HDF5: one data set of colour frames was expected, found {names}")
