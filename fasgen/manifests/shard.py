"""Writing one unit: everything under temporary names, then the manifest, whose appearance is the commit."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.arrays import ArrayWriter, group_document, little
from fasgen.manifests.images import RGB, encode_png
from fasgen.manifests.parquet import encode_manifest, encode_timing
from fasgen.manifests.schema import COMMON, arrow_schema, checked, detail_text, text
from fasgen.manifests.tar import TarWriter, copy_members, header
from fasgen.manifests.unit import (
    UnitFacts,
    UnitSummary,
    digests_path,
    group_path,
    manifest_path,
    member_key,
    rows_identity,
    timing_path,
)
from fasgen.marks import Term
from fasgen.records import PROVENANCE, Column, Reason, Scalar, Status

_PROVENANCE = {column.name: column for column in PROVENANCE}
_BY_NAME = {column.name: column for column in COMMON}


@dataclass(frozen=True)
class Row:
    """Identity of a planned row.

    Attributes:
        sample_id: stable id; no dot, slash or NUL in it.
        row: place in the unit's slice of the sources listing.
        seed: seed of its randomness, below 2**63.
        variant: number of the variant.
        parent_ids: samples it was made from.
        provenance: values of the columns ``records.PROVENANCE``; what is missing is null.
    """

    sample_id: str
    row: int
    seed: int
    variant: int = 0
    parent_ids: tuple[str, ...] = ()
    provenance: Mapping[str, Scalar] | None = None


class UnitWriter:
    """Writes one unit of one stage. Nothing is visible before ``commit``; one writer at a time.

    Who gives a unit out again first removes what an earlier writer of it has begun (`atomic.clean`): one that was taken for
    dead by mistake cannot commit then. Rows may come in any order and are stored by (row, variant).

    Args:
        folder: the stage's folder; created if need be.
        unit: number of the unit.
        columns: the stage's own columns.
        arrays: dtype name by array field, in the order in which they enter the payload digest.
        tar: name of the unit's tar, formatted with ``unit``.
        plan_hash: hash of the stage's plan.
        weights: digest of the stage's weights, empty if it has none.
        micro_batch: samples a call, where that is not the batch of the plan.
        synthetic: how they were generated, by image field, for the marks in their files.
        inputs: digest over what it is made from.
        domain: digest of the determinism domain that it is made in.
    """

    def __init__(
        self,
        folder: Path,
        unit: int,
        *,
        columns: Sequence[Column],
        arrays: Mapping[str, str],
        tar: str = "{unit:05d}.tar",
        plan_hash: str,
        weights: str,
        micro_batch: int | None = None,
        synthetic: Mapping[str, Term] | None = None,
        inputs: str = "",
        domain: str = "",
    ) -> None:
        self._folder, self._unit, self._inputs, self._domain = folder, unit, inputs, domain
        self.digest = ""
        """SHA-256 of the manifest, once the unit is committed."""
        self._plan_hash, self._weights, self._micro_batch = plan_hash, weights, micro_batch
        self._tar_name = tar.format(unit=unit)
        self._synthetic = dict(synthetic or {})
        self._columns = {column.name: column for column in columns}
        self._schema = arrow_schema(columns)
        self._tmp = atomic.tmp_folder(folder, f"{unit:05d}")
        self._group = self._tmp / "arrays"
        self._arrays = {field: ArrayWriter(self._group / field, field, dtype) for field, dtype in arrays.items()}
        self._tar: TarWriter | None = None
        self._rows: dict[tuple[int, int], dict[str, Any]] = {}
        self._keys: set[str] = set()
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether rows may still be stored."""
        return self._open

    def ok(
        self,
        row: Row,
        *,
        images: Mapping[str, RGB] | None = None,
        arrays: Mapping[str, NDArray[Any]] | None = None,
        files: Mapping[str, bytes] | None = None,
        values: Mapping[str, Scalar] | None = None,
    ) -> None:
        """Store a row's product. If this raises, nothing of the row was taken: it may still be rejected.

        Args:
            row: the row.
            images: by field; stored as PNG members ``<key>.<field>.png``.
            arrays: by declared field; stored in the unit's Zarr group.
            files: by extension; stored as members ``<key>.<extension>``.
            values: the stage's own columns.

        Raises:
            StoreError: if the row was there before, or something does not fit its declaration.
        """
        record, key = self._record(row)
        where = f"sample {key}"
        for name, value in (values or {}).items():
            if name not in self._columns:
                raise StoreError(f"{where}: the stage gave column {name!r}, which it does not declare")
            record[name] = checked(self._columns[name], value, where)
        for field, array in (arrays or {}).items():
            if field not in self._arrays:
                raise StoreError(f"{where}: the stage gave array {field!r}, which it does not declare")
            self._arrays[field].check(key, array)
        members: dict[str, bytes] = {}
        for field, image in (images or {}).items():
            members[f"{key}.{field}.png"] = encode_png(image, f"{where}, image {field!r}", self._synthetic.get(field))
        for extension, data in (files or {}).items():
            if f"{key}.{extension}" in members:
                raise StoreError(f"{where}: two members are called '{key}.{extension}'")
            members[f"{key}.{extension}"] = bytes(data)
        for name, data in members.items():
            header(name, len(data))
        try:
            self._store(record, key, members, arrays or {})
        except OSError as error:
            # Half a member may lie in the file now; what follows would be unreadable.
            self.abort()
            raise StoreError(f"{where}: cannot be written below {self._folder} ({error}): is the disk full?") from error

    def _store(
        self, record: dict[str, Any], key: str, members: Mapping[str, bytes], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        digest, size = hashlib.sha256(), 0
        if members and self._tar is None:
            self._tar = TarWriter(self._tmp / "members")
        for name, data in members.items():
            if self._tar is not None:
                self._tar.add(name, data)
            digest.update(data)
            size += len(data)
        for field, writer in self._arrays.items():
            if field in arrays:
                array = little(arrays[field])
                writer.add(key, array)
                digest.update(array.data)
                size += array.nbytes
        record |= {"member": next(iter(members), None), "payload_digest": digest.hexdigest(), "payload_bytes": size}
        self._accept(record, key)

    def reject(self, row: Row, reason: Reason, detail: str) -> None:
        """Store that a row has no product, and why.

        Raises:
            StoreError: if the row was there before.
        """
        record, key = self._record(row)
        self._accept(record | {"status": reason.status.value, "reason": reason.value, "detail": detail_text(detail)}, key)

    def _accept(self, record: dict[str, Any], key: str) -> None:
        self._rows[record["row"], record["variant"]] = record
        self._keys.add(key)

    def _record(self, row: Row) -> tuple[dict[str, Any], str]:
        """The row's common columns and its key, after the checks that need no payload."""
        if not self._open:
            raise StoreError(f"unit {self._unit} in {self._folder}: the writer is closed")
        key = member_key(text(row.sample_id), row.variant)
        if not row.sample_id or any(mark in key for mark in "./\0"):
            raise StoreError(f"sample id {row.sample_id!r} is empty or holds a dot, a slash or a NUL")
        if (row.row, row.variant) in self._rows or key in self._keys:
            raise StoreError(f"sample {key}: row {row.row}, variant {row.variant} of unit {self._unit} was written before")
        record: dict[str, Any] = dict.fromkeys(self._schema.names)
        for name, value in (row.provenance or {}).items():
            if name not in _PROVENANCE:
                raise StoreError(f"sample {key}: {name!r} is not a column of provenance")
            record[name] = checked(_PROVENANCE[name], value, f"sample {key}")
        identity: dict[str, Scalar] = {
            "sample_id": row.sample_id,
            "parent_ids": list(row.parent_ids),
            "unit": self._unit,
            "row": row.row,
            "variant": row.variant,
            "seed": row.seed,
            "plan_hash": self._plan_hash,
            "weights": self._weights,
        }
        for name, value in identity.items():
            record[name] = checked(_BY_NAME[name], value, f"sample {key}")
        record["status"] = Status.OK.value
        return record, key

    def commit(self, planned: int, timing: Mapping[str, float] | None = None) -> UnitSummary:
        """Make the unit visible, complete and flushed; the manifest comes last.

        A unit that somebody else committed in the meantime stays as it is if its manifest has the same bytes.

        Args:
            planned: number of rows planned.
            timing: seconds (or other measures) by name, for the sidecar.

        Raises:
            StoreError: if rows are missing or too many, if the unit is committed with other content, or if another writer
                took the unit over.
        """
        if not self._open:
            raise StoreError(f"unit {self._unit} in {self._folder}: the writer is closed")
        try:
            counts = Counter(record["status"] for record in self._rows.values())
            ok, filtered, failed = (counts[status.value] for status in (Status.OK, Status.FILTERED, Status.FAILED))
            if planned != len(self._rows):
                raise StoreError(
                    f"unit {self._unit} in {self._folder}: {planned} rows were planned, but ok {ok} + filtered {filtered} + "
                    f"failed {failed} = {len(self._rows)}: every planned row must be stored or rejected"
                )
            rows = [self._rows[place] for place in sorted(self._rows)]
            digests = self._finish_payload([record for record in rows if record["status"] == Status.OK.value])
            reasons = Counter(record["reason"] for record in rows if record["reason"] is not None)
            size = sum(self._payload(name).stat().st_size for name in digests)
            facts = UnitFacts(
                summary=UnitSummary(self._unit, planned, ok, filtered, failed, dict(sorted(reasons.items())), size),
                tar=self._tar_name if self._tar_name in digests else None,
                arrays=tuple(field for field in self._arrays if (self._group / field).is_dir()),
                digests=digests,
                plan_hash=self._plan_hash,
                weights=self._weights,
                micro_batch=self._micro_batch,
                inputs=self._inputs,
                identity=rows_identity(self._plan_hash, rows),
                domain=self._domain,
            )
            manifest = encode_manifest(rows, self._schema, facts)
            self._publish(manifest, facts, timing)
            self.digest = hashlib.sha256(manifest).hexdigest()
        except OSError as error:
            raise StoreError(
                f"unit {self._unit} in {self._folder} could not be committed ({error}): "
                "another writer took it over, or the disk is full or read-only"
            ) from error
        finally:
            self.abort()
        return facts.summary

    def _finish_payload(self, ok: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Close tar and arrays, in row order; digests by final path inside the stage's folder."""
        digests: dict[str, str] = {}
        keys = [member_key(record["sample_id"], record["variant"]) for record in ok]
        if self._tar is not None:
            digests[self._tar_name] = self._finish_tar(self._tar, keys)
        for index, record in enumerate(ok):
            record["array_index"] = index
        name = group_path(self._folder, self._unit).name
        for field, writer in self._arrays.items():
            digests |= {f"{name}/{field}/{path}": digest for path, digest in writer.close(keys).items()}
        if self._group.is_dir():
            (self._group / "zarr.json").write_bytes(group_document())
            digests[f"{name}/zarr.json"] = hashlib.sha256(group_document()).hexdigest()
        return dict(sorted(digests.items()))

    def _finish_tar(self, tar: TarWriter, keys: Sequence[str]) -> str:
        digest = tar.close()
        place = {key: index for index, key in enumerate(keys)}
        ordered = sorted(tar.members, key=lambda member: place[member.name.partition(".")[0]])
        if ordered == tar.members:
            return digest
        (self._tmp / "members").rename(self._tmp / "unordered")
        return copy_members(self._tmp / "unordered", self._tmp / "members", ordered)

    def _payload(self, name: str) -> Path:
        """Where the payload file of that final name lies before the commit."""
        group = group_path(self._folder, self._unit).name + "/"
        return self._group / name.removeprefix(group) if name.startswith(group) else self._tmp / "members"

    def _publish(self, manifest: bytes, facts: UnitFacts, timing: Mapping[str, float] | None) -> None:
        target = manifest_path(self._folder, self._unit)
        if target.exists():
            if target.read_bytes() == manifest:
                return
            raise StoreError(
                f"{target}: unit {self._unit} is committed already, with other content: what made it was not deterministic, "
                "or it was made elsewhere; discard one of the two"
            )
        listing = {target.name: hashlib.sha256(manifest).hexdigest(), **facts.digests}
        lines = "".join(f"{digest}  {name}\n" for name, digest in listing.items())
        (self._tmp / "digests").write_text(lines, encoding="utf-8")
        (self._tmp / "timing").write_bytes(encode_timing(self._unit, timing or {}))
        (self._tmp / "manifest").write_bytes(manifest)
        atomic.fsync_tree(self._tmp)
        for source, path in (
            ("members", self._folder / self._tar_name),
            ("arrays", group_path(self._folder, self._unit)),
            ("digests", digests_path(self._folder, self._unit)),
            ("timing", timing_path(self._folder, self._unit)),
        ):
            if (self._tmp / source).exists():
                atomic.replace(self._tmp / source, path, self._tmp)
            else:
                atomic.remove(path)
        atomic.fsync_file(self._folder)
        atomic.replace(self._tmp / "manifest", target, self._tmp)
        atomic.fsync_file(self._folder)

    def abort(self) -> None:
        """Remove everything that was not committed. Does nothing after ``commit``."""
        if not self._open:
            return
        self._open = False
        if self._tar is not None:
            self._tar.abort()
        for writer in self._arrays.values():
            writer.abort()
        atomic.remove(self._tmp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()
