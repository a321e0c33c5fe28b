"""The rows that a run plans for: all sources' rows, one after the other, cut into units."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from pathlib import Path

from fasgen.errors import ConfigError
from fasgen.manifests.sources_file import blank, write_sources
from fasgen.manifests.sources_rows import COLUMNS, FileRows, encode, template
from fasgen.manifests.tombstones import Retracted
from fasgen.pipeline.engine import Place, SourceSlice
from fasgen.pipeline.graph import canonical_json
from fasgen.records import Scalar
from fasgen.sources.config import SourceConfig
from fasgen.sources.rows import LazyRows, SourceFile
from fasgen.sources.scan import Scan, SourceRow, scan


@dataclass(frozen=True)
class Listing:
    """All rows of all sources.

    Attributes:
        scans: what each source has, by name, in the configuration's order.
        places: where each source lies, by name.
        rows: every row, sources in order, made when it is asked for; those of people who were taken out of the store have lost
            all but their place.
        unit_rows: rows of a unit; the last unit may have fewer.
        digest: SHA-256 over every row (path, size, labels; no times) and over what is decoded at all. People who are taken out
            leave it as it was: the work that was done for the others is believed under its plan hash.
        first: number of the first unit; not 0 for rows that are tried again in added units.
        before: units of the whole listing, where these are rows that are tried again.
    """

    scans: Mapping[str, Scan]
    places: Mapping[str, Place]
    rows: Sequence[SourceRow]
    unit_rows: int
    digest: str
    first: int = 0
    before: int = 0

    @property
    def units(self) -> int:
        """Number of units."""
        return -(-len(self.rows) // self.unit_rows)

    @property
    def numbers(self) -> range:
        """Numbers of the units."""
        return range(self.first, self.first + self.units)

    def rows_of(self, unit: int) -> int:
        """Number of rows of ``unit``."""
        return min(self.unit_rows, len(self.rows) - (unit - self.first) * self.unit_rows)

    def sample_ids(self) -> Iterator[str]:
        """Sample ids of all rows, in order."""
        if isinstance(self.rows, _Joined):
            return chain.from_iterable(found.sample_ids() for found in self.scans.values())
        return (row.sample_id for row in self.rows)

    def slice(self, unit: int) -> SourceSlice:
        """The rows of ``unit`` and the sources they are in."""
        place = unit - self.first
        rows = tuple(self.rows[place * self.unit_rows : (place + 1) * self.unit_rows])
        names = {row.dataset for row in rows}
        return SourceSlice(rows, {name: place for name, place in self.places.items() if name in names})

    def write(self, store: Path) -> None:
        """Put every source's rows into the store."""
        for name, found in self.scans.items():
            write_sources(store, name, _ByFile(found), found.unknown)


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


def take(sources: Sequence[SourceConfig], unit_rows: int, retracted: Retracted | None = None) -> Listing:
    """Scan ``sources``; no file is opened.

    Args:
        sources: the folders.
        unit_rows: rows of a unit.
        retracted: people whose files are not to be touched.

    Raises:
        ConfigError: there is no source, or two have the same name.
        SourceError: a source cannot be used.
    """
    if not sources:
        raise ConfigError("no source is configured; set sources to a list with at least a name and a path")
    scans: dict[str, Scan] = {}
    for source in sources:
        if source.name in scans:
            raise ConfigError(f"two sources are called {source.name!r}; a name is part of every sample's identity: rename one")
        scans[source.name] = scan(source)
    digest = hashlib.sha256()
    for source in sources:
        decoded = [source.limits.model_dump(mode="json"), source.frames.model_dump(mode="json"), list(source.rotate.items())]
        digest.update(canonical_json([source.name, *decoded]) + b"\n")
    for found in scans.values():
        for some in _texts(found.files):
            digest.update(some)
    if retracted:
        scans = {name: replace(found, taken_out=retracted.is_photograph) for name, found in scans.items()}
    places = {source.name: Place(source.path.absolute(), source.limits, source.frames, source.rotate) for source in sources}
    return Listing(scans, places, _Joined(scans.values()), unit_rows, digest.hexdigest())


def _texts(files: Iterable[SourceFile]) -> Iterator[bytes]:
    """The rows of each file as lines of canonical JSON."""
    names = sorted({*(column.name for column in COLUMNS)})
    templates: dict[int, tuple[str, ...]] = {}
    for file in files:
        cut = templates.get(id(file.alike))
        if cut is None:
            cut = templates[id(file.alike)] = template(names, file.alike, lambda name: f'"{name}":')
        # In alphabetical order: frame_k, marks, path, sample_id, size.
        start, before_marks, before_path, before_sample, before_size, end = cut
        head = f"{before_marks}{encode(file.marks)}{before_path}{encode(file.path)}{before_sample}"
        tail = f"{before_size}{file.size}{end}}}\n"
        pairs = zip(file.frames, file.sample_ids(), strict=True)
        yield "".join(f'{{{start}{encode(frame)}{head}"{sample}"{tail}' for frame, sample in pairs).encode("ascii")


def only(listing: Listing, samples: Sequence[str], first: int, met: Mapping[str, str]) -> Listing:
    """Some rows of a listing, as units that begin at ``first``.

    Args:
        listing: the whole listing.
        samples: ids of the rows.
        first: number of the first unit.
        met: plan hash by stage of the generations that the rows' guides are from; they enter the digest.

    Raises:
        ConfigError: a row is not in the listing any more.
    """
    wanted = set(samples)
    places = {sample: place for place, sample in enumerate(listing.sample_ids()) if sample in wanted}
    gone = [sample for sample in samples if sample not in places]
    if gone:
        raise ConfigError(
            f"sample {gone[0]} is not among the sources any more: mount or restore what they were when it was made"
        )
    digest = hashlib.sha256(canonical_json([listing.digest, list(samples), dict(met)])).hexdigest()
    rows = tuple(listing.rows[places[sample]] for sample in samples)
    return replace(listing, rows=rows, digest=digest, first=first, before=listing.units)
