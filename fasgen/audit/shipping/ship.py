"""The way of a store to a target, in an order in which what is there is a whole store at every moment.

First the mark of the format (a record in which nothing is current), then the record of places, by which a store is known again,
then listings; then, generation by generation in the order of the flow, each unit's payload before its manifest, and behind the
units what names them: index and plan. Which generations are current comes last of all. Where units have changed since, they and
all that is made of them lose their manifests at the target first, downstream before upstream. Whoever ends this in between
leaves a store that has less in it; the next call finds what is there.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

from fasgen.audit.own_files import holds_own
from fasgen.audit.shipping.lots import Cargo, Damaged, Lot, Parcel
from fasgen.audit.shipping.target import Target
from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import file_digest
from fasgen.manifests.attached_files import FOLDER as ATTACHED
from fasgen.manifests.attached_files import ORIGIN, is_origin
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.names import OURS
from fasgen.manifests.plan_file import CURRENT, Listed, decode_current, encode_current, read_current
from fasgen.manifests.plan_file import NAME as PLAN
from fasgen.manifests.report.delivery import CARD, INDEX
from fasgen.manifests.spare import FOLDER
from fasgen.selection.row_sets import FOLDER as ROW_SETS

_LOCK = "runs/driver.lock"
_GROUP = re.compile(r"sources/[^/]+/|[^/]+/\d{5,}\.zarr/")


@dataclass
class Shipped:
    """What became of it.

    Attributes:
        files: sent.
        bytes: sent.
        kept_files: that were there.
        kept_bytes: that were there.
        damaged: what was not sent, since it has other bytes than were committed.
        left_out: names of the store that are never sent, and why.
        more: names of files of a store that the target has and the store has not.
        removed: how many of them were removed.
        seconds: taken.
    """

    files: int = 0
    bytes: int = 0
    kept_files: int = 0
    kept_bytes: int = 0
    damaged: list[Damaged] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    removed: int = 0
    seconds: float = 0.0


def ship(
    store: Path,
    target: Target,
    *,
    shards: bool = False,
    delete: bool = False,
    told: Callable[[Shipped], None] = lambda done: None,
) -> Shipped:
    """Copy a store, or its shards alone, while no driver works on it; go on where the last call ended.

    Every file is compared with the digest that it was committed with before it counts at the target. What the target has under
    the same digest and size is not sent again; its bytes are not read (`fasgen verify` of a copy does that). A unit that was
    made again since loses its manifest at the target first.

    Args:
        store: the store.
        target: where to; empty, or a store that this one was shipped to before.
        shards: the current deliveries alone.
        delete: remove from the target what files of a store it has that this store has not.
        told: called with what was done so far, whenever a file was sent or found there.

    Raises:
        StoreError: the target holds another store or other things, the store cannot be held, or a file cannot be written.
    """
    begun = time.monotonic()
    with StoreLock(store):
        voyage = _Voyage(Cargo(store, shards), target, told)
        done = voyage.sail(delete)
    done.seconds = time.monotonic() - begun
    return done


class _Voyage:
    def __init__(self, cargo: Cargo, target: Target, told: Callable[[Shipped], None]) -> None:
        self._cargo, self._target, self._told = cargo, target, told
        self._there: dict[str, int] = {}
        self._done = Shipped()
        self._lock = threading.Lock()
        self._known: dict[str, int] = {}
        self._groups: dict[str, list[str]] = {}
        self._same: set[str] = set()
        self._changed: set[str] = set()
        self._bad: set[str] = set()

    def sail(self, delete: bool) -> Shipped:
        self._there = self._target.sizes()
        current = self._welcome()
        self._target.tidy()
        # A spare that is older than its file would take its place.
        for name in [name for name in self._there if name.startswith(f"{FOLDER}/")]:
            self._target.remove(name)
            del self._there[name]
        for name in self._there:
            if match := _GROUP.match(name):
                self._groups.setdefault(match[0], []).append(name)
        self._all(self._cargo.rows())
        self._all(self._cargo.before())
        self._take_back()
        whole = []
        for made in self._cargo.generations:
            lost = len(self._cargo.damaged)
            self._all(self._cargo.units(made))
            behind = list(self._cargo.behind(made))
            # An index without one of its shards would promise what is not there.
            if len(self._cargo.damaged) > lost:
                behind = [lot for lot in behind if not lot.witness.endswith((CARD, INDEX))]
            for lot in behind:
                self._one(lot)
            whole.append(made.folder.name)
        self._finish(current, whole)
        self._rest(delete)
        self._done.damaged, self._done.left_out = self._cargo.damaged, self._cargo.left_out()
        return self._done

    def _welcome(self) -> dict[str, list[Listed]]:
        """Refuse a target that is not empty and not this store's; mark one that is empty."""
        there = self._there
        if not there:
            self._target.write(CURRENT, encode_current({}))
            self._there[CURRENT] = len(encode_current({}))
            return {}
        if CURRENT not in there:
            raise StoreError(
                f"{self._target}: holds other things (for example {min(there)!r}) and no store: name an empty folder or prefix"
            )
        if _LOCK in there:
            raise StoreError(f"{self._target}: a run works there, or was killed there: let it end, then ship")
        try:
            current = decode_current(self._target.read(CURRENT))
        except ValueError as error:
            raise StoreError(f"{self._target}: {CURRENT} is {error}: name an empty folder or prefix") from None
        own = {parcel.name: parcel for lot in self._cargo.rows() for parcel in lot.parcels if parcel.name.endswith(".sha256")}
        rows = [name for name in there if name.startswith("rows/") and name.endswith(".sha256")]
        # Records of places are never written again, so those of a store that was shipped before are all among ours.
        for name in rows:
            if name not in own or self._target.read(name) != own[name].content:
                raise self._another(name)
        own_folders = {made.folder.name for made in self._cargo.generations}
        strange = [name for name in there if name.endswith(f"/{PLAN}") and name.rpartition("/")[0] not in own_folders]
        if strange and not rows:
            raise self._another(min(strange))
        return current

    def _another(self, name: str) -> StoreError:
        return StoreError(
            f"{self._target}: holds another store, or one that has gone on by itself ({name} is none of {self._cargo.store}): "
            "name an empty folder or prefix"
        )

    def _all(self, lots: Iterable[Lot]) -> None:
        self._each(lots, self._one)

    def _each(self, lots: Iterable[Lot], do: Callable[[Lot], None]) -> None:
        """Several lots at a time; the first error ends it, and what is on its way then is finished."""
        with ThreadPoolExecutor(self._target.parallel) as pool:
            flying: set[Future[None]] = set()
            try:
                for lot in lots:
                    flying.add(pool.submit(do, lot))
                    if len(flying) >= 2 * self._target.parallel:
                        landed, flying = wait(flying, return_when=FIRST_COMPLETED)
                        for one in landed:
                            one.result()
                for one in flying:
                    one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _take_back(self) -> None:
        """Take the manifests of units that have changed, and of what is made of them, from the target."""
        hollow: dict[str, set[int]] = {}
        for made in self._cargo.generations:
            folder = made.folder.name
            there = {unit for name in self._there if (unit := _unit_in(name, folder)) is not None}
            above = [hollow.get(name, set()) for name in self._cargo.above(made)]
            gone = set().union(*above)
            # Who meets whom in a roster may come from any unit.
            gone = there if gone and self._cargo.draws(made) else gone & there
            if there:
                self._each(self._cargo.units(made), self._compare)
            hollow[folder] = gone | {unit for unit in there if f"{folder}/{unit:05d}.sha256" in self._changed}
        for folder, units in reversed(hollow.items()):
            for unit in sorted(units):
                name = f"{folder}/{unit:05d}.parquet"
                self._target.remove(name)
                del self._there[name]

    def _compare(self, lot: Lot) -> None:
        """Find out whether the target has a unit, and where it has another, whether ours is sound enough to take its place."""
        if self._has(lot):
            self._same.add(lot.witness)
        elif lot.parcels[-1].name in self._there:
            if why := next(filter(None, map(self._fault, lot.parcels)), ""):
                self._bad.add(lot.witness)
                self._refuse(lot.parcels[-1], why)
            else:
                self._changed.add(lot.witness)

    def _one(self, lot: Lot) -> None:
        with self._lock:
            self._known |= {parcel.name: parcel.size for parcel in lot.parcels}
        if lot.witness in self._bad:
            return
        same = lot.witness in self._same or self._has(lot)
        last = lot.parcels[-1]
        if same:
            # Its manifest may have been taken back for what it is made of.
            self._count(lot.parcels if last.name in self._there else lot.parcels[:-1], kept=True)
            if last.name in self._there:
                return
        elif len(lot.parcels) > 1 and last.name in self._there:
            # Not a moment with other contents under an old digest.
            self._target.remove(last.name)
        names = {parcel.name for parcel in lot.parcels}
        for name in self._groups.get(lot.group, ()):
            if name not in names:
                self._target.remove(name)
        for parcel in (last,) if same else lot.parcels:
            if why := self._sent(parcel):
                self._refuse(parcel, why)
                return
            self._count((parcel,), kept=False)

    def _refuse(self, parcel: Parcel, why: str) -> None:
        with self._lock:
            self._cargo.damaged.append(Damaged(parcel.name, why))

    def _fault(self, parcel: Parcel) -> str:
        """What is wrong with a file here, before the one that the target has is given up for it."""
        if parcel.content is not None or not parcel.digest:
            return ""
        try:
            found = file_digest(self._cargo.store / parcel.name)
        except OSError as error:
            return f"{parcel.name} cannot be read ({error.strerror})"
        return "" if found == parcel.digest else f"{parcel.name} has other bytes than were committed"

    def _has(self, lot: Lot) -> bool:
        """Whether the target has the very files of a lot, and no other in its group."""
        if any(self._there.get(parcel.name) != parcel.size for parcel in lot.parcels):
            return False
        if len(self._groups.get(lot.group, ())) > sum(parcel.name.startswith(lot.group or "/") for parcel in lot.parcels):
            return False
        witness = next(parcel for parcel in lot.parcels if parcel.name == lot.witness)
        return self._target.read(witness.name) == witness.content

    def _sent(self, parcel: Parcel) -> str:
        """Why a file was not sent; empty if it was."""
        if parcel.content is not None:
            self._target.write(parcel.name, parcel.content)
            return ""
        try:
            found = self._target.send(parcel.name, self._cargo.store / parcel.name, parcel.digest)
        except OSError as error:
            return f"cannot be read ({error.strerror or error})"
        return "" if parcel.digest in ("", found) else f"has other bytes than were committed (SHA-256 {found[:12]}…)"

    def _count(self, parcels: Iterable[Parcel], *, kept: bool) -> None:
        files, size = 0, 0
        for parcel in parcels:
            files, size = files + 1, size + parcel.size
        with self._lock:
            if kept:
                self._done.kept_files += files
                self._done.kept_bytes += size
            else:
                self._done.files += files
                self._done.bytes += size
            self._told(self._done)

    def _finish(self, before: Mapping[str, list[Listed]], whole: list[str]) -> None:
        """Look whether all has come, and say at the target which generations are current."""
        sizes = self._target.sizes()
        torn = self._torn()
        for name, size in self._known.items():
            if sizes.get(name) != size and name.partition("/")[0] not in torn:
                raise StoreError(f"{self._target}: {name} has not come whole: give the same command again")
        own = read_current(self._cargo.store)
        if self._cargo.shards:
            kept = {stage: [one for one in listed if one.folder in whole] for stage, listed in own.items()}
            own = {**before, **{stage: listed for stage, listed in kept.items() if listed}}
        data = encode_current(own)
        same = self._target.read(CURRENT) == data
        if not same:
            self._target.write(CURRENT, data)
        self._count((Parcel(CURRENT, len(data)),), kept=same)

    def _torn(self) -> set[str]:
        """Folders in which something is damaged here."""
        return {one.name.partition("/")[0] for one in self._cargo.damaged}

    def _rest(self, delete: bool) -> None:
        """What the target has of a store beyond this one."""
        if self._cargo.shards:
            return
        # Where something is damaged here, what the target has of it is kept.
        torn = self._torn()
        more = [name for name in self._there if name not in self._known and name != CURRENT and self._is_own(name)]
        self._done.more = sorted(name for name in more if name.partition("/")[0] not in torn)
        if delete:
            for name in self._in_order_of_removal():
                self._target.remove(name)
            self._done.removed = len(self._done.more)

    def _is_own(self, name: str) -> bool:
        """Whether a file at the target is one of a store, and not somebody else's under such a name."""
        folder, _, last = name.rpartition("/")
        if not OURS.fullmatch(name):
            return False
        if name.startswith(f"{ROW_SETS}/"):
            return holds_own(last, self._target.read(name))
        origin = f"{folder}/{ORIGIN}"
        return not name.startswith(f"{ATTACHED}/") or (origin in self._there and is_origin(self._target.read(origin)))

    def _in_order_of_removal(self) -> list[str]:
        """Plans first, those of what is made of others before the others': without its plan, a generation is gone at once."""
        plans = {name.rpartition("/")[0]: name for name in self._done.more if name.endswith(f"/{PLAN}")}
        below: dict[str, set[str]] = {}
        for folder, name in plans.items():
            below.setdefault(folder, set())
            for one in _above(self._target.read(name)):
                below.setdefault(one, set()).add(folder)
        first = [plans[folder] for folder in TopologicalSorter(below).static_order() if folder in plans]
        manifests = [name for name in self._done.more if name.endswith(".parquet")]
        return list(dict.fromkeys((*first, *manifests, *self._done.more)))


def _unit_in(name: str, folder: str) -> int | None:
    """The unit whose manifest in a generation has this name."""
    stem = name.removeprefix(f"{folder}/").removesuffix(".parquet")
    return int(stem) if name == f"{folder}/{stem}.parquet" and stem.isdecimal() else None


def _above(plan: bytes) -> list[str]:
    """Folders of the generations that a plan at the target names as its upstream."""
    try:
        return [f"{stage}-{str(digest)[:8]}" for stage, digest in parse_json(plan)["upstream"].items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
