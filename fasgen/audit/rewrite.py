"""Writing a committed unit anew without some of its rows. What stays keeps every byte of its payload.

The new unit is finished and flushed beside the old one before anything of the old one is touched; from then on the exchange
can be killed at any moment and done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fasgen.manifests import atomic
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.atomic import STAGING
from fasgen.manifests.parquet import encode_manifest, read_table
from fasgen.manifests.schema import COMMON, arrow_schema
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit import UnitFacts, digests_path, group_path, manifest_path, timing_path, unit_facts
from fasgen.manifests.unit_reader import UnitReader
from fasgen.records import PROVENANCE, Column, Reason, Scalar, Status

_OLD_TAR = "old-tar"


def blank(row: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The provenance of a photograph whose person was taken out: the data set, and nothing else."""
    return {"dataset": row["dataset"]}


def rewrite(folder: Path, unit: int, touched: Callable[[Mapping[str, Any]], bool], *, keep_place: bool) -> int:
    """Write a unit anew without the rows that are ``touched``; a unit that has none stays as it is.

    Args:
        folder: the generation.
        unit: number of the unit.
        touched: whether a row goes.
        keep_place: such a row stays as a reject with the reason ``retracted`` and no provenance but the data set: in
            stages that read sources, where other rows are counted by their places in the listing. Elsewhere it goes altogether,
            as does every row whose upstream has no product.

    Returns:
        rows that went or were blanked.

    Raises:
        StoreError: the unit is damaged, or cannot be written.
    """
    rows = read_table(manifest_path(folder, unit)).to_pylist()
    gone = [row for row in rows if row["reason"] != Reason.RETRACTED.value and touched(row)]
    if not gone:
        return 0
    staging = folder / f"{STAGING}{unit:05d}"
    atomic.remove(staging)
    _write(folder, unit, staging, unit_facts(folder, unit), {(row["row"], row["variant"]) for row in gone}, keep_place)
    exchange(folder, unit)
    return len(gone)


def restamp(folder: Path, unit: int, inputs: str) -> None:
    """Write a unit's manifest anew as made from ``inputs``; its rows and its payload stay as they are.

    Raises:
        StoreError: the unit is damaged, or cannot be written.
    """
    staging = folder / f"{STAGING}{unit:05d}"
    atomic.remove(staging)
    facts = replace(unit_facts(folder, unit), inputs=inputs)
    rows = read_table(manifest_path(folder, unit)).to_pylist()
    data = encode_manifest(rows, arrow_schema(_own_columns(folder, unit)), facts)
    digests = {manifest_path(folder, unit).name: hashlib.sha256(data).hexdigest(), **facts.digests}
    staging.mkdir()
    # What says that the new unit is complete comes last.
    digests_path(staging, unit).write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()), "utf-8")
    manifest_path(staging, unit).write_bytes(data)
    atomic.fsync_tree(staging)
    (staging / _OLD_TAR).write_text(facts.tar or "", "utf-8")
    atomic.fsync_tree(staging)
    exchange(folder, unit)


def unfinished(folder: Path) -> list[int]:
    """Units whose exchange was begun: the new one is complete and waits beside the old one."""
    found = [(path, int(path.name.removeprefix(STAGING))) for path in folder.glob(f"{STAGING}[0-9]*")]
    return sorted(unit for path, unit in found if (path / _OLD_TAR).exists() and manifest_path(path, unit).exists())


def exchange(folder: Path, unit: int) -> None:
    """Put the new unit, which lies complete beside the old one, in its place; may be done again after a kill."""
    staging = folder / f"{STAGING}{unit:05d}"
    facts = unit_facts(staging, unit)
    manifest, group = manifest_path(folder, unit), group_path(folder, unit)
    # Without its manifest the old unit is committed no more.
    atomic.remove(manifest)
    atomic.fsync_file(folder)
    old_tar = (staging / _OLD_TAR).read_text("utf-8")
    if old_tar and facts.tar is None:
        atomic.remove(folder / old_tar)
    if not any(name.startswith(f"{group.name}/") for name in facts.digests):
        atomic.remove(group)
    trash = atomic.tmp_folder(folder, "rewrite-trash")
    names = {path.name for path in staging.iterdir()} - {manifest.name, _OLD_TAR}
    for name in sorted(names):
        atomic.replace(staging / name, folder / name, trash)
    atomic.fsync_file(folder)
    # The manifest is copied and not moved: without it the staging would not say, after a kill, that it is complete.
    draft = trash / "manifest"
    draft.write_bytes(manifest_path(staging, unit).read_bytes())
    atomic.fsync_file(draft)
    atomic.replace(draft, manifest, trash)
    atomic.fsync_file(folder)
    atomic.remove(staging)
    atomic.remove(trash)


def _write(folder: Path, unit: int, staging: Path, facts: UnitFacts, gone: set[tuple[int, int]], keep_place: bool) -> None:
    arrays: dict[str, str] = {}
    for name in facts.arrays:
        with ArrayReader(group_path(folder, unit) / name) as array:
            arrays[name] = array.dtype.name
    tar = facts.tar or "{unit:05d}.tar"
    own = _own_columns(folder, unit)
    with (
        UnitReader(folder, unit, tar) as old,
        UnitWriter(
            staging,
            unit,
            columns=own,
            arrays=arrays,
            tar=tar,
            plan_hash=facts.plan_hash,
            weights=facts.weights,
            micro_batch=facts.micro_batch,
            inputs=facts.inputs,
            domain=facts.domain,
        ) as writer,
    ):
        planned = 0
        for row in old.rows:
            key = int(str(row["row"])), int(str(row["variant"]))
            if key not in gone:
                _copy(old, writer, row, own)
            elif keep_place:
                writer.reject(_identity(row, blank(row)), Reason.RETRACTED, "")
            else:
                continue
            planned += 1
        writer.commit(planned)
    if timing_path(folder, unit).exists():
        timing_path(staging, unit).write_bytes(timing_path(folder, unit).read_bytes())
    (staging / _OLD_TAR).write_text(facts.tar or "", "utf-8")
    atomic.fsync_tree(staging)


def _copy(old: UnitReader, writer: UnitWriter, row: Mapping[str, Scalar], own: tuple[Column, ...]) -> None:
    identity = _identity(row, {column.name: row.get(column.name) for column in PROVENANCE})
    if row["status"] != Status.OK.value:
        writer.reject(identity, Reason(str(row["reason"])), str(row["detail"] or ""))
        return
    number, variant = identity.row, identity.variant
    writer.ok(
        identity,
        files={name: old.file(number, name, variant) for name in old.members(number, variant)},
        arrays={name: old.array(number, name, variant) for name in old.facts.arrays if old.has_array(number, name, variant)},
        values={column.name: row[column.name] for column in own},
    )


def _identity(row: Mapping[str, Scalar], provenance: Mapping[str, Scalar]) -> Row:
    parents = row["parent_ids"] if isinstance(row["parent_ids"], list) else []
    return Row(
        str(row["sample_id"]),
        int(str(row["row"])),
        int(str(row["seed"])),
        int(str(row["variant"])),
        tuple(map(str, parents)),
        provenance,
    )


def _own_columns(folder: Path, unit: int) -> tuple[Column, ...]:
    """The stage's own columns, as the manifest itself declares them."""
    schema = read_table(manifest_path(folder, unit)).schema
    common = {column.name for column in COMMON}
    found = []
    for field in schema:
        if field.name in common:
            continue
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        kind: Any = _KINDS.get(str(field.type), str(field.type))
        found.append(Column(field.name, kind, about.get("doc", ""), about.get("unit", "")))
    return tuple(found)


_KINDS = {
    "float": "float32",
    "double": "float64",
    "list<item: string>": "list<string>",
    "list<element: string>": "list<string>",
    "list<item: float>": "list<float32>",
    "list<element: float>": "list<float32>",
}
