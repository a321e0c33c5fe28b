"""One committed unit: every byte against its digest, every row against what it says of itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fasgen.audit.verification.claims import unit_claims
from fasgen.audit.verification.findings import Finding, Learnt, wrong
from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.atomic import file_digest
from fasgen.manifests.parquet import read_table
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import UnitFacts, digests_path, group_path, manifest_path, member_key, unit_facts
from fasgen.records import Reason, Status

_AGAIN = "`fasgen verify --take-back` takes the unit back, and `fasgen run` makes it again"


def check_unit(stage: Learnt, unit: int) -> Iterator[Finding]:
    """Files against digests, rows against their summary, their plan and their payload; ``stage`` learns what there is."""
    path = manifest_path(stage.folder, unit)
    plan = stage.plan_of(unit)
    damaged = list(_files(stage.folder, unit))
    yield from damaged
    try:
        facts = unit_facts(stage.folder, unit)
        rows = read_table(path).to_pylist()
    except StoreError as error:
        if not damaged:
            yield wrong(path, str(error))
        return
    yield from _undeclared(stage.folder, unit, facts)
    if facts.plan_hash != str(plan.get("plan_hash", "")):
        yield wrong(
            path, f"was made under plan {facts.plan_hash[:8]}, not under the plan of its folder: remove it and run again"
        )
    yield from _counts(path, unit, rows, facts)
    for row in rows:
        key = (row["sample_id"], row["variant"])
        ok = row["status"] == Status.OK.value
        if key in stage.seen and not _again(stage, unit, ok, *stage.seen[key]):
            yield wrong(
                path, f"sample {row['sample_id']}, variant {row['variant']} stands in unit {stage.seen[key][0]} as well"
            )
        stage.seen.setdefault(key, (unit, ok))
        if row["plan_hash"] != facts.plan_hash or row["weights"] != facts.weights or row["unit"] != unit:
            yield wrong(path, f"sample {row['sample_id']}: unit, plan hash or weights digest differ from the manifest's own")
    for claim in unit_claims(plan, facts, rows):
        yield wrong(path, claim)
    stage.planned[unit] = {(row["row"], row["variant"]) for row in rows}
    stage.ok[unit] = {(row["row"], row["variant"]) for row in rows if row["status"] == Status.OK.value}
    if not damaged:
        yield from _payload(stage.folder, rows, facts, unit)


def _again(stage: Learnt, unit: int, ok: bool, before: int, was_ok: bool) -> bool:
    """Whether a sample may stand in two units: it was tried again, and not delivered twice."""
    return unit in stage.added and unit != before and not (stage.plan.get("shipped") and ok and was_ok)


def _files(folder: Path, unit: int) -> Iterator[Finding]:
    """Every file of a unit against the digests beside it."""
    listing = digests_path(folder, unit)
    try:
        lines = listing.read_text("utf-8").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, UnicodeDecodeError) as error:
        yield wrong(listing, f"cannot be read ({error}): the unit cannot be checked: {_AGAIN}", (folder, unit))
        return
    manifest = manifest_path(folder, unit).name
    try:
        declared = unit_facts(folder, unit).digests
    except StoreError:
        declared = {name: digest for name, digest in expected.items() if name != manifest}
    if declared != {name: digest for name, digest in expected.items() if name != manifest}:
        yield wrong(
            listing,
            f"and {manifest} do not give the same files and digests, one of the two was altered: {_AGAIN}",
            (folder, unit),
        )
    for name, digest in {manifest: expected.get(manifest, ""), **declared}.items():
        try:
            found = file_digest(folder / name)
        except OSError as error:
            yield wrong(folder / name, f"cannot be read ({error.strerror}): {_AGAIN}", (folder, unit))
            continue
        if found != digest:
            yield wrong(
                folder / name,
                f"has other bytes than were committed (SHA-256 {found[:12]}…, not {digest[:12]}…): {_AGAIN}",
                (folder, unit),
            )


def _undeclared(folder: Path, unit: int, facts: UnitFacts) -> Iterator[Finding]:
    group = group_path(folder, unit)
    for path in sorted(group.rglob("*")) if group.is_dir() else ():
        if path.is_file() and path.relative_to(folder).as_posix() not in facts.digests:
            yield wrong(path, "is no part of the committed unit: remove it")


def _counts(path: Path, unit: int, rows: list[dict[str, Any]], facts: UnitFacts) -> Iterator[Finding]:
    summary = facts.summary
    counts = Counter(row["status"] for row in rows)
    found = (len(rows), *(counts[status.value] for status in (Status.OK, Status.FILTERED, Status.FAILED)))
    if found != (summary.planned, summary.ok, summary.filtered, summary.failed) or found[0] != sum(found[1:]):
        yield wrong(
            path,
            f"has rows, ok, filtered, failed = {found}, its summary says "
            f"{(summary.planned, summary.ok, summary.filtered, summary.failed)}",
        )
    for row in rows:
        reason = Reason(row["reason"]) if row["reason"] in set(Reason) else None
        if (row["status"] == Status.OK.value) != (row["reason"] is None) or (reason and reason.status != row["status"]):
            yield wrong(path, f"sample {row['sample_id']}: status {row['status']!r} does not go with reason {row['reason']!r}")
    if summary.unit != unit:
        yield wrong(path, f"says that it is unit {summary.unit}")


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
                    yield wrong(path, f"sample {key} is {row['status']} and yet has {names[0]} in the tar")
                continue
            digest, size = hashlib.sha256(), 0
            parts = [tar.read(name) for name in names] if tar else []
            parts += [array.read(row["array_index"]).tobytes() for array in arrays if array.has(row["array_index"])]
            for part in parts:
                digest.update(part)
                size += len(part)
            if digest.hexdigest() != row["payload_digest"] or size != row["payload_bytes"]:
                yield wrong(path, f"sample {key}: what tar and arrays hold is not what the row's payload digest says")
            if row["member"] != (names[0] if names else None):
                yield wrong(path, f"sample {key}: its first member is {names[0] if names else None}, not {row['member']}")
        for key, names in members.items():
            yield wrong(folder / str(facts.tar), f"member {names[0]} belongs to no row (key {key})")
    except (StoreError, IndexError) as error:
        yield wrong(path, str(error))
    finally:
        for array in arrays:
            array.close()
        if tar:
            tar.close()
