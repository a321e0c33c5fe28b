"""Taking a person out of a store: every row, payload, roster entry and listing that has them, as content or as style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.audit.originals import Originals
from fasgen.audit.own_files import own_files
from fasgen.audit.readings import recounted
from fasgen.audit.rewrite import exchange, restamp, rewrite, unfinished
from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.attached_files import forget_names, named
from fasgen.manifests.inputs import Identities, Made
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import Generation, generations, read_plan, sweep
from fasgen.manifests.report.delivery import finish
from fasgen.manifests.roster_file import ROSTERS, basis_of, firsts, rebase, rosters, take_out
from fasgen.manifests.sources_file import blank, read_left_out, read_sources, source_names, write_sources
from fasgen.manifests.tombstones import (
    Retracted,
    Tombstone,
    content_of,
    read_tombstones,
    subject_digest,
    write_tombstone,
)
from fasgen.manifests.unit import committed_units, discard, group_path, manifest_path, quick_facts, unit_facts
from fasgen.records import Reason
from fasgen.sources.config import SourceConfig

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 10_000
_ROLES = ("sample_id", "parent_ids", "subject", "style_subject", "reason")
_OF_RUNS = ("*.png", "*.jpg", "*.html", "protocols", "identities", "duplicates.json")
"""In the folder of a run."""


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


def who(store: Path, subject: str, sources: Sequence[SourceConfig] = ()) -> Tombstone:
    """The tombstone that a subject's removal will leave: with all photographs of that subject that the store knows of.

    Args:
        store: the store.
        subject: the subject's key, as the column ``subject`` has it.
        sources: the configured sources, in which the content of the photographs is looked at: files that hold the same are
            photographs of the subject too, whatever they are called.

    Raises:
        StoreError: the store has no such subject and never had.
    """
    found: set[str] = set()
    known: set[str] = set()
    for table in _people(store):
        for sample_id, each in zip(table["sample_id"].to_pylist(), table["subject"].to_pylist(), strict=True):
            known.add(str(each))
            if each == subject:
                found.add(sample_id)
    made = _tombstone(store, subject_digest(subject), found, _Files(store, sources))
    if made is None:
        close = get_close_matches(subject, sorted(known - {"None"}), n=1)
        hint = (
            f"; did you mean {close[0]!r}?"
            if close
            else "; subjects stand in the column subject, with the data set before them"
        )
        raise StoreError(f"{store}: has nobody called {subject!r}{hint}")
    return made


def which(store: Path, file: str, sources: Sequence[SourceConfig] = ()) -> Tombstone:
    """The tombstone that the removal of a file's photographs will leave.

    Args:
        store: the store.
        file: a file, of which all copies in the sources are meant; or, where it is not there any more, its source's name, a
            slash, and its path in the source.
        sources: the configured sources, in which copies are looked for.

    Raises:
        StoreError: the store has no photograph of that content or path, and never had.
    """
    files, content = _Files(store, sources), content_of(Path(file))
    found = set() if content else files.called(file)
    made = _tombstone(store, subject_digest(f"file {content or file}"), found, files, {content} - {""})
    if made is None:
        how = "a photograph that holds what it holds" if content else "it, and no file is called so"
        raise StoreError(f"{store}: knows no {file}: no source has {how}; paths stand in the column path, after the data set's")
    return made


def _tombstone(store: Path, digest: str, found: set[str], files: _Files, contents: Iterable[str] = ()) -> Tombstone | None:
    """With the photographs that were found and all copies of them; ``None`` where there are none and never were."""
    before = next((one for one in read_tombstones(store) if one.subject == digest), None)
    contents = frozenset(contents) | files.contents(found) | (before.contents if before else frozenset())
    found = found | files.holding(contents)
    if before is not None:
        stale = None if before.done else before.stale
        return replace(before, samples=before.samples | found, done=False, contents=contents, stale=stale)
    return Tombstone(digest, frozenset(found), contents=contents) if found else None


def _people(store: Path) -> Iterator[pa.Table]:
    """Rows that say who is on a photograph: those of the listings, and of all generations."""
    yield from (read_sources(store, name) for name in source_names(store))
    for generation in generations(store):
        for unit in committed_units(generation.folder):
            yield read_table(manifest_path(generation.folder, unit), _ROLES)


class _Files:
    """The files of the sources, as far as they are configured and the store lists them."""

    def __init__(self, store: Path, sources: Sequence[SourceConfig]) -> None:
        self._originals = Originals(store, sources)
        self._rows: list[tuple[str, str, str, int]] = []
        for name in source_names(store):
            table = read_sources(store, name)
            columns = (table[column].to_pylist() for column in ("sample_id", "path", "size"))
            # Those of people who were taken out have no path any more.
            self._rows += [(sample, name, path, size) for sample, path, size in zip(*columns, strict=True) if path is not None]

    def called(self, file: str) -> set[str]:
        """Ids of the photographs of a file, by source and path."""
        return {sample for sample, dataset, path, _ in self._rows if f"{dataset}/{path}" == file}

    def contents(self, samples: Set[str]) -> frozenset[str]:
        """What the files of photographs hold, as far as they can be read; members of archives cannot."""
        files = {(dataset, path) for sample, dataset, path, _ in self._rows if sample in samples}
        return frozenset(filter(None, (self._content(*file) for file in files)))

    def holding(self, contents: Set[str]) -> set[str]:
        """Ids of the photographs whose files hold one of ``contents``."""
        sizes = {int(content.partition(":")[0]) for content in contents}
        files = {(dataset, path) for _, dataset, path, size in self._rows if size in sizes}
        alike = {file for file in files if self._content(*file) in contents}
        return {sample for sample, dataset, path, _ in self._rows if (dataset, path) in alike}

    def _content(self, dataset: str, path: str) -> str:
        found = self._originals.file(dataset, path)
        return content_of(found) if found else ""


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
        for leftover in (*atomic.leftovers(folder), *atomic.leftovers(folder / ROSTERS)):
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
    forget_names(store, retracted.samples.__contains__)
    _believe(store, tombstone.stale or {})
    for path in pictures(store):
        atomic.remove(path)
        with suppress(OSError):
            # A folder of row sets that holds nothing else.
            path.parent.rmdir()
    for generation in generations(store):
        plan = read_plan(generation.folder)
        if plan.get("shipped") and committed_units(generation.folder):
            finish(generation.folder, plan)
    tombstone = replace(tombstone, done=True, stale=None)
    write_tombstone(store, tombstone)
    return tombstone


def _stale(store: Path) -> dict[str, list[int]]:
    """Units that are not believed now, by generation; below zero, rosters that are drawn from something else (`_roster`)."""
    found: dict[str, list[int]] = {}
    for folder, made in _derived(store):
        stale = [unit for unit in committed_units(folder) if quick_facts(folder, unit).inputs != made.of(unit)]
        stale += [_roster(first) for first in firsts(folder) if basis_of(folder, first) != made.basis(first)]
        if stale:
            found[folder.name] = stale
    return found


def _roster(first: int) -> int:
    return -1 - first


def _believe(store: Path, stale: Mapping[str, Sequence[int]]) -> None:
    """Let all units but those be believed again: what they were made from is the same, less the person who is gone."""
    for folder, made in _derived(store):
        kept = set(stale.get(folder.name, ()))
        for first in firsts(folder):
            if _roster(first) not in kept and basis_of(folder, first) != (basis := made.basis(first)):
                rebase(folder, basis, first)
        for unit in committed_units(folder):
            wanted = made.of(unit)
            if unit not in kept and wanted and quick_facts(folder, unit).inputs != wanted:
                restamp(folder, unit, wanted)


def _derived(store: Path) -> Iterator[tuple[Path, Made]]:
    """Generations that read others, each after all that it was made from, and what their units are made from."""
    identities = Identities()
    for generation in reversed(_last_first(store)):
        made = Made.read(generation.folder, identities)
        if made is not None:
            yield generation.folder, made


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
    runs = (ledger.parent for ledger in (store / "runs").glob("*/ledger.jsonl"))
    return sorted([*own_files(store), *(path for folder in runs for pattern in _OF_RUNS for path in folder.glob(pattern))])


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
    for path, count in named(store, retracted.samples.__contains__):
        yield path, f"names {count} files of somebody who was taken out: {again}"
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
