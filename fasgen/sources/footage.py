"""The requested frames of one video, and on a miss the frames around one of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.opening import file_digest, opened
from fasgen.sources.sampling import Sampling, neighbours
from fasgen.sources.video import FrameStream, VideoFrames, sample_frames

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

VICINITY_BYTES = 1 << 28
"""Frames around requested ones that are held decoded at a time, bytes."""


class Footage:
    """One video under one sampling; decoding begins with the first request. Not safe to call from several threads.

    Where indices are known beforehand, the video is decoded as far as the request needs and stays open for the next one;
    where they depend on the number of frames, it is decoded to its end and the requested frames are kept.

    Attributes:
        path: escaped relative path.
        sampling: which frames.
        digest: SHA-256 of the file, in hex; empty until a frame was asked for.
        count: frames of the video; None where it has not been decoded to its end on purpose.
    """

    def __init__(self, root: str | RemotePath, path: str, sampling: Sampling, limits: Limits) -> None:
        self.path, self.sampling = path, sampling
        self.digest = ""
        self.count: int | None = None
        self._root, self._limits = root, limits
        self._kept: VideoFrames | None = None
        self._stream: FrameStream | None = None
        self._error: SampleError | None = None

    def frame(self, k: int) -> tuple[RGB, int]:
        """The frame of request ``k`` and its decoded index.

        Raises:
            SampleError: there is none; the same for the same request in whatever order they come.
        """
        if self._error is not None:
            raise SampleError(self._error.reason, self._error.detail)
        try:
            return self._at(self.sampling.fixed_index(k)) if self.sampling.is_fixed else self._sampled(k)
        except MemoryError as error:
            self._error = SampleError(Reason.OUT_OF_MEMORY, "not enough memory to decode this video")
            raise self._error from error

    def _sampled(self, k: int) -> tuple[RGB, int]:
        kept = self._kept
        if kept is None or (kept.indices[k] is not None and k not in kept.frames):
            self._kept = kept = None
            try:
                with opened(self._root, self.path) as (file, _):
                    self._kept = kept = sample_frames(file, self.sampling, self._limits, first=k)
                    self.digest = self.digest or file_digest(file)
            except SampleError as error:
                self._error = error
                raise
            self.count = kept.count
        index = kept.indices[k]
        if index is None:
            raise SampleError(
                Reason.VIDEO_TOO_SHORT,
                f"{kept.count} frames for {self.sampling.rows} requests; each of them is taken by another request",
            )
        return kept.frames[k], index

    def _at(self, index: int) -> tuple[RGB, int]:
        stream = self._stream
        if stream is None or stream.count > index + 1:
            if stream is not None:
                stream.close()
            self._stream = None
            try:
                with opened(self._root, self.path) as (file, _):
                    self._stream = stream = FrameStream(file, self._limits)
                    self.digest = self.digest or file_digest(file)
            except SampleError as error:
                self._error = error
                raise
        if not stream.reaches(index):
            raise SampleError(Reason.VIDEO_TOO_SHORT, f"ends after {stream.count} frames, before the one with index {index}")
        return stream.current(), index


class Vicinity:
    """Frames around requested ones, decoded in a pass of their own when they are asked for. Safe to call from several threads.

    What the pass meets around the requests that follow is kept as well, as far as there is room: where one frame shows no
    face, the next often shows none either.
    """

    def __init__(self, root: str | RemotePath, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._lock = threading.Lock()
        self._held: tuple[str, Sampling] | None = None
        self._frames: dict[int, list[tuple[int, RGB]]] = {}

    def frames(self, path: str, sampling: Sampling, k: int, count: int | None) -> Iterator[tuple[int, RGB]]:
        """Decoded index and frame of each neighbour of request ``k``, in the order of ``neighbours``.

        Args:
            path: escaped relative path of a video of which the request was decoded before.
            sampling: which frames were requested.
            k: number of the request.
            count: frames of the video, where that is known.
        """
        with self._lock:
            if self._held != (path, sampling) or k not in self._frames:
                self._frames, self._held = {}, None
                try:
                    self._frames = self._decoded(path, sampling, k, count)
                    self._held = (path, sampling)
                except (SampleError, MemoryError):
                    # The requested frame was decoded; what happens to the file afterwards is no verdict on it.
                    return
            found = self._frames[k]
        yield from found

    def _decoded(self, path: str, sampling: Sampling, k: int, count: int | None) -> dict[int, list[tuple[int, RGB]]]:
        indices = sampling.indices(count or sampling.fixed_index(sampling.rows))
        wanted = {index: later for later, index in enumerate(indices) if index is not None and later >= k}
        found: dict[int, list[tuple[int, RGB]]] = {k: []}
        room = VICINITY_BYTES
        with opened(self._root, path) as (file, _), FrameStream(file, self._limits) as stream:
            for index in sorted(index for index in wanted if index >= (indices[k] or 0)):
                near = neighbours(indices, wanted[index], sampling.nearest)
                kept = {other: stream.current() for other in sorted(near) if _reached(stream, other)}
                found[wanted[index]] = [(other, kept[other]) for other in near if other in kept]
                room -= sum(frame.nbytes for frame in kept.values())
                if room <= 0 or len(kept) < len(near):
                    break
        return found


def _reached(stream: FrameStream, index: int) -> bool:
    try:
        return stream.reaches(index)
    except SampleError:
        # Beyond the damage there are no frames; those before it are sound.
        return False
