"""Does a store hold what its manifests say? Reads every byte; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fasgen.audit.retract import left
from fasgen.audit.verification.chain import check_chain, check_descent
from fasgen.audit.verification.claims import plan_claims
from fasgen.audit.verification.delivery import check_delivery
from fasgen.audit.verification.findings import Finding, Learnt, remark, wrong
from fasgen.audit.verification.inputs import check_inputs
from fasgen.audit.verification.leaks import check_leaks
from fasgen.audit.verification.unit import check_unit
from fasgen.audit.verification.weights import check_weights
from fasgen.errors import StoreError
from fasgen.manifests import spare
from fasgen.manifests.added_file import Added, read_added
from fasgen.manifests.atomic import leftovers
from fasgen.manifests.inputs import judged_is_whole
from fasgen.manifests.places_file import damaged_places
from fasgen.manifests.plan_file import CURRENT, Generation, generations, is_as_written, plan_path, read_current, read_plan
from fasgen.manifests.roster_file import ROSTERS, damaged_rosters
from fasgen.manifests.sources_file import LISTING, damaged_files, folder_of, source_names
from fasgen.manifests.tombstones import read_tombstones
from fasgen.manifests.unit import committed_units, manifest_path


def verify(store: Path, strict: bool = False) -> list[Finding]:
    """Check sources, plans, and every committed unit of every generation.

    Checked are: the digest of every file; every row's payload against its digest; ``planned = ok + filtered + failed``;
    uniqueness of samples; every plan against its hash, and the chain of plans; that each downstream unit planned exactly
    the ok rows of its primaries, or the entries of its roster, and that each unit was made from what lies there now; every seed
    against its derivation; every weights digest against the plan, and against the weights themselves where a ledger says where
    they lie; that all parents exist and are of the split of what was made of them; index and data card of a delivery against
    the manifests; that nobody is left who was taken out; and whether the networks have seen rows that are tested.

    Args:
        store: the store.
        strict: count as errors what networks have seen of the rows that are tested.

    Returns:
        what is wrong; empty for a sound store.

    Raises:
        StoreError: if there is no such store.
    """
    if not store.is_dir():
        raise StoreError(f"{store}: is not there: give the folder that `fasgen run` wrote")
    findings: list[Finding] = []
    for path, _ in spare.spoilt(store):
        findings.append(wrong(path, "is not there, or has other bytes than its spare: `fasgen run` puts it back"))
    if (store / spare.FOLDER).is_dir():
        for path in spare.worn(store):
            findings.append(wrong(path, "is a spare that is not there or is damaged: `fasgen run` writes it again"))
    else:
        findings.append(remark(store / spare.FOLDER, "is not there, as behind `fasgen ship`: `fasgen run` writes it"))
    for name in source_names(store):
        findings += _source(store, name)
    for path in damaged_places(store):
        findings.append(wrong(path, f"has other bytes than were written: {spare.PUT_BACK}"))
    if not judged_is_whole(store):
        findings.append(
            wrong(store / "believed.json", "has other bytes than were written: `fasgen run` writes it again, it is a note")
        )
    stages: dict[str, Learnt] = {}
    try:
        read_current(store)
    except StoreError as error:
        findings.append(wrong(store / CURRENT, str(error)))
    try:
        added = read_added(store)
    except StoreError as error:
        added = []
        findings.append(wrong(store / "added", str(error)))
    for generation in generations(store):
        findings += _generation(generation, stages, added)
    findings += check_inputs(store, stages)
    for stage in stages.values():
        findings += check_chain(stage, stages)
    findings += check_descent(stages)
    for stage in stages.values():
        findings += check_delivery(stage)
    with suppress(StoreError):
        # It asks which generations are current; where that cannot be read, it has been said above.
        findings += check_weights(store, stages)
        findings += check_leaks(store, stages, strict)
    findings += _left(store)
    return findings


def _source(store: Path, name: str) -> Iterator[Finding]:
    if not (folder_of(store, name) / LISTING).exists():
        yield remark(folder_of(store, name), "has come in part: `fasgen ship` goes on, or `fasgen run` writes it again")
        return
    for path in damaged_files(store, name):
        yield wrong(path, "has other bytes than were written: `fasgen run` writes it again")


def _generation(generation: Generation, stages: dict[str, Learnt], added: Sequence[Added]) -> Iterator[Finding]:
    folder = generation.folder
    try:
        plan = read_plan(folder)
    except StoreError as error:
        yield wrong(folder, str(error))
        return
    plan_hash = str(plan.get("plan_hash", ""))
    if plan.get("stage") != generation.stage or plan_hash[:8] != folder.name[-8:]:
        yield wrong(folder / "plan.json", "is not the plan of this folder: stage or plan hash differ from the folder's name")
    if not is_as_written(folder):
        yield wrong(folder / "plan.json", "has other bytes than were written: `fasgen run` writes it again")
    for roster in damaged_rosters(folder):
        yield wrong(roster, "has other bytes than were written: the units that follow it cannot be checked")
    for claim in plan_claims(plan):
        yield wrong(folder / "plan.json", f"{claim}: `fasgen run` with the settings that it was made with writes it again")
    stage = Learnt(plan, folder)
    stages[plan_hash] = stage
    for addition in added:
        if addition.unit_rows == plan.get("unit_rows") and plan_path(folder, addition.first).exists():
            yield from _addition(stage, addition)
    for path in (*leftovers(folder), *leftovers(folder / ROSTERS)):
        yield remark(path, "left by a writer that was killed: the next run removes it")
    for unit in committed_units(folder):
        yield from check_unit(stage, unit)
    yield from _hollow(folder)


def _addition(stage: Learnt, addition: Added) -> Iterator[Finding]:
    """The plan of added units; ``stage`` learns it."""
    path = plan_path(stage.folder, addition.first)
    try:
        own = read_plan(stage.folder, addition.first)
    except StoreError as error:
        yield wrong(path, str(error))
        return
    if not is_as_written(stage.folder, addition.first):
        yield wrong(path, "has other bytes than were written: `fasgen run` writes it again")
    stage.added |= dict.fromkeys(addition.numbers, own)
    for claim in plan_claims(own):
        yield wrong(path, f"{claim}: `fasgen run` with the settings that it was made with writes it again")


def _hollow(folder: Path) -> Iterator[Finding]:
    """Payload without a manifest."""
    for path in sorted(folder.glob("*.zarr")):
        if path.stem.isdigit() and not manifest_path(folder, int(path.stem)).exists():
            yield remark(path, "belongs to no committed unit: the next run of this unit replaces it")


def _left(store: Path) -> Iterator[Finding]:
    """Nobody is left who was taken out."""
    try:
        yield from (wrong(where, what) for where, what in left(store, read_tombstones(store)))
    except StoreError as error:
        yield wrong(store / "retracted", str(error))
