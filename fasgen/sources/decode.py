"""From a row of a source to its pixels, or to the reason why there are none."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from fasgen.records import Reason, Scalar
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits, Turn
from fasgen.sources.contained import Contained
from fasgen.sources.container import sniff_video
from fasgen.sources.failure import SampleError as SampleError
from fasgen.sources.footage import Footage, Vicinity
from fasgen.sources.image import decode_image, sniff_image
from fasgen.sources.marks import read_marks, turn_marks
from fasgen.sources.opening import opened
from fasgen.sources.sampling import Sampling

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

Nearby = Callable[[], Iterator[tuple[int, "RGB"]]]


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


class Decoder:
    """Reads samples of one source. Safe to call from several threads.

    The video decoded last is kept, with its requested frames or its error, so that rows in listing order cost one pass a
    video.

    Args:
        root: the source's folder, or its address.
        limits: what is decoded at all.
        sampling: which frames of a video its rows mean; None: as many as the row says, uniform.
        rotate: regular expressions on the relative path, to the degrees by which such files are turned clockwise.
    """

    def __init__(
        self,
        root: Path | RemotePath,
        limits: Limits | None = None,
        sampling: Sampling | None = None,
        rotate: Mapping[str, Turn] | None = None,
    ) -> None:
        self._root = root if isinstance(root, RemotePath) else os.fspath(root)
        self._limits = limits or Limits()
        self._sampling = sampling
        self._turns = [(re.compile(pattern), degrees // 90) for pattern, degrees in (rotate or {}).items()]
        self._lock = threading.Lock()
        self._footage: Footage | None = None
        self._vicinity = Vicinity(self._root, self._limits)
        self._contained = Contained(root, self._limits)

    def read(self, row: Wanted) -> tuple[RGB, dict[str, Scalar]]:
        """Decode one row.

        Args:
            row: a row of this source.

        Returns:
            the upright picture, H x W x 3 uint8 RGB, and what decoding found out: ``frame`` and ``frame_requested``, the
            decoded index (None for a still), ``frames_decoded``, the frames of the video (None for a still and where it was
            not decoded to its end), and ``source_sha256``, the digest of the file in hex (None where the pixels lie inside
            another file); where the data set ships them for this picture, ``shipped_box`` and ``shipped_eyes`` in its pixels.

        Raises:
            SampleError: there are no such pixels; it says why. Nothing else is raised for what a file holds.
        """
        image, values = self._pixels(row)
        turns = self._turns_of(row.path)
        if row.marks and row.marks_format and isinstance(self._root, str):
            index, size = values["frame"], (image.shape[1], image.shape[0])
            marks = read_marks(self._root, row.marks, row.marks_format, index if isinstance(index, int) else None, size)
            values |= turn_marks(marks, turns, size)
        return _turned(image, turns), values

    def _pixels(self, row: Wanted) -> tuple[RGB, dict[str, Scalar]]:
        count: int | None = None
        digest: str | None = None
        index: int | None = None
        if row.container is not None:
            picked = _Picked(self._sampling_of(row), row.frame_k or 0) if row.kind == "video" else None
            image, index = self._contained.read(row.container, row.path, picked)
            count = picked.count if picked else None
        elif row.kind == "image":
            image, digest = self._still(row.path)
        else:
            with self._lock:
                footage = self._footage
                if footage is None or footage.path != row.path or footage.sampling != self._sampling_of(row):
                    # The old frames go before the new ones come: two videos at once may not fit.
                    self._footage = footage = None
                    self._footage = footage = Footage(self._root, row.path, self._sampling_of(row), self._limits)
                image, index = footage.frame(row.frame_k or 0)
                count, digest = footage.count, footage.digest
        return image, {"frame": index, "frame_requested": index, "frames_decoded": count, "source_sha256": digest}

    def nearby(self, row: Wanted, values: Mapping[str, Scalar]) -> Nearby | None:
        """Other frames that may stand in for the one of ``row``, where ``read`` gave ``values`` of it.

        Returns:
            a function that decodes them when it is called and iterated: decoded index and upright picture, the nearest
            first, none of them another row's; None where there can be none, and for what lies inside another file. It may
            be called in any thread.
        """
        sampling, index, count = self._sampling_of(row), values.get("frame"), values.get("frames_decoded")
        if row.kind == "image" or row.container is not None or not isinstance(index, int):
            return None
        if sampling.nearest == 0 or sampling.policy == "all":
            return None
        return partial(self._nearby, row.path, sampling, row.frame_k or 0, count if isinstance(count, int) else None)

    def _nearby(self, path: str, sampling: Sampling, k: int, count: int | None) -> Iterator[tuple[int, RGB]]:
        for index, frame in self._vicinity.frames(path, sampling, k, count):
            yield index, _turned(frame, self._turns_of(path))

    def _sampling_of(self, row: Wanted) -> Sampling:
        return self._sampling or Sampling(count=row.frame_n or 1)

    def _turns_of(self, path: str) -> int:
        """Quarter turns clockwise."""
        return next((turns for pattern, turns in self._turns if pattern.search(path)), 0)

    def _still(self, path: str) -> tuple[RGB, str]:
        with opened(self._root, path, self._limits.max_bytes) as (file, size):
            head = os.pread(file, 256, 0)
            if sniff_image(head) is None and sniff_video(head):
                raise SampleError(Reason.NOT_MEDIA, f"is a {sniff_video(head)} video under the name of an image; rename it")
            if size > self._limits.max_bytes:
                raise SampleError(Reason.TOO_LARGE, f"{size} bytes, more than max_bytes = {self._limits.max_bytes}")
            data = b"".join(iter(lambda: os.read(file, 1 << 24), b""))
        return decode_image(data, self._limits), hashlib.sha256(data).hexdigest()


def _turned(image: RGB, turns: int) -> RGB:
    return np.ascontiguousarray(np.rot90(image, -turns)) if turns else image


class _Picked:
    """Which of a contained video's frames request ``k`` means; remembers how many there are."""

    def __init__(self, sampling: Sampling, k: int) -> None:
        self._sampling, self._k = sampling, k
        self.count: int | None = None

    def __call__(self, count: int) -> int:
        self.count = count
        index = self._sampling.indices(count)[self._k]
        if index is None:
            raise SampleError(Reason.VIDEO_TOO_SHORT, f"{count} frames, none of them left for request {self._k}")
        return index
