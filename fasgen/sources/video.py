"""Frames of a video by decoded index, in the order of decoding; the container's frame count is never believed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

# ffmpeg's log level is read once, when the first video is opened; -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.container import check_complete, sniff_video
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.image import check_size, sniff_image
from fasgen.sources.sampling import Indices, Sampling

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

KEPT_BYTES = 1 << 29
"""Frames of one video that are held decoded at a time, bytes; of more, later ones are decoded when they are asked for."""


_LACKING = {"AV01": "AV1"}
"""Codecs by their code that OpenCV's builds know by name alone: they decode them on some graphics cards and nowhere else."""

# A damaged packet ends decoding like the end of the file does, but behind it decoding goes on.
_TRIES_BEYOND_END = 32


class FrameStream:
    """A video being decoded, one frame after the other and never backwards; a context manager that lets go of it.

    Args:
        file: descriptor of a regular file, open for reading; it is duplicated and may be closed afterwards.
        limits: what is too large, too long or too small.

    Attributes:
        stated: frames that the container claims to have, at most ``limits.max_frames``; a guess.
        count: frames decoded so far.

    Raises:
        SampleError: ``NOT_MEDIA``, ``CORRUPT``, ``TOO_LARGE`` or ``TOO_SMALL``; so do the methods.
    """

    def __init__(self, file: int, limits: Limits) -> None:
        self._kind = _checked_kind(file)
        self._limits = limits
        self._capture = _open(file)
        self._last: tuple[int, RGB] | None = None
        self.count = 0
        self._ended = False
        self._damage: SampleError | None = None
        if not self._capture.isOpened():
            raise SampleError(Reason.CORRUPT, f"{self._kind}: holds no video stream that can be decoded")
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        check_size(width, height, limits)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.stated = max(0, min(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), limits.max_frames))
        self._file: int | None = os.dup(file)

    def reaches(self, index: int) -> bool:
        """Decode until frame ``index`` (at least ``count - 1``) is the current one; False if the video ends before it."""
        while self.count <= index and not self._ended:
            self._step()
        return self.count > index

    def finish(self) -> int:
        """Decode to the end; the number of frames, at least 1."""
        while not self._ended:
            self._step()
        return self.count

    def current(self) -> RGB:
        """The frame with index ``count - 1``: H x W x 3 uint8 RGB, upright."""
        frame = self._retrieved(self._capture)
        if frame is None:
            raise SampleError(Reason.CORRUPT, f"frame {self.count - 1} cannot be converted")
        check_size(frame.shape[1], frame.shape[0], self._limits)
        if self._last is not None and self._last[0] != self.count and np.array_equal(frame, self._last[1]) and frame.any():
            self._check_conversion(frame)
        self._last = self.count, frame
        rgb: RGB = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB)
        return rgb

    def _retrieved(self, capture: cv2.VideoCapture) -> RGB | None:
        try:
            ok, frame = capture.retrieve()
        except cv2.error as error:
            raise SampleError(Reason.CORRUPT, f"{self._kind}: {describe(error)}") from error
        return frame if ok else None

    def _check_conversion(self, frame: RGB) -> None:
        """Refuse the current frame if a decoder of its own gives another picture of it, or nothing but black from it on.

        OpenCV's builds on ffmpeg 8 cannot convert frames that are marked as interlaced, say that they did, and hand out
        whatever lay in memory: another piece of memory in another decoder, and within one the same for each frame.
        """
        if self._file is None:
            return
        capture = _open(self._file)
        try:
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            reached = all(capture.grab() for _ in range(self.count))
            other = self._retrieved(capture) if reached else None
            sound = other is not None and np.array_equal(frame, other)
            while sound and other is not None and not other.any():
                other = self._retrieved(capture) if capture.grab() else None
        finally:
            capture.release()
        if not sound or other is None:
            raise SampleError(
                Reason.CORRUPT,
                f"{self._kind}: interlaced, which this build of OpenCV cannot convert, or black throughout; "
                "deinterlace the file first (ffmpeg -i FILE -vf bwdif ...)",
            )

    def _step(self) -> None:
        if self._damage is not None:
            # What follows a gap has no index that could be known.
            raise SampleError(self._damage.reason, self._damage.detail)
        try:
            if self._capture.grab():
                self.count += 1
                if self.count > self._limits.max_frames:
                    raise SampleError(Reason.TOO_LARGE, f"more than max_frames = {self._limits.max_frames} frames")
                if self.count == 1 and (frame := self._retrieved(self._capture)) is not None:
                    self._check_conversion(frame)
                    self._last = 1, frame
                return
            if any(self._capture.grab() for _ in range(_TRIES_BEYOND_END)):
                raise SampleError(Reason.CORRUPT, f"decoding breaks off after {self.count} frames and goes on further behind")
            if not self.count:
                raise self._undecoded()
        except cv2.error as error:
            self._damage = SampleError(Reason.CORRUPT, f"{self._kind}: {describe(error)}")
            raise self._damage from error
        except SampleError as error:
            self._damage = error
            raise
        self._ended = True

    def _undecoded(self) -> SampleError:
        """Why there is no first frame: a codec that this build of OpenCV lacks, or damage."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
        if code.upper() in _LACKING:
            return SampleError(
                Reason.NOT_MEDIA,
                f"{self._kind}: {_LACKING[code.upper()]} video, which this build of OpenCV cannot decode; "
                "convert the file first (ffmpeg -i FILE -c:v libx264 -crf 12 ...)",
            )
        named = f" of its {code} video" if code.isprintable() and code else ""
        return SampleError(Reason.CORRUPT, f"{self._kind}: not a single frame{named} can be decoded")

    def close(self) -> None:
        """Let go of the decoder."""
        self._capture.release()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """What decoding a video to its end gave.

    Attributes:
        count: frames decoded.
        indices: decoded index of each requested frame; None where the video has none for it.
        frames: by number of the request, H x W x 3 uint8 RGB, upright.
    """

    count: int
    indices: Indices
    frames: Mapping[int, RGB]


def sample_frames(file: int, sampling: Sampling, limits: Limits, first: int = 0) -> VideoFrames:
    """Decode a video to its end and keep the frames that ``sampling`` asks for.

    The container's frame count serves as a guess of where the frames will be. Where it was right, one pass is enough;
    where decoding shows another count, a second pass fetches the frames that the first did not keep, and stops at the
    last of them.

    Args:
        file: descriptor of a regular file, open for reading.
        sampling: which frames.
        limits: what is too large, too long or too small.
        first: number of the first request whose frame is kept, for videos whose frames exceed ``KEPT_BYTES``.

    Raises:
        SampleError: ``NOT_MEDIA``, ``CORRUPT``, ``TOO_LARGE`` or ``TOO_SMALL``.
    """
    kept: dict[int, RGB] = {}
    with FrameStream(file, limits) as video:
        guess = video.stated
        if guess:
            _keep(video, _requests(sampling, guess, first), first, kept)
        count = video.finish()
    wanted = _requests(sampling, count, first)
    if count != guess:
        kept = {index: frame for index, frame in kept.items() if index in wanted}
        missing = {index: k for index, k in wanted.items() if index not in kept}
        if missing:
            with FrameStream(file, limits) as video:
                _keep(video, missing, first, kept)
    return VideoFrames(count, sampling.indices(count), {wanted[index]: frame for index, frame in kept.items()})


def _requests(sampling: Sampling, count: int, first: int) -> dict[int, int]:
    """Request number by decoded index."""
    return {index: k for k, index in enumerate(sampling.indices(count)) if index is not None and k >= first}


def _keep(video: FrameStream, requests: Mapping[int, int], first: int, kept: dict[int, RGB]) -> None:
    """Put requested frames into ``kept``, by decoded index, as many as there is room for and request ``first`` in any case."""
    room = KEPT_BYTES - sum(frame.nbytes for frame in kept.values())
    for index in sorted(requests):
        if room <= 0 and requests[index] != first:
            continue
        if not video.reaches(index):
            return
        kept[index] = video.current()
        room -= kept[index].nbytes


def _checked_kind(file: int) -> str:
    """Container of a video that is one by its first bytes, and complete by what it says of itself."""
    head = os.pread(file, 256, 0)
    kind, image = sniff_video(head), sniff_image(head)
    if image:
        raise SampleError(Reason.NOT_MEDIA, f"is a {image} image under the name of a video")
    if kind is None:
        raise SampleError(Reason.NOT_MEDIA, f"begins with {head[:8].hex(' ')}, which is no known video format")
    check_complete(file, os.fstat(file).st_size, kind)
    return kind


def _open(file: int) -> cv2.VideoCapture:
    # By descriptor: names that are not UTF-8 cannot be handed to OpenCV, and what was checked is what is read.
    # One thread: with several, what a damaged stream decodes to depends on their timing.
    return cv2.VideoCapture(f"/dev/fd/{file}", cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
