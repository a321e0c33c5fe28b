"""What there is to ship, in lots: files that count together, each with the digest that it was committed with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fasgen.audit.own_files import beside, strange
from fasgen.errors import StoreError
from fasgen.manifests.names import OURS
from fasgen.manifests.plan_file import Generation, generations, is_as_written, latest, plan_path, read_plan
from fasgen.manifests.report.croissant import CROISSANT
from fasgen.manifests.report.delivery import CARD, INDEX, is_whole_card, read_index
from fasgen.manifests.roster_file import rosters
from fasgen.manifests.sources_file import LISTING, source_names
from fasgen.manifests.spare import FOLDER
from fasgen.manifests.tombstones import read_tombstones
from fasgen.manifests.unit import (
    UnitFacts,
    committed_units,
    digests_path,
    group_path,
    manifest_path,
    timing_path,
    unit_facts,
)
from fasgen.seen import NETWORKS


class Parcel(NamedTuple):
    """One file.

    Attributes:
        name: path in the store, ``/`` between its parts.
        size: bytes.
        digest: SHA-256 that it was committed with, in hex; empty where nothing says it.
        content: its bytes, where they have been read already.
    """

    name: str
    size: int
    digest: str = ""
    content: bytes | None = None


@dataclass(frozen=True)
class Lot:
    """Files that count together.

    Attributes:
        parcels: in the order in which they have to be written; the last makes the lot count.
        witness: name of the one that has the digests of the others, or is the only one: where the target has the same bytes
            under this name, and all sizes are the same, it has the lot.
        group: what the names of those of its files begin with that may be other ones at the target; empty for none.
    """

    parcels: tuple[Parcel, ...]
    witness: str
    group: str = ""


class Damaged(NamedTuple):
    """A file that has other bytes than were committed: what hangs on it is not shipped.

    Attributes:
        name: path in the store.
        why: what is wrong with it.
    """

    name: str
    why: str


class Cargo:
    """What a store has to ship, whole or the deliveries alone; reads names, sizes and small files.

    Args:
        store: the store, held by its lock.
        shards: leave out all but what trainers read: the current generations that ship shards.

    Raises:
        StoreError: there is no store, its record of what is current is damaged, or somebody is half taken out.
    """

    def __init__(self, store: Path, shards: bool) -> None:
        self.store, self.shards = store, shards
        self.damaged: list[Damaged] = []
        self._plans: dict[Path, Mapping[str, Any]] = {}
        current = {one.folder for one in latest(store)}
        if not current:
            raise StoreError(f"{store}: has nothing to ship yet: make it with `fasgen run`")
        if any(not one.done for one in read_tombstones(store)):
            raise StoreError(f"{store}: somebody is half taken out: finish it by giving `fasgen retract` again, then ship")
        self.generations = [one for one in self._in_order() if not shards or (one.folder in current and self._ships(one))]
        if shards and not self.generations:
            raise StoreError(f"{store}: has no shards yet: make them with `fasgen run`, or ship the whole with --what store")

    def rows(self) -> Iterator[Lot]:
        """The records of which row lies where: they tell this store from others."""
        for path in sorted((self.store / "rows").glob("*/*.parquet")):
            if OURS.fullmatch(self._name(path)):
                yield from self._with_digest(path)

    def before(self) -> Iterator[Lot]:
        """What stands above the generations: listings, additions, tombstones, what weights have seen."""
        if self.shards:
            return
        for path in sorted((self.store / "rows").glob("*/seen.bin")):
            if OURS.fullmatch(self._name(path)):
                yield self._single(path)
        for name in source_names(self.store):
            yield from self._listing(self.store / "sources" / name)
        for path in beside(self.store):
            yield self._single(path)

    def units(self, made: Generation) -> Iterator[Lot]:
        """The committed units of a generation, and before them what they follow."""
        for path in rosters(made.folder):
            yield from self._with_digest(path)
        for unit in committed_units(made.folder):
            lot = self._unit(made.folder, unit)
            if lot is not None:
                yield lot

    def behind(self, made: Generation) -> Iterator[Lot]:
        """What names the units of a generation: card, networks and index of a delivery, and its plans, its own last."""
        folder = made.folder
        for name in (CARD, CROISSANT, NETWORKS, INDEX):
            if (folder / name).is_file():
                data = (folder / name).read_bytes()
                if name in (CROISSANT, NETWORKS) or (is_whole_card(data) if name == CARD else read_index(data) is not None):
                    yield self._single(folder / name, data)
                else:
                    self._refuse(folder / name)
        plans = (path for path in folder.glob("plan-*.json") if OURS.fullmatch(self._name(path)))
        numbers = sorted(int(path.stem.rpartition("-")[2]) for path in plans)
        for first in (*numbers, 0):
            if is_as_written(folder, first):
                yield self._single(plan_path(folder, first))
            else:
                self._refuse(plan_path(folder, first))

    def left_out(self) -> list[tuple[str, str]]:
        """Names of the store that are not shipped, and why."""
        reasons = {
            "runs": "the history of runs, and reports: nothing hangs on it",
            FOLDER: "second copies of records: `fasgen run` writes them there",
            "believed.json": "a note that spares a plan some looking",
        }
        found = [(name, why) for name, why in reasons.items() if (self.store / name).exists()]
        if not self.shards and (others := [self._name(path) for path in strange(self.store)]):
            more = f" and {len(others) - 1} more" if others[1:] else ""
            found.append((f"{others[0]}{more}", "not as fasgen writes them: somebody else's, or damaged"))
        if self.shards:
            kept = {made.folder for made in self.generations}
            others = [made.folder.name for made in generations(self.store) if made.folder not in kept]
            found += [(", ".join(others), "no current delivery: --what store takes all")] if others else []
        return found

    def above(self, made: Generation) -> list[str]:
        """Folders of the generations that one is made from."""
        return [f"{stage}-{str(digest)[:8]}" for stage, digest in dict(self._plans[made.folder].get("upstream") or {}).items()]

    def draws(self, made: Generation) -> bool:
        """Whether a generation has a roster, its own or that of one that it is made from."""
        above = [one for one in self.generations if one.folder.name in self.above(made)]
        return bool(rosters(made.folder)) or any(self.draws(one) for one in above)

    def _in_order(self) -> list[Generation]:
        """All generations, those that others are made from before them."""
        found = {made.folder.name: made for made in generations(self.store)}
        ordered: dict[str, Generation] = {}

        def place(name: str) -> None:
            if name in ordered or name not in found:
                return
            made = found.pop(name)
            self._plans[made.folder] = read_plan(made.folder)
            for one in sorted(self.above(made)):
                place(one)
            ordered[name] = made

        for name in list(found):
            place(name)
        return list(ordered.values())

    def _ships(self, made: Generation) -> bool:
        return bool(self._plans[made.folder].get("shipped"))

    def _unit(self, folder: Path, unit: int) -> Lot | None:
        manifest, listing = manifest_path(folder, unit), digests_path(folder, unit)
        try:
            said = listing.read_bytes()
            expected = {name: digest for digest, _, name in (line.partition("  ") for line in said.decode().splitlines())}
            facts: UnitFacts = unit_facts(folder, unit)
            if expected != {manifest.name: expected.get(manifest.name), **facts.digests}:
                raise StoreError("manifest and digests do not name the same files")
            names = [*facts.digests, manifest.name]
            # Manifests may be anybody's: no name may lead out of the store.
            if bad := next((name for name in names if not OURS.fullmatch(f"{folder.name}/{name}") or ".." in name), ""):
                raise StoreError(f"names the file {bad!r}, which is no name of a unit's file")
            parcels = [Parcel(self._name(folder / name), (folder / name).stat().st_size, expected[name]) for name in names]
        except (OSError, UnicodeDecodeError, KeyError, StoreError) as error:
            self._refuse(manifest, str(error))
            return None
        if timing_path(folder, unit).is_file():
            parcels.insert(0, Parcel(self._name(timing_path(folder, unit)), timing_path(folder, unit).stat().st_size))
        parcels.insert(-1, self._read(listing, said))
        group = self._name(group_path(folder, unit)) + "/"
        return Lot(tuple(parcels), self._name(listing), group)

    def _listing(self, folder: Path) -> Iterator[Lot]:
        listing = folder / LISTING
        try:
            said = listing.read_bytes()
            lines = [line.partition("  ") for line in said.decode("ascii").splitlines()]
            parcels = [Parcel(self._name(folder / name), (folder / name).stat().st_size, digest) for digest, _, name in lines]
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(listing, str(error))
            return
        yield Lot((*parcels, self._read(listing, said)), self._name(listing), self._name(folder) + "/")

    def _with_digest(self, path: Path) -> Iterator[Lot]:
        """A parquet file, and the digest beside it."""
        beside = path.with_suffix(".sha256")
        try:
            said = beside.read_bytes()
            digest, _, name = said.decode("ascii").rstrip("\n").partition("  ")
            if name != path.name:
                raise StoreError("the digest beside it is of another file")
            parcel = Parcel(self._name(path), path.stat().st_size, digest)
        except (OSError, UnicodeDecodeError, StoreError) as error:
            self._refuse(path, str(error))
            return
        yield Lot((self._read(beside, said), parcel), self._name(beside))

    def _single(self, path: Path, data: bytes | None = None) -> Lot:
        parcel = self._read(path, path.read_bytes() if data is None else data)
        return Lot((parcel,), parcel.name)

    def _read(self, path: Path, data: bytes) -> Parcel:
        return Parcel(self._name(path), len(data), hashlib.sha256(data).hexdigest(), data)

    def _refuse(self, path: Path, why: str = "") -> None:
        self.damaged.append(Damaged(self._name(path), why or "has other bytes than were written"))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.store).as_posix()
