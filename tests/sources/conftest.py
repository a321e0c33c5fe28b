"""Real files of each kind, made on the spot."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.rows import SourceRow

RGB = NDArray[np.uint8]
BITS = 8


def _picture() -> RGB:
    """A smooth picture in which no two corners are alike, 48 high and 64 wide."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float32)
    return np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y], axis=2).clip(0, 255).astype(np.uint8)


@pytest.fixture
def picture() -> RGB:
    return _picture()


@pytest.fixture
def encode() -> Callable[..., bytes]:
    def make(pixels: RGB | Image.Image, kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(stream, kind, **options)
        return stream.getvalue()

    return make


@pytest.fixture
def numbered() -> Callable[..., Path]:
    """Writes a video each of whose frames shows its own index as ``BITS`` dark or white columns."""

    def make(path: Path, frames: int, codec: str = "MJPG", size: tuple[int, int] = (320, 240)) -> Path:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, size)
        assert writer.isOpened()
        for index in range(frames):
            frame = np.empty((size[1], size[0], 3), np.uint8)
            for bit in range(BITS):
                frame[:, bit * size[0] // BITS : (bit + 1) * size[0] // BITS] = 255 if index >> bit & 1 else 30
            writer.write(frame)
        writer.release()
        return path

    return make


@pytest.fixture
def index_of() -> Callable[[RGB], int]:
    def read(frame: RGB) -> int:
        centres = (2 * np.arange(BITS) + 1) * frame.shape[1] // (2 * BITS)
        return int(sum(1 << bit for bit, x in enumerate(centres) if frame[frame.shape[0] // 2, x].mean() > 128))

    return read


@pytest.fixture
def row() -> Callable[..., SourceRow]:
    def make(path: str, k: int | None = None, n: int | None = None) -> SourceRow:
        kind = "image" if k is None else "video"
        return SourceRow("0" * 16, "d", path, 1, kind, k, n, None, "live", None, None, "d|?|live", None, "none")

    return make


@pytest.fixture
def refusal(tmp_path: Path, row: Callable[..., SourceRow]) -> Callable[..., tuple[str, str]]:
    """Reason and detail with which a file of these bytes is refused."""

    def decode(data: bytes, name: str = "file", k: int | None = None, n: int | None = None) -> tuple[str, str]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SampleError) as caught:
            Decoder(tmp_path).read(row(name, k, n))
        return caught.value.reason.value, caught.value.detail

    return decode


@pytest.fixture
def rotate_mp4() -> Callable[[bytes, int], bytes]:
    """Sets the display matrix of an MP4's track header (ISO/IEC 14496-12, 8.3.2) to a clockwise rotation."""

    def rotate(data: bytes, degrees: int) -> bytes:
        one = 1 << 16
        a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
        at = data.index(b"tkhd") + 4
        at += 4 + (20 if data[at] == 0 else 32) + 16
        return data[:at] + struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30) + data[at + 36 :]

    return rotate
