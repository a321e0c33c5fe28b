"""The rows that a run plans for: all sources' rows, each in its unit and at its place there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import ConfigError
from fasgen.manifests.places_file import Places, append_rows, begun_with, no_places, read_places, rows_digest, write_seen
from fasgen.manifests.sources_file import blank, write_sources
from fasgen.manifests.sources_rows import FileRows
from fasgen.manifests.tombstones import Retracted, content_in, content_of
from fasgen.pipeline.engine import Decoding, SourceSlice
from fasgen.pipeline.graph import ascii_json
from fasgen.pipeline.placing import Digests, Growth, Placed, place
from fasgen.records import Scalar
from fasgen.remote.path import RemotePath
from fasgen.sources.config import SourceConfig
from fasgen.sources.paths import unescape
from fasgen.sources.rows import LazyRows, MadeRows, Scan, SourceRow
from fasgen.sources.scan import scan

_DIGEST = 16
_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Listing:
    """All rows of all sources.

    Attributes:
        scans: what each source has, by name, in the configuration's order.
        decoding: how each source is decoded, and where it lies, by name.
        rows: every row at its place, made when it is asked for; those whose files are gone, and those of people who were taken
            out of the store, have lost all but their place.
        ids: sample id of each, as a number.
        digests: of each, what it is: path, size, time of change (or digest), labels, and what is decoded of it.
        cut: first row of every unit, and the one behind its last; rows of sources that are not configured any more are in none.
        gone: places of the rows whose files are gone, those of sources that are not configured any more among them.
        unit_rows: rows of a unit; the last unit of a source in a growth may have fewer.
        growth: what has changed since the last run.
        free: number from which on no unit is.
        before: units of the whole listing, where these are rows that are tried again.
        earlier: units that hold such rows already.
    """

    scans: Mapping[str, Scan]
    decoding: Mapping[str, Decoding]
    rows: Sequence[SourceRow]
    ids: NDArray[np.uint64]
    digests: Digests
    cut: Mapping[int, tuple[int, int]]
    gone: frozenset[int]
    unit_rows: int
    growth: Growth
    record: _Record
    free: int
    before: tuple[int, ...] = ()
    earlier: tuple[int, ...] = ()

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.cut)

    @property
    def styles(self) -> frozenset[str]:
        """Style keys of all spoof files."""
        alike = {id(file.alike): file.alike for found in self.scans.values() for file in found.files}
        return frozenset(str(one["domain"]) for one in alike.values() if one["label"] == "spoof")

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the units, ascending."""
        return tuple(self.cut)

    @property
    def first(self) -> int:
        """Number of the first unit."""
        return min(self.cut, default=0)

    def rows_of(self, unit: int) -> int:
        """Number of rows of ``unit``."""
        start, stop = self.cut[unit]
        return stop - start

    def sample_ids(self) -> Iterator[str]:
        """Sample ids of all rows, in order."""
        return (f"{number:016x}" for number in self.ids.tolist())

    def find(self, sample_id: str) -> tuple[int, int] | None:
        """Unit of a sample and its place there; ``None`` if it is not among the rows."""
        if not _ID.fullmatch(sample_id):
            return None
        found = np.flatnonzero(self.ids == np.uint64(int(sample_id, 16)))
        if not len(found):
            return None
        at = int(found[0])
        return next((unit, at - start) for unit, (start, stop) in self.cut.items() if start <= at < stop)

    def inputs(self, unit: int) -> str:
        """Digest over all rows of ``unit``: what a unit that is made of them is believed by."""
        start, stop = self.cut[unit]
        return rows_digest(self.ids[start:stop], self.digests[start:stop])

    def slice(self, unit: int) -> SourceSlice:
        """The rows of ``unit`` and the sources they are in."""
        return self._sliced(range(*self.cut[unit]))

    def some(self, units: Sequence[int], count: int) -> SourceSlice:
        """At most ``count`` rows of ``units``, from all over them at equal distances."""
        places = [at for unit in units for at in range(*self.cut[unit])]
        chosen = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int))
        return self._sliced([places[number] for number in chosen.tolist()])

    def _sliced(self, at: Sequence[int]) -> SourceSlice:
        rows = tuple(self.rows[at.start : at.stop]) if isinstance(at, range) else tuple(self.rows[place] for place in at)
        gone = frozenset(position for position, place in enumerate(at) if place in self.gone)
        names = {row.dataset for position, row in enumerate(rows) if position not in gone}
        return SourceSlice(rows, {name: how for name, how in self.decoding.items() if name in names}, gone)

    def write(self, store: Path) -> None:
        """Put places and every source's rows into the store."""
        self.record.write(store, self.unit_rows, self)
        self.write_sources(store)

    def write_sources(self, store: Path) -> None:
        """Put every source's rows into the store, and what was read of it; rows get their places when a run is begun."""
        for name, found in self.scans.items():
            write_sources(store, name, _ByFile(found), found.unknown, found.reading.document())


@dataclass(frozen=True)
class _Record:
    """What the store knew of the rows before, and what comes behind."""

    before: Places
    placed: Placed
    sources: NDArray[np.int64]

    def write(self, store: Path, unit_rows: int, listing: Listing) -> None:
        placed = self.placed
        if placed.first is not None:
            new = placed.ids[placed.known :]
            which = self.sources[placed.at[placed.known :]]
            append_rows(store, unit_rows, self.before, placed.first, new, list(listing.scans), which)
        if placed.first is not None or not np.array_equal(placed.digests, self.before.seen):
            write_seen(store, unit_rows, placed.digests)


class _Joined(LazyRows):
    """The rows of several sources, one source after the other."""

    def __init__(self, scans: Iterable[Scan]) -> None:
        self._scans = tuple(scans)
        self._found = tuple(accumulate(map(len, self._scans)))

    @property
    def _ends(self) -> Sequence[int]:
        return self._found

    def _in(self, part: int, place: int) -> SourceRow:
        return self._scans[part][place]

    def __iter__(self) -> Iterator[SourceRow]:
        return chain.from_iterable(self._scans)


class _Placed(MadeRows):
    """Rows at their places; where there is no file any more, an empty one."""

    def __init__(self, joined: _Joined, placed: Placed, before: Places) -> None:
        self._joined, self._at, self._ids, self._before = joined, placed.at, placed.ids, before

    def __len__(self) -> int:
        return len(self._at)

    def _row(self, at: int) -> SourceRow:
        number = int(self._at[at])
        return self._joined[number] if number >= 0 else SourceRow.blank(f"{self._ids[at]:016x}", self._dataset(at))

    def _dataset(self, at: int) -> str:
        return self._before.names[int(self._before.sources[at])]


class _ByFile:
    """A source's rows as the store takes them, as often as they are asked for."""

    def __init__(self, found: Scan) -> None:
        self._found = found

    def __iter__(self) -> Iterator[FileRows | Mapping[str, Scalar]]:
        taken_out = self._found.taken_out
        for file in self._found.files:
            ids = file.sample_ids()
            if taken_out is not None and any(taken_out(one, file.alike["subject"]) for one in ids):
                for frame in file.frames:
                    row = file.row(frame)
                    values = row.as_dict()
                    yield blank(values) if taken_out(row.sample_id, row.subject) else values
            else:
                yield FileRows(file.alike, file.path, file.size, file.marks, ids, file.frames)


SHARED, SMALLEST, LARGEST = 16, 16, 256
"""Units that there should be at least, and rows of a unit: of fewer, batches are mostly empty; of more, a retry costs much."""


def fitting(rows: int) -> int:
    """Rows of a unit that suit a store which begins with so many rows: a power of two.

    It hangs on nothing else: a store has the same bytes however many workers made it.
    """
    return min(LARGEST, max(SMALLEST, 1 << max(0, (rows // SHARED).bit_length() - 1)))


def take(
    sources: Sequence[SourceConfig],
    unit_rows: int | None,
    retracted: Retracted | None = None,
    store: Path | None = None,
    after: int = 0,
) -> Listing:
    """Scan ``sources`` and put their rows to their places; no file is opened, unless a source asks for digests.

    Args:
        sources: the folders.
        unit_rows: rows of a unit; ``None``: what the store was begun with, else what suits the number of rows.
        retracted: people whose files are not to be touched.
        store: the store that knows the places of rows that it has met; nothing is written.
        after: number below which new units may not begin.

    Raises:
        ConfigError: there is no source, or two have the same name.
        SourceError: a source cannot be used.
        StoreError: the record of places is damaged.
    """
    if not sources:
        raise ConfigError("no source is configured; set sources to a list with at least a name and a path")
    scans: dict[str, Scan] = {}
    for source in sources:
        if source.name in scans:
            raise ConfigError(f"two sources are called {source.name!r}; a name is part of every sample's identity: rename one")
        scans[source.name] = scan(source)
    ids, digests = _digested(sources, scans)
    if retracted:
        retracted = Retracted(retracted.tombstones, _copies(sources, scans, retracted.contents))
        scans = {name: replace(found, taken_out=retracted.is_photograph) for name, found in scans.items()}
    known = {sample for one in retracted.tombstones for sample in one.samples} if retracted else set()
    frozen = np.array([int(sample, 16) for sample in known], np.uint64)
    unit_rows = unit_rows or (begun_with(store) if store else None) or fitting(len(ids))
    before = read_places(store, unit_rows) if store else no_places()
    which = np.repeat(np.arange(len(scans)), [len(found) for found in scans.values()])
    placed = place(ids, digests, which, list(scans), before, unit_rows, after, frozen)
    gone = (placed.at < 0) & ~np.isin(placed.ids, frozen)
    decoding = {
        source.name: Decoding(source.path.absolute(), source.limits, source.frames, source.rotate) for source in sources
    }
    return Listing(
        scans,
        decoding,
        _Placed(_Joined(scans.values()), placed, before),
        placed.ids,
        placed.digests,
        placed.units,
        frozenset(np.flatnonzero(gone).tolist()),
        unit_rows,
        placed.growth,
        _Record(before, placed, which),
        placed.free,
    )


def _digested(sources: Sequence[SourceConfig], scans: Mapping[str, Scan]) -> tuple[NDArray[np.uint64], Digests]:
    """Sample id and digest of every row, in order."""
    ids: list[bytes] = []
    digests: list[bytes] = []
    for source in sources:
        settings = [source.limits.model_dump(mode="json"), list(source.rotate.items())]
        frames = source.frames.model_dump(mode="json")
        begun: dict[int, hashlib.blake2b] = {}
        for file in scans[source.name].files:
            start = begun.get(id(file.alike))
            if start is None:
                # Stills do not hang on which frames of a video are meant.
                decoded = [settings, frames if file.alike["frame_n"] is not None else None, file.alike]
                start = begun[id(file.alike)] = hashlib.blake2b(ascii_json(decoded), digest_size=_DIGEST)
            own = start.copy()
            own.update(f"{file.path}\0{file.size}\0{file.stamp}\0{file.marks}".encode())
            ids.append(bytes.fromhex("".join(file.sample_ids())))
            if file.alike["frame_n"] is None:
                digests.append(own.digest())
            else:
                for frame in file.frames:
                    one = own.copy()
                    one.update(f"\0{frame}".encode())
                    digests.append(one.digest())
    numbers = np.frombuffer(b"".join(ids), ">u8").astype(np.uint64)
    return numbers, np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(-1, 2)


def _copies(sources: Sequence[SourceConfig], scans: Mapping[str, Scan], contents: Set[str]) -> Iterator[str]:
    """Sample ids of files that hold one of ``contents``; only files of the same length are read."""
    sizes = {int(content.partition(":")[0]) for content in contents}
    for source in sources:
        for file in scans[source.name].files:
            if file.size in sizes and _content(source.path / unescape(file.path)) in contents:
                yield from file.sample_ids()


def _content(file: Path | RemotePath) -> str:
    if not isinstance(file, RemotePath):
        return content_of(file)
    with file.open("rb") as stream:
        return content_in(stream)


def only(listing: Listing, samples: Sequence[str], first: int, earlier: Sequence[int]) -> Listing:
    """Some rows of a listing, as units that begin at ``first``.

    Args:
        listing: the whole listing.
        samples: ids of the rows.
        first: number of the first unit.
        earlier: units that hold them already.

    Raises:
        ConfigError: the listing has no such row, and never had.
    """
    wanted = set(samples)
    places = {sample: at for at, sample in enumerate(listing.sample_ids()) if sample in wanted}
    lost = [sample for sample in samples if sample not in places]
    if lost:
        raise ConfigError(f"sample {lost[0]} is not among the sources: set them to what they were when it was made")
    at = [places[sample] for sample in samples]
    cut = {
        first + number: (start, min(start + listing.unit_rows, len(at)))
        for number, start in enumerate(range(0, len(at), listing.unit_rows))
    }
    return replace(
        listing,
        rows=tuple(listing.rows[place] for place in at),
        ids=listing.ids[at],
        digests=listing.digests[at],
        cut=cut,
        gone=frozenset(number for number, place in enumerate(at) if place in listing.gone),
        before=listing.numbers,
        earlier=tuple(earlier),
    )
