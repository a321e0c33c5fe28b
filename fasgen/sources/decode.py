"""From a row of a source to its pixels, or to the reason why there are none."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from fasgen.records import Reason, Scalar
from fasgen.sources.config import Limits
from fasgen.sources.contained import Contained
from fasgen.sources.container import sniff_video
from fasgen.sources.failure import SampleError as SampleError
from fasgen.sources.image import decode_image, sniff_image
from fasgen.sources.marks import read_marks
from fasgen.sources.paths import unescape
from fasgen.sources.video import VideoFrames, sample_frames, uniform_indices

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB


class Wanted(Protocol):
    """The part of a `fasgen.sources.scan.SourceRow` that says which pixels are meant."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> Literal["image", "video"]: ...
    @property
    def frame_k(self) -> int | None: ...
    @property
    def frame_n(self) -> int | None: ...
    @property
    def container(self) -> str | None: ...
    @property
    def marks(self) -> str | None: ...
    @property
    def marks_format(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class _Video:
    path: str
    n: int
    result: VideoFrames | SampleError


class Decoder:
    """Reads samples of one source. Safe to call from several threads.

    The video decoded last is kept, with its requested frames or its error, so that rows in listing order cost one pass a
    video.
    """

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self._root = os.fspath(root)
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._video: _Video | None = None
        self._contained = Contained(root, self._limits)

    def read(self, row: Wanted) -> tuple[RGB, dict[str, Scalar]]:
        """Decode one row.

        Args:
            row: a row of this source.

        Returns:
            the upright picture, H x W x 3 uint8 RGB, and ``frame``, the decoded index (None for a still); where the data set
            ships them for this picture, ``shipped_box`` and ``shipped_eyes`` in its pixels.

        Raises:
            SampleError: there are no such pixels; it says why. Nothing else is raised for what a file holds.
        """
        image, values = self._pixels(row)
        if row.marks and row.marks_format:
            index, size = values["frame"], (image.shape[1], image.shape[0])
            values |= read_marks(self._root, row.marks, row.marks_format, index if isinstance(index, int) else None, size)
        return image, values

    def _pixels(self, row: Wanted) -> tuple[RGB, dict[str, Scalar]]:
        if row.container is not None:
            k, n = row.frame_k or 0, row.frame_n or 1
            pick = (lambda count: uniform_indices(count, n)[k]) if row.kind == "video" else None
            image, index = self._contained.read(row.container, row.path, pick)
            return image, {"frame": index}
        if row.kind == "image":
            return self._still(row.path), {"frame": None}
        return self._frame(row.path, row.frame_k or 0, row.frame_n or 1)

    def _still(self, path: str) -> RGB:
        with self._opened(path) as (file, size):
            head = os.pread(file, 256, 0)
            if sniff_image(head) is None and sniff_video(head):
                raise SampleError(Reason.NOT_MEDIA, f"is a {sniff_video(head)} video under the name of an image; rename it")
            if size > self._limits.max_bytes:
                raise SampleError(Reason.TOO_LARGE, f"{size} bytes, more than max_bytes = {self._limits.max_bytes}")
            data = b"".join(iter(lambda: os.read(file, 1 << 24), b""))
        return decode_image(data, self._limits)

    def _frame(self, path: str, k: int, n: int) -> tuple[RGB, dict[str, Scalar]]:
        with self._lock:
            video = self._video
            if video is None or (video.path, video.n) != (path, n) or _fell_out(video.result, k):
                # The old frames go before the new ones come: two videos at once may not fit.
                self._video = video = None
                self._video = video = _Video(path, n, self._decoded(path, k, n))
        result = video.result
        if isinstance(result, SampleError):
            raise SampleError(result.reason, result.detail)
        index = result.indices[k]
        if index is None:
            raise SampleError(
                Reason.VIDEO_TOO_SHORT, f"{result.count} frames for {n} requests; each of them is taken by another request"
            )
        return result.frames[k], {"frame": index}

    def _decoded(self, path: str, k: int, n: int) -> VideoFrames | SampleError:
        try:
            with self._opened(path) as (file, _):
                return sample_frames(file, n, self._limits, first=k)
        except SampleError as error:
            return error
        except MemoryError:
            return SampleError(Reason.OUT_OF_MEMORY, "not enough memory to decode this video")

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[int, int]]:
        """Open a regular, non-empty file; every error of the operating system inside becomes ``UNREADABLE``."""
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
            file = os.open(os.path.join(self._root, unescape(path)), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # noqa: PTH118
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
            raise SampleError(Reason.UNREADABLE, error.strerror or type(error).__name__) from error
        except ValueError as error:
            raise SampleError(Reason.UNREADABLE, f"not a usable path: {error}") from error


def _fell_out(result: VideoFrames | SampleError, k: int) -> bool:
    return isinstance(result, VideoFrames) and result.indices[k] is not None and k not in result.frames
