"""Does a store hold what its manifests say? Reads every byte; changes nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fasgen.errors import StoreError
from fasgen.manifests.added_file import Added, read_added
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.atomic import file_digest, leftovers
from fasgen.manifests.audit import People, plan_claims, unit_claims
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import Generation, generations, is_as_written, read_plan
from fasgen.manifests.retract import left
from fasgen.manifests.roster_file import read_roster, roster_is_as_written, roster_path
from fasgen.manifests.sources_file import damaged_files, folder_of, source_names
from fasgen.manifests.tar import TarReader
from fasgen.manifests.tombstones import read_tombstones
from fasgen.manifests.unit import (
    UnitFacts,
    committed_units,
    digests_path,
    group_path,
    manifest_path,
    member_key,
    unit_facts,
)
from fasgen.records import Reason, Status


@dataclass(frozen=True)
class Finding:
    """Something that ``verify`` has to say.

    Attributes:
        severity: ``error`` where data are damaged or contradict each other, ``warning`` for what a run will clean up.
        where: the file or row.
        what: what is wrong, and what to do.
    """

    severity: Literal["error", "warning"]
    where: str
    what: str


@dataclass
class _Stage:
    """What has been learnt of one generation."""

    plan: Mapping[str, Any]
    folder: Path
    ok: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    planned: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    seen: dict[tuple[str, int], tuple[int, bool]] = field(default_factory=dict)
    added: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def plan_of(self, unit: int) -> Mapping[str, Any]:
        """The plan of a unit: the generation's, or that of added units."""
        return self.added.get(unit, self.plan)


def verify(store: Path) -> list[Finding]:
    """Check sources, plans, and every committed unit of every generation.

    Checked are: the digest of every file; every row's payload against its digest; ``planned = ok + filtered + failed``;
    uniqueness of samples; every plan against its hash, and the chain of plans; that each downstream unit planned exactly
    the ok rows of its primaries, or the entries of its roster; every seed against its derivation; every weights digest against
    the plan; that all parents exist and are of the split of what was made of them; and that nobody is left who was taken out.

    Args:
        store: the store.

    Returns:
        what is wrong; empty for a sound store.

    Raises:
        StoreError: if there is no such store.
    """
    if not store.is_dir():
        raise StoreError(f"{store}: is not there: give the folder that `fasgen run` wrote")
    findings: list[Finding] = []
    for name in source_names(store):
        findings += _source(store, name)
    stages: dict[str, _Stage] = {}
    try:
        added = read_added(store)
    except StoreError as error:
        added = []
        findings.append(_error(store / "added", str(error)))
    for generation in generations(store):
        findings += _generation(generation, stages, added)
    for stage in stages.values():
        findings += _chain(stage, stages)
    findings += _descent(stages)
    findings += _left(store)
    return findings


def _error(where: object, what: str) -> Finding:
    return Finding("error", str(where), what)


def _source(store: Path, name: str) -> Iterator[Finding]:
    for path in damaged_files(store, name):
        yield _error(path, f"has other bytes than were written: remove {folder_of(store, name)}, `fasgen run` writes it again")


def _generation(generation: Generation, stages: dict[str, _Stage], added: Sequence[Added]) -> Iterator[Finding]:
    folder = generation.folder
    try:
        plan = read_plan(folder)
    except StoreError as error:
        yield _error(folder, str(error))
        return
    plan_hash = str(plan.get("plan_hash", ""))
    if plan.get("stage") != generation.stage or plan_hash[:8] != folder.name[-8:]:
        yield _error(folder / "plan.json", "is not the plan of this folder: stage or plan hash differ from the folder's name")
    if not is_as_written(folder):
        yield _error(folder / "plan.json", "has other bytes than were written: `fasgen run` writes it again")
    roster = roster_path(folder)
    if roster.exists() and not roster_is_as_written(folder):
        yield _error(roster, "has other bytes than were written: the units that follow it cannot be checked")
    for claim in plan_claims(plan):
        yield _error(folder / "plan.json", f"{claim}: `fasgen run` with the settings that it was made with writes it again")
    stage = _Stage(plan, folder)
    stages[plan_hash] = stage
    for addition in added:
        if own := addition.plans.get(folder.name):
            stage.added |= dict.fromkeys(addition.numbers, own)
            for claim in plan_claims(own):
                yield _error(folder.parent / "added" / f"{addition.name}.json", claim)
    for path in leftovers(folder):
        yield Finding("warning", str(path), "left by a writer that was killed: the next run of this unit removes it")
    for unit in committed_units(folder):
        yield from _unit(stage, unit)
    yield from _hollow(folder)


def _hollow(folder: Path) -> Iterator[Finding]:
    """Payload without a manifest."""
    for path in sorted(folder.glob("*.zarr")):
        if path.stem.isdigit() and not manifest_path(folder, int(path.stem)).exists():
            yield Finding("warning", str(path), "belongs to no committed unit: the next run of this unit replaces it")


def _unit(stage: _Stage, unit: int) -> Iterator[Finding]:
    path = manifest_path(stage.folder, unit)
    plan = stage.plan_of(unit)
    damaged = list(_files(stage.folder, unit))
    yield from damaged
    try:
        facts = unit_facts(stage.folder, unit)
        rows = read_table(path).to_pylist()
    except StoreError as error:
        if not damaged:
            yield _error(path, str(error))
        return
    yield from _undeclared(stage.folder, unit, facts)
    if facts.plan_hash != str(plan.get("plan_hash", "")):
        yield _error(
            path, f"was made under plan {facts.plan_hash[:8]}, not under the plan of its folder: remove it and run again"
        )
    yield from _counts(path, unit, rows, facts)
    for row in rows:
        key = (row["sample_id"], row["variant"])
        ok = row["status"] == Status.OK.value
        if key in stage.seen and not _again(stage, unit, ok, *stage.seen[key]):
            yield _error(
                path, f"sample {row['sample_id']}, variant {row['variant']} stands in unit {stage.seen[key][0]} as well"
            )
        stage.seen.setdefault(key, (unit, ok))
        if row["plan_hash"] != facts.plan_hash or row["weights"] != facts.weights or row["unit"] != unit:
            yield _error(path, f"sample {row['sample_id']}: unit, plan hash or weights digest differ from the manifest's own")
    for claim in unit_claims(plan, facts, rows):
        yield _error(path, claim)
    stage.planned[unit] = {(row["row"], row["variant"]) for row in rows}
    stage.ok[unit] = {(row["row"], row["variant"]) for row in rows if row["status"] == Status.OK.value}
    if not damaged:
        yield from _payload(stage.folder, rows, facts, unit)


def _again(stage: _Stage, unit: int, ok: bool, before: int, was_ok: bool) -> bool:
    """Whether a sample may stand in two units: it was tried again, and not delivered twice."""
    return unit in stage.added and unit != before and not (stage.plan.get("shipped") and ok and was_ok)


def _files(folder: Path, unit: int) -> Iterator[Finding]:
    """Every file of a unit against the digests beside it."""
    listing = digests_path(folder, unit)
    try:
        lines = listing.read_text("utf-8").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, UnicodeDecodeError) as error:
        yield _error(listing, f"cannot be read ({error}): the unit cannot be checked; remove its manifest and run again")
        return
    manifest = manifest_path(folder, unit).name
    try:
        declared = unit_facts(folder, unit).digests
    except StoreError:
        declared = {name: digest for name, digest in expected.items() if name != manifest}
    if declared != {name: digest for name, digest in expected.items() if name != manifest}:
        yield _error(listing, f"and {manifest} do not give the same files and digests: one of the two was altered")
    for name, digest in {manifest: expected.get(manifest, ""), **declared}.items():
        try:
            found = file_digest(folder / name)
        except OSError as error:
            yield _error(folder / name, f"cannot be read ({error.strerror}): remove {manifest} and run the stage again")
            continue
        if found != digest:
            yield _error(
                folder / name, f"has other bytes than were committed (SHA-256 {found[:12]}…, not {digest[:12]}…): "
                f"remove {manifest} and run the stage again"
            )  # fmt: skip


def _undeclared(folder: Path, unit: int, facts: UnitFacts) -> Iterator[Finding]:
    group = group_path(folder, unit)
    for path in sorted(group.rglob("*")) if group.is_dir() else ():
        if path.is_file() and path.relative_to(folder).as_posix() not in facts.digests:
            yield _error(path, "is no part of the committed unit: remove it")


def _counts(path: Path, unit: int, rows: list[dict[str, Any]], facts: UnitFacts) -> Iterator[Finding]:
    summary = facts.summary
    counts = Counter(row["status"] for row in rows)
    found = (len(rows), *(counts[status.value] for status in (Status.OK, Status.FILTERED, Status.FAILED)))
    if found != (summary.planned, summary.ok, summary.filtered, summary.failed) or found[0] != sum(found[1:]):
        yield _error(
            path,
            f"has rows, ok, filtered, failed = {found}, its summary says "
            f"{(summary.planned, summary.ok, summary.filtered, summary.failed)}",
        )
    for row in rows:
        reason = Reason(row["reason"]) if row["reason"] in set(Reason) else None
        if (row["status"] == Status.OK.value) != (row["reason"] is None) or (reason and reason.status != row["status"]):
            yield _error(path, f"sample {row['sample_id']}: status {row['status']!r} does not go with reason {row['reason']!r}")
    if summary.unit != unit:
        yield _error(path, f"says that it is unit {summary.unit}")


def _payload(folder: Path, rows: list[dict[str, Any]], facts: UnitFacts, unit: int) -> Iterator[Finding]:
    """Every ok row's members and arrays against the row's digest; and no member without a row."""
    path = manifest_path(folder, unit)
    tar = TarReader(folder / facts.tar) if facts.tar else None
    arrays = [ArrayReader(group_path(folder, unit) / name) for name in facts.arrays]
    try:
        members: dict[str, list[str]] = {}
        for name in tar.members if tar else ():
            members.setdefault(name.partition(".")[0], []).append(name)
        for row in rows:
            key = member_key(row["sample_id"], row["variant"])
            names = members.pop(key, [])
            if row["status"] != Status.OK.value:
                if names:
                    yield _error(path, f"sample {key} is {row['status']} and yet has {names[0]} in the tar")
                continue
            digest, size = hashlib.sha256(), 0
            parts = [tar.read(name) for name in names] if tar else []
            parts += [array.read(row["array_index"]).tobytes() for array in arrays if array.has(row["array_index"])]
            for part in parts:
                digest.update(part)
                size += len(part)
            if digest.hexdigest() != row["payload_digest"] or size != row["payload_bytes"]:
                yield _error(path, f"sample {key}: what tar and arrays hold is not what the row's payload digest says")
            if row["member"] != (names[0] if names else None):
                yield _error(path, f"sample {key}: its first member is {names[0] if names else None}, not {row['member']}")
        for key, names in members.items():
            yield _error(folder / str(facts.tar), f"member {names[0]} belongs to no row (key {key})")
    except (StoreError, IndexError) as error:
        yield _error(path, str(error))
    finally:
        for array in arrays:
            array.close()
        if tar:
            tar.close()


def _left(store: Path) -> Iterator[Finding]:
    """Nobody is left who was taken out."""
    try:
        yield from (_error(where, what) for where, what in left(store, read_tombstones(store)))
    except StoreError as error:
        yield _error(store / "retracted", str(error))


def _descent(stages: Mapping[str, _Stage]) -> Iterator[Finding]:
    """Parents and splits, of everything below each stage that reads sources."""
    roots = [stage for stage in stages.values() if "sources" in stage.plan.get("upstream", {}) and stage.planned]
    for root in roots:
        try:
            people = People(root.folder, sorted(root.planned))
        except StoreError as error:
            yield _error(root.folder, str(error))
            continue
        for subject in people.torn():
            yield Finding(
                "warning",
                str(root.folder),
                f"the sources have subject {subject} in more than one split; give it to one of them",
            )
        for stage in stages.values():
            if stage is root or not _below(stage, root, stages):
                continue
            for unit in sorted(stage.planned):
                path = manifest_path(stage.folder, unit)
                try:
                    yield from (_error(path, claim) for claim in people.claims(path))
                except StoreError as error:
                    yield _error(path, str(error))


def _below(stage: _Stage, root: _Stage, stages: Mapping[str, _Stage]) -> bool:
    above = [stages[digest] for digest in stage.plan.get("upstream", {}).values() if digest in stages]
    return any(each is root or _below(each, root, stages) for each in above)


def _chain(stage: _Stage, stages: Mapping[str, _Stage]) -> Iterator[Finding]:
    """A stage's upstreams: all there, and the ok rows of one of them, the primary, exactly what this stage planned."""
    whole: list[_Stage] = []
    for name, digest in stage.plan.get("upstream", {}).items():
        if name == "sources":
            continue
        if digest in stages and stages[digest].plan.get("stage") == name:
            whole.append(stages[digest])
        elif stage.planned:
            yield _error(stage.folder / "plan.json", f"was made from {name}-{digest[:8]}, which is not in the store")
    for unit in sorted(stage.planned) if whole else ():
        path = manifest_path(stage.folder, unit)
        reads = stage.plan_of(unit).get("upstream", {})
        above = [each for each in whole if each.plan.get("stage") in reads]
        for each in above:
            if unit in stage.added and each.plan_of(unit).get("plan_hash") != reads[each.plan["stage"]]:
                yield _error(path, f"was made from another unit {unit} of {each.folder.name} than lies there")
        absent = [each for each in above if unit not in each.planned]
        for each in absent:
            yield _error(path, f"was made from unit {unit} of {each.folder.name}, which is not committed or cannot be read")
        if absent:
            continue
        yield from _planned(stage, unit, above)


def _planned(stage: _Stage, unit: int, above: list[_Stage]) -> Iterator[Finding]:
    """The rows of a unit are the ok rows of its primaries, or the entries of its roster."""
    path, planned = manifest_path(stage.folder, unit), stage.planned[unit]
    if stage.plan.get("roster"):
        try:
            entries = {(entry["row"], entry["variant"]) for entry in read_roster(stage.folder, unit)}
        except StoreError as error:
            yield _error(path, str(error))
            return
        if planned != entries:
            yield _error(path, f"planned {len(planned)} rows, which are not the {len(entries)} entries of the roster")
        return
    primaries = [each for each in above if each.plan.get("stage") in stage.plan_of(unit).get("primaries", ())]
    if primaries:
        fits = planned == set().union(*(each.ok[unit] for each in primaries))
    else:
        fits = any(planned == each.ok[unit] for each in above)
    known: set[tuple[int, int]] = set().union(*(each.planned[unit] for each in above))
    if not fits or not planned <= known:
        has = ", ".join(f"{each.folder.name} {len(each.ok[unit])}" for each in primaries or above)
        yield _error(path, f"planned {len(planned)} rows, which are not the ok rows of its upstream ({has})")
