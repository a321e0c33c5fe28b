"""One Zarr v3 array a field and unit: one chunk a sample, one shard the unit.

The writer encodes each sample as it comes and writes the shard once, so a unit's arrays are never held raw; the bytes are
those that ``zarr`` itself writes with the same settings, and every Zarr v3 reader reads them. The reader fetches one
sample by one positioned read and one decompression.

Source: Zarr core specification 3.0 and its sharding codec 1.0 (ZEP 2).
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json

ABSENT = 2**64 - 1
"""Offset and length of a chunk that a shard does not hold."""

_LEVEL = 1
_MAX_ITEM = 2**31 - 17
_NAMES = {
    "bool": "bool",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"float{bits}" for bits in (16, 32, 64)},
}


def group_document() -> bytes:
    """The ``zarr.json`` of a unit's group."""
    return _json({"attributes": {}, "zarr_format": 3, "node_type": "group"})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()


def _shuffle(dtype: np.dtype[Any]) -> str:
    """How blosc rearranges a chunk before it packs it.

    On int16 differences of real faces and a smooth copy, shuffled bits gave a fifth fewer bytes than shuffled bytes and were
    packed half as fast again. Feature maps of floats pack badly by any; shuffled bytes are within 5 % of the smallest and
    quicker. Single bytes lose by either.
    """
    if dtype.itemsize == 1:
        return "noshuffle"
    return "bitshuffle" if dtype.kind in "iu" else "shuffle"


def _codecs(dtype: np.dtype[Any]) -> list[dict[str, Any]]:
    serial: dict[str, Any] = {"name": "bytes"}
    if dtype.itemsize > 1:
        serial["configuration"] = {"endian": "little"}
    blosc = {"typesize": dtype.itemsize, "cname": "zstd", "clevel": _LEVEL, "shuffle": _shuffle(dtype), "blocksize": 0}
    return [serial, {"name": "blosc", "configuration": blosc}]


def array_document(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The ``zarr.json`` of an array of ``shape`` (samples first), one chunk a sample, one shard in all."""
    sharding = {
        "chunk_shape": [1, *shape[1:]],
        "codecs": _codecs(dtype),
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    return _json(
        {
            "shape": list(shape),
            "data_type": _NAMES[dtype.name],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": False if dtype.kind == "b" else 0.0 if dtype.kind == "f" else 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "attributes": {},
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }
    )


def shard_key(dimensions: int) -> str:
    """Path of the only shard inside its array's folder."""
    return "/".join(["c", *["0"] * dimensions])


def _codec(dtype: np.dtype[Any]) -> Any:
    from numcodecs import blosc

    # With threads, blosc stores blocks in the order in which they get done: other bytes every time.
    blosc.use_threads = False
    number = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}[_shuffle(dtype)]
    return blosc.Blosc(cname="zstd", clevel=_LEVEL, shuffle=number, blocksize=0, typesize=dtype.itemsize)


def little(array: NDArray[Any]) -> NDArray[Any]:
    """``array`` little-endian and C-contiguous; a copy only where it was not."""
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def dtype_of(field: str, name: str) -> np.dtype[Any]:
    """The little-endian dtype that a field declares.

    Raises:
        StoreError: if the name is not that of a boolean, an integer or a real type.
    """
    if name not in _NAMES:
        raise StoreError(f"array field {field!r} declares dtype {name!r}: choose one of {', '.join(_NAMES)}")
    return np.dtype(name).newbyteorder("<")


class ArrayWriter:
    """Writes one field of one unit.

    Args:
        folder: the array's folder; created with the first sample.
        field: name of the field, for messages.
        dtype: declared dtype name.
    """

    def __init__(self, folder: Path, field: str, dtype: str) -> None:
        self._folder = folder
        self.field = field
        self.dtype = dtype_of(field, dtype)
        self._codec = _codec(self.dtype)
        self._spool: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._end = 0
        self._item: tuple[int, ...] | None = None
        self._first = ""
        self._places: dict[str, tuple[int, int]] = {}

    def check(self, sample: str, array: NDArray[Any]) -> None:
        """Refuse an array that does not belong here.

        Raises:
            StoreError: if the dtype is not the declared one, or the shape not that of the samples before.
        """
        if array.dtype.newbyteorder("<") != self.dtype:
            raise StoreError(f"sample {sample}: array {self.field!r} is {array.dtype}, its stage declares {self.dtype.name}")
        if self._item is not None and array.shape != self._item:
            raise StoreError(
                f"array {self.field!r} of sample {sample} has shape {array.shape}, that of sample {self._first} has "
                f"{self._item}: all samples of a unit must have one shape"
            )
        if array.size == 0 or array.nbytes > _MAX_ITEM:
            raise StoreError(f"sample {sample}: array {self.field!r} has {array.nbytes} bytes: 1 to {_MAX_ITEM} can be stored")

    def add(self, sample: str, array: NDArray[Any]) -> None:
        """Encode and append one sample's array; ``array`` must be little-endian and contiguous (``little``)."""
        self.check(sample, array)
        if self._spool is None:
            self._folder.mkdir(parents=True)
            self._spool = (self._folder / "spool").open("xb+", buffering=1 << 17)
            self._item, self._first = array.shape, sample
        encoded = self._codec.encode(array)
        self._spool.write(encoded)
        self._digest.update(encoded)
        self._places[sample] = (self._end, len(encoded))
        self._end += len(encoded)

    def close(self, samples: list[str]) -> dict[str, str]:
        """Write array metadata and shard, chunks in the order of ``samples``; those without this field become absent chunks.

        Returns:
            SHA-256 by path inside the array's folder; empty if no sample had this field.
        """
        if self._spool is None or self._item is None:
            return {}
        self._spool.flush()
        shape = (len(samples), *self._item)
        shard = self._folder / shard_key(len(shape))
        shard.parent.mkdir(parents=True)
        present = [sample for sample in samples if sample in self._places]
        if present != list(self._places):
            self._reorder(present)
        index = np.full((len(samples), 2), ABSENT, "<u8")
        for i, sample in enumerate(samples):
            if sample in self._places:
                index[i] = self._places[sample]
        tail = index.tobytes()
        tail += crc32c(tail).to_bytes(4, "little")
        self._spool.write(tail)
        self._digest.update(tail)
        self._spool.close()
        (self._folder / "spool").rename(shard)
        document = array_document(shape, self.dtype)
        (self._folder / "zarr.json").write_bytes(document)
        return {"zarr.json": hashlib.sha256(document).hexdigest(), shard_key(len(shape)): self._digest.hexdigest()}

    def _reorder(self, samples: list[str]) -> None:
        """Rewrite the spool with the chunks in the order of ``samples``."""
        if self._spool is None:
            return
        old, places = self._spool, self._places
        (self._folder / "spool").unlink()
        self._spool, self._digest, self._places, self._end = (self._folder / "spool").open("xb+"), hashlib.sha256(), {}, 0
        with old:
            for sample in samples:
                offset, length = places[sample]
                chunk = os.pread(old.fileno(), length, offset)
                self._spool.write(chunk)
                self._digest.update(chunk)
                self._places[sample] = (self._end, length)
                self._end += length

    def abort(self) -> None:
        """Close what is open; what cannot be written any more is not wanted any more."""
        if self._spool is not None:
            with suppress(OSError):
                self._spool.close()


class ArrayReader:
    """Random access to one field of one unit. Reads are safe from several threads.

    Attributes:
        shape: samples first.
        dtype: as stored, little-endian.

    Raises:
        StoreError: if the array is missing, damaged, or laid out otherwise than this project does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            document = (folder / "zarr.json").read_bytes()
            parsed = parse_json(document)
            shape = tuple(int(n) for n in parsed["shape"])
            self.dtype = dtype_of(folder.name, parsed["data_type"])
            self._descriptor = os.open(folder / shard_key(len(shape)), os.O_RDONLY)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder}: not a readable array ({error}): run `fasgen verify`") from None
        self.shape: tuple[int, ...] = shape
        self._codec = _codec(self.dtype)
        try:
            self._index = self._read_index(document)
        except BaseException:
            self.close()
            raise

    def _read_index(self, document: bytes) -> list[tuple[int, int]]:
        size = os.fstat(self._descriptor).st_size
        length = 16 * self.shape[0]
        tail = os.pread(self._descriptor, length + 4, max(0, size - length - 4))
        sound = (
            document == array_document(self.shape, self.dtype)
            and len(tail) == length + 4
            and crc32c(tail[:-4]) == int.from_bytes(tail[-4:], "little")
        )
        if not sound:
            raise StoreError(f"{self._folder}: not an array of this layout, or damaged: run `fasgen verify`")
        return [(int(offset), int(count)) for offset, count in np.frombuffer(tail[:-4], "<u8").reshape(-1, 2)]

    def has(self, index: int) -> bool:
        """Whether the sample at ``index`` wrote this field."""
        return self._index[index][0] != ABSENT

    def place(self, index: int) -> tuple[Path, int, int] | None:
        """File, offset and length of the encoded array of the sample at ``index``; None if it has none."""
        offset, length = self._index[index]
        return None if offset == ABSENT else (self._folder / shard_key(len(self.shape)), offset, length)

    def read(self, index: int) -> NDArray[Any]:
        """The array of the sample at ``index``, writable.

        Raises:
            StoreError: if that sample has none, or its bytes are damaged.
        """
        offset, length = self._index[index]
        if offset == ABSENT:
            raise StoreError(f"{self._folder}: sample {index} has no {self._folder.name!r}")
        out = np.empty(self.shape[1:], self.dtype)
        try:
            self._codec.decode(os.pread(self._descriptor, length, offset), out=out)
        except (RuntimeError, ValueError) as error:
            raise StoreError(f"{self._folder}: sample {index} is damaged ({error}): run `fasgen verify`") from None
        return out

    def close(self) -> None:
        """Close the shard; reading is over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720, B.4) of the few kilobytes of a shard's index."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
