"""The rows that a run plans for: all sources' rows, one after the other, cut into units."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fasgen.errors import ConfigError
from fasgen.manifests.sources_file import blank, write_sources
from fasgen.manifests.tombstones import Retracted
from fasgen.pipeline.engine import Place, SourceSlice
from fasgen.pipeline.graph import canonical_json
from fasgen.sources.config import SourceConfig
from fasgen.sources.scan import Scan, SourceRow, scan

# One encoder for all rows: json.dumps makes a new one for each.
_encode = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True)
class Listing:
    """All rows of all sources.

    Attributes:
        scans: what each source has, by name, in the configuration's order.
        places: where each source lies, by name.
        rows: every row, sources in order; those of people who were taken out of the store have lost all but their place.
        unit_rows: rows of a unit; the last unit may have fewer.
        digest: SHA-256 over every row (path, size, labels; no times) and over what is decoded at all. People who are taken out
            leave it as it was: the work that was done for the others is believed under its plan hash.
        first: number of the first unit; not 0 for rows that are tried again in added units.
        before: units of the whole listing, where these are rows that are tried again.
    """

    scans: Mapping[str, Scan]
    places: Mapping[str, Place]
    rows: tuple[SourceRow, ...]
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

    def slice(self, unit: int) -> SourceSlice:
        """The rows of ``unit`` and the sources they are in."""
        place = unit - self.first
        rows = self.rows[place * self.unit_rows : (place + 1) * self.unit_rows]
        names = {row.dataset for row in rows}
        return SourceSlice(rows, {name: place for name, place in self.places.items() if name in names})

    def write(self, store: Path) -> None:
        """Put every source's rows into the store."""
        for name, found in self.scans.items():
            rows = (blank(row.as_dict()) if is_blank(row) else row.as_dict() for row in found)
            write_sources(store, name, rows, found.unknown)


def is_blank(row: SourceRow) -> bool:
    """Whether the person of a row was taken out."""
    return not row.path


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
    planned = tuple(row for found in scans.values() for row in found)
    digest = hashlib.sha256()
    for source in sources:
        decoded = [source.limits.model_dump(mode="json"), source.frames.model_dump(mode="json"), list(source.rotate.items())]
        digest.update(canonical_json([source.name, *decoded]) + b"\n")
    for row in planned:
        digest.update(_encode(row.as_dict()).encode("ascii") + b"\n")
    if retracted:
        scans = {name: replace(found, rows=tuple(_left(row, retracted) for row in found)) for name, found in scans.items()}
    rows = tuple(row for found in scans.values() for row in found)
    places = {source.name: Place(source.path.absolute(), source.limits, source.frames, source.rotate) for source in sources}
    return Listing(scans, places, rows, unit_rows, digest.hexdigest())


def _left(row: SourceRow, retracted: Retracted) -> SourceRow:
    if not retracted.is_photograph(row.sample_id, row.subject):
        return row
    nothing: dict[str, Any] = {
        "path": "",
        "size": 0,
        "kind": "image",
        "frame_k": None,
        "frame_n": None,
        "subject": None,
        "label": "unknown",
    }
    nothing |= {"attack_type": None, "device": None, "domain": "", "split": None, "licence": ""}
    nothing |= dict.fromkeys(("attack_family", "attack_raw", "session", "lighting", "container", "marks", "marks_format"))
    return replace(row, **nothing)


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
    known = {row.sample_id: row for row in listing.rows}
    gone = [sample for sample in samples if sample not in known]
    if gone:
        raise ConfigError(
            f"sample {gone[0]} is not among the sources any more: mount or restore what they were when it was made"
        )
    digest = hashlib.sha256(canonical_json([listing.digest, list(samples), dict(met)])).hexdigest()
    rows = tuple(known[sample] for sample in samples)
    return replace(listing, rows=rows, digest=digest, first=first, before=listing.units)
