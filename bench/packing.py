"""Writing tar shards: this project's writer, tarfile giving the same bytes, and webdataset's ShardWriter."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bench.harness import Row, compare, table
from fasgen.manifests.tar import TarWriter

SAMPLES = 400
"""Samples a shard, so that opening and ending the file weigh as little as they do in practice."""


def samples(extension: str, size: int) -> list[tuple[str, dict[str, bytes]]]:
    """Samples of an image's worth of incompressible bytes and a JSON of labels and provenance."""
    rng = np.random.default_rng(0)
    out = []
    for number in range(SAMPLES):
        labels = {
            "dataset": "oulu",
            "subject": f"oulu/{number % 55}",
            "label": "live",
            "seed": number,
            "landmarks": [[1.5, 2.5]] * 5,
        }
        image = rng.bytes(int(size * rng.uniform(0.8, 1.2)))
        out.append((f"{number:016x}", {extension: image, "json": json.dumps(labels | {"path": "a/b/c.jpg" * 8}).encode()}))
    return out


def write_ours(path: Path, data: list[tuple[str, dict[str, bytes]]], digest: bool) -> None:
    """Write with ``TarWriter``, which flushes to the disk and, if asked, keeps the file's SHA-256."""
    path.unlink(missing_ok=True)
    writer = TarWriter(path, digest=digest, sync=digest)
    for key, files in data:
        for extension, content in files.items():
            writer.add(f"{key}.{extension}", content)
    writer.close()


def write_tarfile(path: Path, data: list[tuple[str, dict[str, bytes]]]) -> None:
    """Write the same bytes with the standard library."""
    path.unlink(missing_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, files in data:
            for extension, content in files.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size, info.mode = len(content), 0o444
                tar.addfile(info, io.BytesIO(content))


def write_webdataset(folder: Path, data: list[tuple[str, dict[str, bytes]]]) -> None:
    """Write with webdataset's own writer, in its default settings."""
    from webdataset import ShardWriter

    with contextlib.redirect_stdout(sys.stderr), ShardWriter(f"{folder}/wds-%06d.tar", verbose=0) as writer:
        for key, files in data:
            writer.write({"__key__": key, **files})


def run() -> list[Row]:
    """Microseconds a sample, and how many times faster than each peer."""
    rows: list[Row] = []
    for name, extension, size in (("pack 22 KiB JPEG + JSON", "jpg", 22 << 10), ("pack 92 KiB PNG + JSON", "png", 92 << 10)):
        data = samples(extension, size)
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Path(folder) / "ours.tar", Path(folder) / "tarfile.tar"
            peers = [
                (f"tarfile, Python {sys.version.split()[0]}", lambda p=theirs, d=data: write_tarfile(p, d), 1.2),
                (f"webdataset {version('webdataset')}", lambda p=Path(folder), d=data: write_webdataset(p, d), 2.0),
            ]
            rows += compare(
                f"{name}, tar alone",
                lambda p=ours, d=data: write_ours(p, d, False),
                peers,
                items=SAMPLES,
                unit="us/sample",
                scale=1e6,
            )
            if ours.read_bytes() != theirs.read_bytes():
                raise RuntimeError("the two writers gave different bytes: the comparison is void")
            signed = lambda p=ours, d=data: write_ours(p, d, True)  # noqa: E731
            rows += compare(
                f"{name}, as units do: SHA-256, fsync",
                signed,
                [(*peers[0][:2], None)],
                items=SAMPLES,
                unit="us/sample",
                scale=1e6,
                rounds=3,
            )
    return rows


if __name__ == "__main__":
    print(table(run()))
