"""The rows that a run plans for: all sources' rows, one after the other, cut into units."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fasgen.errors import ConfigError
from fasgen.manifests.sources_file import write_sources
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
        rows: every row, sources in order.
        unit_rows: rows of a unit; the last unit may have fewer.
        digest: SHA-256 over every row (path, size, labels; no times) and over what is decoded at all.
    """

    scans: Mapping[str, Scan]
    places: Mapping[str, Place]
    rows: tuple[SourceRow, ...]
    unit_rows: int
    digest: str

    @property
    def units(self) -> int:
        """Number of units."""
        return -(-len(self.rows) // self.unit_rows)

    def rows_of(self, unit: int) -> int:
        """Number of rows of ``unit``."""
        return min(self.unit_rows, len(self.rows) - unit * self.unit_rows)

    def slice(self, unit: int) -> SourceSlice:
        """The rows of ``unit`` and the sources they are in."""
        rows = self.rows[unit * self.unit_rows : (unit + 1) * self.unit_rows]
        names = {row.dataset for row in rows}
        return SourceSlice(rows, {name: place for name, place in self.places.items() if name in names})

    def write(self, store: Path) -> None:
        """Put every source's rows into the store."""
        for name, found in self.scans.items():
            write_sources(store, name, (row.as_dict() for row in found), found.unknown)


def take(sources: Sequence[SourceConfig], unit_rows: int) -> Listing:
    """Scan ``sources``; no file is opened.

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
    rows = tuple(row for found in scans.values() for row in found)
    digest = hashlib.sha256()
    for source in sources:
        digest.update(canonical_json([source.name, source.limits.model_dump(mode="json")]) + b"\n")
    for row in rows:
        digest.update(_encode(row.as_dict()).encode("ascii") + b"\n")
    places = {source.name: Place(source.path.absolute(), source.limits) for source in sources}
    return Listing(scans, places, rows, unit_rows, digest.hexdigest())
