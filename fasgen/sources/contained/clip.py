"""A video that is held in memory as a whole: decoded as a file without a name."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.container import check_complete, sniff_video
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.image import check_size

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB


class Clip:
    """One video.

    Args:
        data: the file's bytes.
        limits: what is too large, too long or too small.

    Raises:
        SampleError: it is no video, or not a whole one.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        kind = sniff_video(data[:256])
        if kind is None:
            raise SampleError(Reason.NOT_MEDIA, f"begins with {data[:8].hex(' ')}, which is no known video format")
        self._limits = limits
        self._count: int | None = None
        self._file = os.memfd_create("clip")
        weakref.finalize(self, os.close, self._file)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        check_complete(self._file, len(data), kind)

    def frame(self, pick: Picker) -> tuple[RGB, int]:
        """The frame that ``pick`` takes of those there are, upright, and its decoded index.

        Raises:
            SampleError: there is none, or it cannot be decoded.
        """
        try:
            if self._count is None:
                self._count = self._counted()
            index = pick(self._count)
            if index is None or index >= self._count:
                raise SampleError(Reason.VIDEO_TOO_SHORT, f"{self._count} frames; each of them is taken by another request")
            return self._decoded(index), index
        except cv2.error as error:
            raise SampleError(Reason.CORRUPT, describe(error)) from error

    def _capture(self) -> cv2.VideoCapture:
        # One thread: with several, what a damaged stream decodes to depends on their timing.
        capture = cv2.VideoCapture(f"/dev/fd/{self._file}", cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not capture.isOpened():
            raise SampleError(Reason.CORRUPT, "holds no video stream that can be decoded")
        check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), self._limits)
        return capture

    def _counted(self) -> int:
        capture, count = self._capture(), 0
        while capture.grab():
            count += 1
            if count > self._limits.max_frames:
                raise SampleError(Reason.TOO_LARGE, f"more than max_frames = {self._limits.max_frames} frames")
        capture.release()
        if not count:
            raise SampleError(Reason.CORRUPT, "not a single frame can be decoded")
        return count

    def _decoded(self, index: int) -> RGB:
        capture = self._capture()
        for _ in range(index + 1):
            capture.grab()
        ok, frame = capture.retrieve()
        capture.release()
        if not ok or frame is None:
            raise SampleError(Reason.CORRUPT, f"frame {index} cannot be decoded")
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB), np.uint8)
