"""Taking a person out of a store: every row, payload, roster entry and listing that has them, as content or as style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.audit.readings import recounted
from fasgen.audit.rewrite import exchange, restamp, rewrite, unfinished
from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.added_file import read_added
from fasgen.manifests.inputs import Identities, Inputs, drawn_from
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import Generation, generations, read_plan, sweep
from fasgen.manifests.report.delivery import finish
from fasgen.manifests.roster_file import basis_of, rebase, roster_path, rosters, take_out
from fasgen.manifests.sources_file import blank, read_left_out, read_sources, source_names, write_sources
from fasgen.manifests.tombstones import Retracted, Tombstone, read_tombstones, subject_digest, write_tombstone
from fasgen.manifests.unit import committed_units, discard, group_path, manifest_path, quick_facts, unit_facts
from fasgen.records import Reason

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 10_000
_ROLES = ("sample_id", "parent_ids", "subject", "style_subject", "reason")
_PICTURES = ("*.png", "*.jpg", "*.html", "protocols", "identities", "duplicates.json")


@dataclass(frozen=True, slots=True)
class Touched:
    """What has the person.

    Attributes:
        generation: folder in the store.
        unit: its unit.
        rows: rows that have the person in any role.
    """

    generation: str
    unit: int
    rows: int


def who(store: Path, subject: str) -> Tombstone:
    """The tombstone that a subject's removal will leave: with all photographs of that subject that the store knows of.

    Raises:
        StoreError: the store has no such subject and never had.
    """
    digest = subject_digest(subject)
    found: set[str] = set()
    known: set[str] = set()
    for name in source_names(store):
        table = read_sources(store, name)
        for sample_id, each in zip(table["sample_id"].to_pylist(), table["subject"].to_pylist(), strict=True):
            known.add(str(each))
            if each == subject:
                found.add(sample_id)
    for generation in generations(store):
        for unit in committed_units(generation.folder):
            table = read_table(manifest_path(generation.folder, unit), _ROLES)
            for sample_id, each in zip(table["sample_id"].to_pylist(), table["subject"].to_pylist(), strict=True):
                known.add(str(each))
                if each == subject:
                    found.add(sample_id)
    before = next((one for one in read_tombstones(store) if one.subject == digest), None)
    if before is not None:
        return replace(before, samples=before.samples | found, done=False, stale=None if before.done else before.stale)
    if not found:
        close = get_close_matches(subject, sorted(known - {"None"}), n=1)
        hint = (
            f"; did you mean {close[0]!r}?"
            if close
            else "; subjects stand in the column subject, with the data set before them"
        )
        raise StoreError(f"{store}: has nobody called {subject!r}{hint}")
    return Tombstone(digest, frozenset(found))


def touched(store: Path, retracted: Retracted) -> Iterator[Touched]:
    """The units that have such a person in any role, in order of generation and unit."""
    for generation in generations(store):
        for unit in committed_units(generation.folder):
            count = sum(map(retracted.touches, _still(generation.folder, unit)))
            if count:
                yield Touched(generation.folder.name, unit, count)


def retract(store: Path, tombstone: Tombstone) -> Tombstone:
    """Take a person out while no driver works on the store. Killed at any moment, it is finished by being given again.

    First the tombstone is written, so that no run makes anything of the person any more; then every touched unit is written
    anew without the person, what was made last first; then rosters, listings, and the deliveries' indices and data cards.

    Returns:
        the tombstone with what was taken out.

    Raises:
        StoreError: another driver works on the store, something in it is damaged, or it cannot be written.
    """
    with StoreLock(store):
        sweep(store)
        return _carry_out(store, tombstone)


def _carry_out(store: Path, tombstone: Tombstone) -> Tombstone:
    retracted = Retracted([tombstone])
    counts: Counter[str] = Counter()
    for one in touched(store, retracted):
        counts[one.generation] += one.rows
    # Counted before the first is gone: a removal that was killed and is given again must not forget what it did.
    tombstone = replace(tombstone, removed={**counts, **tombstone.removed})
    if tombstone.stale is None:
        tombstone = replace(tombstone, stale=_stale(store))
    write_tombstone(store, tombstone)
    for generation in _last_first(store):
        folder = generation.folder
        plan = read_plan(folder)
        for unit in unfinished(folder):
            exchange(folder, unit)
        for leftover in atomic.leftovers(folder):
            atomic.remove(leftover)
        _discard_hollow(folder)
        for unit in committed_units(folder):
            rewrite(folder, unit, retracted.touches, keep_place="sources" in plan.get("upstream", {}))
        take_out(folder, retracted.touches)
    for name in source_names(store):
        table = read_sources(store, name)
        people = zip(*(table[column].to_pylist() for column in ("sample_id", "subject", "path")), strict=True)
        gone = [path is not None and retracted.is_photograph(sample, subject) for sample, subject, path in people]
        if any(gone):
            kept, lost = table.filter([not one for one in gone]), table.filter(gone)
            reading = recounted(store, name, kept, set(lost["path"].to_pylist()))
            write_sources(store, name, _Without(table, gone), read_left_out(store, name), reading)
    _believe(store, tombstone.stale or {})
    for path in pictures(store):
        atomic.remove(path)
    for generation in generations(store):
        plan = read_plan(generation.folder)
        if plan.get("shipped") and committed_units(generation.folder):
            finish(generation.folder, plan)
    tombstone = replace(tombstone, done=True, stale=None)
    write_tombstone(store, tombstone)
    return tombstone


_ROSTER = -1


def _stale(store: Path) -> dict[str, list[int]]:
    """Units that are not believed now, by generation; `_ROSTER` for a roster that is drawn from something else."""
    found: dict[str, list[int]] = {}
    for folder, inputs, basis in _derived(store):
        stale = [unit for unit in committed_units(folder) if quick_facts(folder, unit).inputs != inputs.of(unit)]
        if inputs.roster and basis_of(folder) != basis:
            stale.append(_ROSTER)
        if stale:
            found[folder.name] = stale
    return found


def _believe(store: Path, stale: Mapping[str, Sequence[int]]) -> None:
    """Let all units but those be believed again: what they were made from is the same, less the person who is gone."""
    for folder, inputs, basis in _derived(store):
        kept = set(stale.get(folder.name, ()))
        if inputs.roster and _ROSTER not in kept and basis_of(folder) != basis and roster_path(folder).exists():
            rebase(folder, basis)
        for unit in committed_units(folder):
            wanted = inputs.of(unit)
            if unit not in kept and wanted and quick_facts(folder, unit).inputs != wanted:
                restamp(folder, unit, wanted)


def _derived(store: Path) -> Iterator[tuple[Path, Inputs, str]]:
    """Generations that read others, each after all that it was made from: what its units are made from, and its roster."""
    added = {unit for one in read_added(store) for unit in one.numbers}
    identities = Identities()
    for generation in reversed(_last_first(store)):
        plan = read_plan(generation.folder)
        inputs = Inputs.of_plan(generation.folder, plan, identities)
        if inputs is None:
            continue
        basis = ""
        for source in inputs.reads.values() if inputs.roster else ():
            units = [unit for unit in committed_units(source) if unit not in added]
            basis = drawn_from((unit, identities.of(source, unit)) for unit in units)
        yield generation.folder, inputs, basis


class _Without:
    """Rows of a listing, those of the people who are gone blank, a few at a time and as often as they are asked for."""

    def __init__(self, table: pa.Table, gone: Sequence[bool]) -> None:
        self._table, self._gone = table, gone

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number = 0
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                yield blank(row) if self._gone[number] else row
                number += 1


def pictures(store: Path) -> list[Path]:
    """Contact sheets, reports, protocols and duplicates, which show or name anybody and are made again by what made them."""
    return sorted(
        path for pattern in _PICTURES for folder in (store, *(store / "runs").glob("*")) for path in folder.glob(pattern)
    )


def left(store: Path, tombstones: list[Tombstone]) -> Iterator[tuple[Path, str]]:
    """Where anybody is left who was taken out: a file and what it has of them."""
    retracted = Retracted(tombstones)
    if not retracted:
        return
    again = "give `fasgen retract` the person's key again"
    for one in tombstones:
        if not one.done:
            yield store / "retracted" / f"{one.subject}.json", f"is not carried out to its end: {again}"
    for generation in generations(store):
        folder = generation.folder
        for unit in committed_units(folder):
            count = sum(map(retracted.touches, _still(folder, unit)))
            if count:
                yield manifest_path(folder, unit), f"has {count} rows of somebody who was taken out: {again}"
        for path in rosters(folder):
            count = sum(map(retracted.touches, read_table(path).to_pylist()))
            if count:
                yield path, f"has {count} entries of somebody who was taken out: {again}"
    for name in source_names(store):
        table = read_sources(store, name)
        columns = (table[name].to_pylist() for name in ("sample_id", "subject", "path"))
        count = sum(
            path is not None and retracted.is_photograph(sample, subject)
            for sample, subject, path in zip(*columns, strict=True)
        )
        if count:
            yield store / "sources" / name, f"lists {count} files of somebody who was taken out: {again}"


def _still(folder: Path, unit: int) -> list[Mapping[str, Any]]:
    """Rows that are not blank."""
    rows = read_table(manifest_path(folder, unit), _ROLES).to_pylist()
    return [row for row in rows if row["reason"] != Reason.RETRACTED.value or row["subject"] is not None]


def _last_first(store: Path) -> list[Generation]:
    """Generations, each before all that it was made from."""
    found = {str(read_plan(one.folder).get("plan_hash")): one for one in generations(store)}
    depths: dict[str, int] = {}

    def depth(digest: str) -> int:
        if digest not in depths:
            depths[digest] = 0
            above = [one for one in read_plan(found[digest].folder).get("upstream", {}).values() if one in found]
            depths[digest] = 1 + max(map(depth, above), default=0)
        return depths[digest]

    return [found[digest] for digest in sorted(found, key=lambda digest: (-depth(digest), found[digest].folder.name))]


def _discard_hollow(folder: Path) -> None:
    """Remove payload that no manifest speaks of: what a killed writer left may have anybody in it."""
    spoken: set[str] = set()
    for unit in committed_units(folder):
        facts = unit_facts(folder, unit)
        spoken |= {group_path(folder, unit).name} | ({facts.tar} if facts.tar else set())
    for path in folder.iterdir():
        if path.suffix == ".zarr" and path.stem.isdigit() and path.name not in spoken:
            discard(folder, int(path.stem))
        elif path.suffix == ".tar" and path.name not in spoken:
            atomic.remove(path)
