"""Cues on disk: write speed, random reads and bytes an image, for this project's arrays and what else could hold them."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, alternate, median_ratio, table
from fasgen.manifests.arrays import ArrayReader, ArrayWriter, shard_key

IMAGES = 192
SIDE = 224
READS = 48


def residuals() -> NDArray[np.int16]:
    """Plausible residuals: what an 8-bit picture loses in a generator that keeps its coarse content.

    A picture of natural statistics (amplitude falling with frequency) and sensor noise, minus a blurred, slightly shifted
    and re-quantised copy. Standard deviation about 8 levels, channels correlated, range within -255 to 255.
    """
    import cv2

    rng = np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :]
    amplitude = 1 / np.maximum(np.hypot(fy, fx), 1 / SIDE) ** 1.2
    out = np.empty((IMAGES, SIDE, SIDE, 3), np.int16)
    for index in range(IMAGES):
        phases = rng.normal(size=(2, *amplitude.shape))
        grey = np.fft.irfft2(amplitude * (phases[0] + 1j * phases[1]), s=(SIDE, SIDE))
        colour = 120 + 45 * grey[..., None] / grey.std() * np.array([1.0, 0.9, 0.8]) + rng.normal(0, 1.5, (SIDE, SIDE, 3))
        image = np.clip(np.rint(colour), 0, 255).astype(np.uint8)
        copy = cv2.GaussianBlur(np.roll(image, 1, 1), (0, 0), 2.0)
        out[index] = image.astype(np.int16) - copy
    return out


@dataclass(frozen=True)
class Way:
    """One way to keep cues: write all, then open and give a function that reads one."""

    name: str
    write: Callable[[Path], None]
    opened: Callable[[Path], Callable[[int], Any]]


def ours(stack: NDArray[np.int16]) -> Way:
    """This project's arrays, written sample by sample as a stage gives them."""

    def write(path: Path) -> None:
        writer = ArrayWriter(path, "cue", "int16")
        for index, item in enumerate(stack):
            writer.add(str(index), item)
        writer.close([str(index) for index in range(len(stack))])

    return Way("fasgen (zarr v3 shard, int16, blosc zstd 1, bit shuffle)", write, lambda path: ArrayReader(path).read)


def with_zarr(stack: NDArray[Any], shuffle: str, level: int) -> Way:
    """The same layout by the zarr package, in one assignment."""
    import zarr
    from zarr.codecs import BloscCodec

    def write(path: Path) -> None:
        codec = BloscCodec(cname="zstd", clevel=level, shuffle=shuffle, typesize=stack.itemsize)  # type: ignore[arg-type]
        chunks, whole = (1, *stack.shape[1:]), stack.shape
        array = zarr.create_array(
            path, shape=whole, chunks=chunks, shards=whole, dtype=stack.dtype, compressors=codec, filters=None
        )
        array[:] = stack

    def opened(path: Path) -> Callable[[int], Any]:
        array = zarr.open_array(path, mode="r")
        return lambda index: array[index]

    return Way(f"zarr {version('zarr')}, {stack.dtype}, zstd {level}, {shuffle}", write, opened)


def with_arrow(stack: NDArray[np.int16]) -> Way:
    """Arrow IPC, one record batch an image, zstd."""
    import pyarrow as pa

    schema = pa.schema([("cue", pa.binary())])

    def write(path: Path) -> None:
        with pa.ipc.new_file(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as sink:
            for item in stack:
                sink.write_batch(pa.record_batch([pa.array([item.tobytes()], pa.binary())], schema=schema))

    def opened(path: Path) -> Callable[[int], Any]:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return lambda index: np.frombuffer(reader.get_batch(index).column(0)[0].as_buffer(), "<i2").reshape(stack.shape[1:])

    return Way(f"Arrow IPC {version('pyarrow')}, int16, zstd", write, opened)


def size(path: Path) -> int:
    """Bytes of a file or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def run(rounds: int = 3) -> list[Row]:
    """Write in MB/s of raw int16, a random read in ms, KiB an image; all ways in turns, all read back and compared."""
    stack = residuals()
    ways = [ours(stack), with_zarr(stack, "shuffle", 1), with_zarr(stack, "bitshuffle", 1), with_zarr(stack, "noshuffle", 3)]
    ways += [with_zarr(np.clip(stack, -128, 127).astype(np.int8), "noshuffle", 3), with_arrow(stack)]
    order = np.random.default_rng(1).permutation(IMAGES)[:READS]
    with tempfile.TemporaryDirectory() as folder:
        paths = [[Path(folder) / f"{way}-{turn}" for turn in range(rounds + 1)] for way in range(len(ways))]
        turns = [iter(each) for each in paths]
        writes = alternate([lambda w=way, t=turn: w.write(next(t)) for way, turn in zip(ways, turns, strict=True)], rounds)
        if (paths[0][0] / shard_key(4)).read_bytes() != (paths[2][0] / shard_key(4)).read_bytes():
            raise RuntimeError("this project and zarr gave different shards: the comparison is void")
        readers = [way.opened(each[0]) for way, each in zip(ways, paths, strict=True)]
        for way, read in zip(ways, readers, strict=True):
            same = np.array_equal(read(5), np.clip(stack[5], -128, 127) if "int8" in way.name else stack[5])
            if not same:
                raise RuntimeError(f"{way.name} did not give back what was written")
        reads = alternate([lambda r=read: [r(int(index)) for index in order] for read in readers], rounds)
        sizes = [size(each[0]) / IMAGES / 1024 for each in paths]
    rows: list[Row] = []
    raw = stack.nbytes / 1e6
    for index in range(1, len(ways)):
        name = ways[index].name
        mine, theirs = (raw / statistics.median(each) for each in (writes[0], writes[index]))
        rows.append(Row("cue write", mine, theirs, name, median_ratio(writes[0], writes[index]), None, "MB/s"))
    for index in range(1, len(ways)):
        mine, theirs = (statistics.median(each) / READS * 1e3 for each in (reads[0], reads[index]))
        rows.append(Row("cue random read", mine, theirs, ways[index].name, median_ratio(reads[0], reads[index]), None, "ms"))
    for index in range(1, len(ways)):
        rows.append(Row("cue size", sizes[0], sizes[index], ways[index].name, sizes[index] / sizes[0], None, "KiB/image"))
    return rows


if __name__ == "__main__":
    print(table(run()))
