"""A video that is held in memory as a whole: decoded as a file without a name."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.video import FrameStream

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB


class Clip:
    """One video.

    Args:
        data: the file's bytes.
        limits: what is too large, too long or too small.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._limits = limits
        self._count: int | None = None
        self._stream: FrameStream | None = None
        self._file = os.memfd_create("clip")
        weakref.finalize(self, os.close, self._file)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def frame(self, pick: Picker) -> tuple[RGB, int]:
        """The frame that ``pick`` takes of those there are, upright, and its decoded index.

        Frames that are asked for in order cost one pass beside the one that counts them.

        Raises:
            SampleError: it is no video or not a whole one, there is no such frame, or it cannot be decoded.
        """
        if self._count is None:
            with FrameStream(self._file, self._limits) as stream:
                self._count = stream.finish()
        index = pick(self._count)
        if index is None or index >= self._count:
            raise SampleError(Reason.VIDEO_TOO_SHORT, f"{self._count} frames; each of them is taken by another request")
        if self._stream is None or self._stream.count > index + 1:
            if self._stream is not None:
                self._stream.close()
            self._stream = FrameStream(self._file, self._limits)
        if not self._stream.reaches(index):
            raise SampleError(Reason.CORRUPT, f"frame {index} of {self._count} is not there a second time")
        return self._stream.current(), index
