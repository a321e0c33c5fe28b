"""A source's own picture of a sample, long after the run: for reports and for questions of provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fasgen.errors import StoreError
from fasgen.manifests.images import RGB
from fasgen.manifests.parquet import concatenated, read_table
from fasgen.manifests.products import cutter, units_of
from fasgen.manifests.sources_file import read_sources, source_names
from fasgen.manifests.unit import manifest_path
from fasgen.remote.path import RemoteError, RemotePath
from fasgen.sources.config import SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import unescape

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Wanted:
    path: str
    kind: Literal["image", "video"]
    frame_k: int | None
    frame_n: int | None
    container: str | None
    marks: str | None = None
    marks_format: str | None = None


class Originals:
    """Finds samples in the sources' folders by what the store's listings say of them.

    Args:
        store: the store.
        sources: the configured sources; of the others nothing is found.
    """

    def __init__(self, store: Path, sources: Sequence[SourceConfig]) -> None:
        there = set(source_names(store))
        self._store = store
        self._sources = {source.name: source for source in sources if source.name in there and source.path.is_dir()}
        self._listings: dict[str, pa.Table] = {}
        self._frames: pa.Table | None = None

    def picture(self, dataset: str, sample_id: str) -> RGB | None:
        """The upright picture, H x W x 3 uint8 RGB; None where there is none any more, or it cannot be decoded.

        Of a video it is the frame that was used, which is another than the one asked for where that showed no face.
        """
        wanted = self._find(dataset, sample_id)
        if wanted is None:
            return None
        source = self._sources[dataset]
        # Settings may have changed since; then rows mean what the listing says of them.
        sampling = source.frames if source.frames.rows == wanted.frame_n else None
        used = self._used(sample_id) if wanted.kind == "video" else None
        decoder = Decoder(source.path, source.limits, sampling, source.rotate)
        try:
            picture, values = decoder.read(wanted)
        except SampleError:
            return None
        if used is None or used == values["frame"]:
            return picture
        nearby = decoder.nearby(wanted, values)
        return next((frame for index, frame in (nearby() if nearby else ()) if index == used), None)

    def file(self, dataset: str, path: str) -> Path | None:
        """Where a path of a source lies on this machine; None where it leaves the source or is not there."""
        source = self._sources.get(dataset)
        if source is None or isinstance(source.path, RemotePath):
            return None
        try:
            root = source.path.resolve()
            found = (root / unescape(path)).resolve()
        except (ValueError, OSError):
            return None
        return found if found.is_relative_to(root) and found.is_file() else None

    def sha256(self, dataset: str, path: str) -> str | None:
        """SHA-256 of the source file as it is now; None where it cannot be read."""
        source = self._sources.get(dataset)
        try:
            is_remote = source is not None and isinstance(source.path, RemotePath)
            found = source.path / unescape(path) if source is not None and is_remote else self.file(dataset, path)
            if found is None:
                return None
            with found.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError, RemoteError):
            return None

    def _used(self, sample_id: str) -> int | None:
        """Decoded index of the frame that the newest crop was cut from; None where there is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._frames is None:
            # Rows that were tried again stand in later units, and outweigh the earlier ones.
            units = units_of(cutter(self._store))[::-1]
            frames = (read_table(manifest_path(folder, unit), ("sample_id", "frame")) for folder, unit in units)
            self._frames = concatenated(frames) if units else pa.table({"sample_id": pa.array([], pa.string())})
        place = pc.index(self._frames["sample_id"], sample_id).as_py()
        return None if place < 0 else self._frames["frame"][place].as_py()

    def _find(self, dataset: str, sample_id: str) -> _Wanted | None:
        if dataset not in self._sources:
            return None
        import pyarrow.compute as pc

        if dataset not in self._listings:
            try:
                self._listings[dataset] = read_sources(self._store, dataset)
            except StoreError:
                del self._sources[dataset]
                return None
        listing = self._listings[dataset]
        place = pc.index(listing["sample_id"], sample_id).as_py()
        if place < 0:
            return None
        row = listing.slice(place, 1).to_pylist()[0]
        return _Wanted(row["path"], row["kind"], row["frame_k"], row["frame_n"], row.get("container"))
