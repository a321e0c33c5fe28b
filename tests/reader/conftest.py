"""Shards written by tarfile, independently of fasgen's own writer."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = 16


def members(number: int, size: int = SIZE) -> dict[str, bytes]:
    """The members of made-up sample ``number``; its label alternates."""
    rng = np.random.default_rng(number)
    image, made = rng.integers(0, 256, (2, size, size, 3), np.uint8)
    stream = io.BytesIO()
    np.save(stream, image.astype(np.int16) - made)
    record = {
        "sample_id": f"{number:016x}",
        "label_index": number % 2,
        "label": ("spoof", "live")[number % 2],
        "number": number,
        "cues": {"residual": {"one": 127.5}},
    }
    record["split"] = "test" if number % 5 == 0 else "train"
    return {
        "png": bytes(cv2.imencode(".png", image[:, :, ::-1])[1]),
        "residual.npy": stream.getvalue(),
        "json": json.dumps(record).encode(),
    }


def write_shard(path: Path, samples: Sequence[tuple[str, dict[str, bytes]]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, files in samples:
            for extension, data in files.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(scope="session", name="members")
def _members() -> Callable[..., dict[str, bytes]]:
    return members


@pytest.fixture(scope="session", name="write_shard")
def _write_shard() -> Callable[..., Path]:
    return write_shard


@pytest.fixture
def packed(tmp_path: Path) -> Callable[..., Path]:
    """``packed([3, 0, 2], index=True)`` writes shards of 3, 0 and 2 samples and gives their folder."""

    def write(counts: Sequence[int], *, index: bool = True, size: int = SIZE) -> Path:
        number = 0
        entries = []
        for place, count in enumerate(counts):
            numbers = range(number, number + count)
            write_shard(tmp_path / f"fas-{place:06d}.tar", [(f"{n:016x}", members(n, size)) for n in numbers])
            entries.append({"name": f"fas-{place:06d}.tar", "samples": count})
            number += count
        if index:
            (tmp_path / "index.json").write_text(json.dumps({"shards": entries}))
        return tmp_path

    return write
