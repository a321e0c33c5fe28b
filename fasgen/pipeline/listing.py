"""The rows that a run plans for: all sources' rows, each in its unit and at its place there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import ConfigError
from fasgen.manifests.places_file import Places, append_rows, no_places, read_places, write_seen
from fasgen.manifests.plan_file import FORMAT
from fasgen.manifests.sources_file import blank, write_sources
from fasgen.manifests.sources_rows import FileRows
from fasgen.manifests.tombstones import Retracted
from fasgen.pipeline.engine import Place, SourceSlice
from fasgen.pipeline.graph import canonical_json
from fasgen.pipeline.placing import Digests, Growth, Placed, place
from fasgen.records import Scalar
from fasgen.sources.config import SourceConfig
from fasgen.sources.rows import LazyRows
from fasgen.sources.scan import Scan, SourceRow, scan

_DIGEST = 16
_ID = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Listing:
    """All rows of all sources.

    Attributes:
        scans: what each source has, by name, in the configuration's order.
        places: where each source lies, by name.
        rows: every row at its place, made when it is asked for; those whose files are gone, and those of people who were taken
            out of the store, have lost all but their place.
        ids: sample id of each, as a number.
        digests: of each, what it is: path, size, time of change (or digest), labels, and what is decoded of it.
        cut: first row of every unit, and the one behind its last.
        gone: places of the rows whose files are gone.
        unit_rows: rows of a unit; the last unit of a growth may have fewer.
        growth: what has changed since the last run.
        basis: what stands for the rows in plan hashes: nothing of the rows themselves, but for those that are tried again in
            added units.
        before: units of the whole listing, where these are rows that are tried again.
    """

    scans: Mapping[str, Scan]
    places: Mapping[str, Place]
    rows: Sequence[SourceRow]
    ids: NDArray[np.uint64]
    digests: Digests
    cut: Mapping[int, tuple[int, int]]
    gone: frozenset[int]
    unit_rows: int
    growth: Growth
    record: _Record
    basis: str = FORMAT
    before: tuple[int, ...] = ()

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
        return hashlib.sha256(self.ids[start:stop].tobytes() + self.digests[start:stop].tobytes()).hexdigest()

    def slice(self, unit: int) -> SourceSlice:
        """The rows of ``unit`` and the sources they are in."""
        start, stop = self.cut[unit]
        rows = tuple(self.rows[start:stop])
        gone = frozenset(at - start for at in range(start, stop) if at in self.gone)
        names = {row.dataset for position, row in enumerate(rows) if position not in gone}
        return SourceSlice(rows, {name: there for name, there in self.places.items() if name in names}, gone)

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

    def write(self, store: Path, unit_rows: int, listing: Listing) -> None:
        placed = self.placed
        if placed.first is not None:
            ends = np.cumsum([len(found) for found in listing.scans.values()])
            which = np.searchsorted(ends, placed.at[placed.known :], side="right")
            new = placed.ids[placed.known :]
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


class _Placed(Sequence[SourceRow]):
    """Rows at their places; where there is no file any more, an empty one."""

    def __init__(self, joined: _Joined, placed: Placed, before: Places) -> None:
        self._joined, self._at, self._ids, self._before = joined, placed.at, placed.ids, before

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SourceRow, ...]: ...
    def __getitem__(self, index: int | slice) -> SourceRow | tuple[SourceRow, ...]:
        if isinstance(index, slice):
            return tuple(map(self._row, range(len(self))[index]))
        return self._row(range(len(self))[index])

    def _row(self, at: int) -> SourceRow:
        number = int(self._at[at])
        return self._joined[number] if number >= 0 else SourceRow.blank(f"{self._ids[at]:016x}", self._before.dataset(at))


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


def take(
    sources: Sequence[SourceConfig],
    unit_rows: int,
    retracted: Retracted | None = None,
    store: Path | None = None,
    after: int = 0,
) -> Listing:
    """Scan ``sources`` and put their rows to their places; no file is opened, unless a source asks for digests.

    Args:
        sources: the folders.
        unit_rows: rows of a unit.
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
        scans = {name: replace(found, taken_out=retracted.is_photograph) for name, found in scans.items()}
    frozen = np.array([int(sample, 16) for sample in retracted.samples] if retracted else [], np.uint64)
    before = read_places(store, unit_rows) if store else no_places()
    placed = place(ids, digests, before, unit_rows, after, frozen)
    gone = (placed.at < 0) & ~np.isin(placed.ids, frozen)
    places = {source.name: Place(source.path.absolute(), source.limits, source.frames, source.rotate) for source in sources}
    return Listing(
        scans,
        places,
        _Placed(_Joined(scans.values()), placed, before),
        placed.ids,
        placed.digests,
        placed.units,
        frozenset(np.flatnonzero(gone).tolist()),
        unit_rows,
        placed.growth,
        _Record(before, placed),
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
                start = begun[id(file.alike)] = hashlib.blake2b(canonical_json(decoded), digest_size=_DIGEST)
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


def only(listing: Listing, samples: Sequence[str], first: int, met: Mapping[str, str]) -> Listing:
    """Some rows of a listing, as units that begin at ``first``.

    Args:
        listing: the whole listing.
        samples: ids of the rows.
        first: number of the first unit.
        met: plan hash by stage of the generations that the rows' guides are from; they enter the plan hashes.

    Raises:
        ConfigError: a row is not in the listing any more.
    """
    wanted = set(samples)
    places = {sample: at for at, sample in enumerate(listing.sample_ids()) if sample in wanted and at not in listing.gone}
    lost = [sample for sample in samples if sample not in places]
    if lost:
        raise ConfigError(
            f"sample {lost[0]} is not among the sources any more: mount or restore what they were when it was made"
        )
    basis = hashlib.sha256(canonical_json([listing.basis, list(samples), dict(met)])).hexdigest()
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
        gone=frozenset(),
        basis=basis,
        before=listing.numbers,
    )
