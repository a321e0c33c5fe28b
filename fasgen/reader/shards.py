"""Which shards there are: a packed folder with its index, a folder of shards, or addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json

Where = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A packed folder, a shard, a brace pattern such as ``fas-{000000..000012}.tar``, or several of them; also remote addresses."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard.

    Attributes:
        url: path, or any address that webdataset opens.
        samples: number of samples that the index states; None where there is no index.
    """

    url: str
    samples: int | None = None

    @property
    def local(self) -> bool:
        return not _remote(self.url)


def list_shards(where: Where) -> list[Shard]:
    """The shards of ``where`` in order.

    Raises:
        StoreError: there is nothing there, the index cannot be read, or a shard that it names is missing.
    """
    entries = [where] if isinstance(where, str | os.PathLike) else list(where)
    shards = [shard for entry in entries for shard in _expand(entry)]
    if not shards:
        raise StoreError(f"no shards in {where}: name a folder that pack wrote, or shards")
    return shards


@contextmanager
def open_shard(shard: Shard) -> Iterator[BinaryIO]:
    """A binary stream at the shard's start.

    Raises:
        StoreError: it cannot be opened.
    """
    if not shard.local:
        # Importing webdataset takes two seconds; local shards do not need it.
        from webdataset.gopen import gopen

        with gopen(shard.url) as stream:
            yield cast(BinaryIO, stream)
        return
    try:
        stream = Path(shard.url).open("rb", buffering=1 << 18)  # noqa: SIM115 (closed below; only opening may fail here)
    except OSError as error:
        raise StoreError(f"shard {shard.url} cannot be opened: {error.strerror}") from None
    with stream:
        yield stream


def _expand(entry: str | os.PathLike[str]) -> list[Shard]:
    text = os.fspath(entry)
    if "{" in text and not Path(text).exists():
        from webdataset.shardlists import expand_urls

        return [shard for url in expand_urls(text) for shard in _expand(url)]
    if _remote(text) or not Path(text).is_dir():
        return [Shard(text)]
    folder = Path(text)
    index = folder / "index.json"
    if index.is_file():
        return _indexed(folder, index)
    return [Shard(str(path)) for path in sorted(folder.glob("*.tar"))]


def _indexed(folder: Path, index: Path) -> list[Shard]:
    try:
        content = parse_json(index.read_bytes())
        shards = [Shard(str(folder / entry["name"]), int(entry["samples"])) for entry in content["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{index} is not an index of shards ({error!r}): remove it to read the shards without it") from None
    missing = [shard.url for shard in shards if not Path(shard.url).is_file()]
    if missing:
        raise StoreError(f"{index} names {len(missing)} shards that are not there, first {missing[0]}")
    return shards


def _remote(url: str) -> bool:
    return "://" in url or url.startswith("pipe:")
