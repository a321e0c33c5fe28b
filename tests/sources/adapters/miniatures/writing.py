"""Real files, as small as they can be."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np

SIZE = (32, 24)
FRAMES = 3


@cache
def video(extension: str) -> bytes:
    """An encoded video of ``FRAMES`` frames, whose levels tell them apart: 60, 120, 180."""
    codec = {"avi": "MJPG", "mp4": "mp4v", "mov": "mp4v"}[extension]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{extension}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, SIZE)
        assert writer.isOpened()
        for index in range(FRAMES):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 60 * (index + 1), np.uint8))
        writer.release()
        return path.read_bytes()


@cache
def picture(extension: str, width: int = SIZE[0], height: int = SIZE[1]) -> bytes:
    """An encoded picture."""
    return bytes(cv2.imencode(f".{extension}", np.full((height, width, 3), 99, np.uint8))[1].tobytes())


def put(root: Path, *paths: str, data: bytes | str | None = None) -> None:
    """Write files; what they hold follows from their extension unless it is given."""
    for path in paths:
        extension = path.rpartition(".")[2].lower()
        content = data if data is not None else video(extension) if extension in ("avi", "mp4", "mov") else picture(extension)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
