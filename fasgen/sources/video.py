"""Frames of a video, uniform over what the decoder yields; the container's frame count is never believed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

# ffmpeg's log level is read once, when the first video is opened; -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.container import check_complete, sniff_video
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.image import check_size, sniff_image

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

KEPT_BYTES = 1 << 29
"""Frames of one video that are held decoded at a time, bytes; of more, later ones are decoded when they are asked for."""


# A damaged packet ends decoding like the end of the file does, but behind it decoding goes on.
_TRIES_BEYOND_END = 32


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """What one pass over a video gave.

    Attributes:
        count: frames decoded.
        indices: decoded index of each requested frame; None where the frame before it has that index already.
        frames: by number of the request, H x W x 3 uint8 RGB, upright.
    """

    count: int
    indices: tuple[int | None, ...]
    frames: Mapping[int, RGB]


def uniform_indices(count: int, n: int) -> tuple[int | None, ...]:
    """Decoded indices of n frames, each in the middle of one of n equal parts of the video: floor((2k + 1) count / 2n).

    The first and last frames, often black or blurred, are taken only where parts are that short. A video of fewer than n
    frames gives each of its frames once; the requests in between are None.

    Args:
        count: decoded frames, at least 1.
        n: frames requested, at least 1.
    """
    indices = [(2 * k + 1) * count // (2 * n) for k in range(n)]
    return tuple(index if k == 0 or index != indices[k - 1] else None for k, index in enumerate(indices))


def sample_frames(file: int, n: int, limits: Limits, first: int = 0) -> VideoFrames:
    """Decode a video to its end and keep n frames of it.

    The container's frame count serves as a guess of where the frames will be. Where it was right, one pass is enough;
    where decoding shows another count, a second pass fetches the right frames.

    Args:
        file: descriptor of a regular file, open for reading.
        n: frames requested.
        limits: what is too large, too long or too small.
        first: number of the first request whose frame is kept, for videos whose frames exceed ``KEPT_BYTES``.

    Raises:
        SampleError: ``NOT_MEDIA``, ``CORRUPT``, ``TOO_LARGE`` or ``TOO_SMALL``.
    """
    head = os.pread(file, 256, 0)
    kind = sniff_video(head)
    if kind is None or sniff_image(head):
        found = sniff_image(head)
        what = (
            f"is a {found} image under the name of a video"
            if found
            else f"begins with {head[:8].hex(' ')}, which is no known video format"
        )
        raise SampleError(Reason.NOT_MEDIA, what)
    check_complete(file, os.fstat(file).st_size, kind)
    try:
        guess = _stated_count(file, kind, limits)
        count, kept = _pass(file, _requests(guess, n, first), limits)
        if count not in (0, guess):
            count, kept = _pass(file, _requests(count, n, first), limits)
    except cv2.error as error:
        raise SampleError(Reason.CORRUPT, f"{kind}: {describe(error)}") from error
    if not count:
        raise SampleError(Reason.CORRUPT, f"{kind}: not a single frame can be decoded")
    return VideoFrames(count, uniform_indices(count, n), kept)


def _open(file: int) -> cv2.VideoCapture:
    # By descriptor: names that are not UTF-8 cannot be handed to OpenCV, and what was checked is what is read.
    # One thread: with several, what a damaged stream decodes to depends on their timing.
    return cv2.VideoCapture(f"/dev/fd/{file}", cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def _stated_count(file: int, kind: str, limits: Limits) -> int:
    capture = _open(file)
    try:
        if not capture.isOpened():
            raise SampleError(Reason.CORRUPT, f"{kind}: holds no video stream that can be decoded")
        check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), limits)
        return max(0, min(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), limits.max_frames))
    finally:
        capture.release()


def _requests(count: int, n: int, first: int) -> dict[int, int]:
    """Request number by decoded index, in the order of decoding."""
    if count < 1:
        return {}
    return {index: k for k, index in enumerate(uniform_indices(count, n)) if index is not None and k >= first}


def _pass(file: int, requests: Mapping[int, int], limits: Limits) -> tuple[int, dict[int, RGB]]:
    """Decode everything, convert only what is requested.

    Returns:
        the number of frames, and the frames by request.

    Raises:
        SampleError: ``CORRUPT`` where a gap shows that packets could not be decoded, ``TOO_LARGE`` beyond ``max_frames``.
    """
    capture = _open(file)
    count, room, kept = 0, KEPT_BYTES, dict[int, "RGB"]()
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        while capture.grab():
            if count in requests and (room > 0 or not kept):
                kept[requests[count]] = _retrieve(capture, count, limits)
                room -= kept[requests[count]].nbytes
            count += 1
            if count > limits.max_frames:
                raise SampleError(Reason.TOO_LARGE, f"more than max_frames = {limits.max_frames} frames")
        if any(capture.grab() for _ in range(_TRIES_BEYOND_END)):
            raise SampleError(Reason.CORRUPT, f"decoding breaks off after {count} frames and goes on further behind")
    finally:
        capture.release()
    return count, kept


def _retrieve(capture: cv2.VideoCapture, index: int, limits: Limits) -> RGB:
    ok, frame = capture.retrieve()
    if not ok or frame is None:
        raise SampleError(Reason.CORRUPT, f"frame {index} cannot be converted")
    check_size(frame.shape[1], frame.shape[0], limits)
    rgb: RGB = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB)
    return rgb
