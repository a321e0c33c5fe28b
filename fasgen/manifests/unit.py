"""A committed unit seen from outside: its file names, its summary, its commit mark."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests import atomic
from fasgen.records import LATER

KEY = b"fasgen"
"""Key of the unit's facts in the manifest's key-value metadata: one canonical JSON document."""

_KEY_VALUE = b"\x18" + bytes([len(KEY)]) + KEY + b"\x18"
_TAIL = 1 << 16
_MANIFEST = re.compile(r"(\d{5,})\.parquet")


@dataclass(frozen=True)
class UnitSummary:
    """What became of a unit's planned rows.

    Attributes:
        unit: number of the unit.
        planned: rows planned; always ``ok + filtered + failed``.
        ok: rows with a product.
        filtered: rows that a setting turned away.
        failed: rows on which something broke.
        reasons: count by reason, of filtered and failed rows.
        bytes: size of the payload files on disk (tar and arrays, not the manifest).
    """

    unit: int
    planned: int
    ok: int
    filtered: int
    failed: int
    reasons: dict[str, int]
    bytes: int


@dataclass(frozen=True)
class UnitFacts:
    """The unit-level facts of a manifest, readable without reading a row.

    Attributes:
        summary: the counts.
        tar: name of the tar, None if no row had a member.
        arrays: names of the array fields in declared order, those that no row had left out.
        digests: SHA-256 of every payload file by its path inside the stage's folder.
        plan_hash: the plan that made the unit.
        weights: digest of the weights that made it.
        micro_batch: samples a call, where memory was too small for the batch of the plan; else None. Another number of samples
            a call may change the last bits of what a network computes.
        inputs: digest over what the unit was made from (`fasgen.manifests.inputs`). It is believed only as long as that is
            what its rows are made from now.
        domain: digest of the determinism domain that it was made in, one of those in its generation's plan; empty where nobody
            said.
        identity: digest over the plan and the rows with their payload digests: what units below know it by.
    """

    summary: UnitSummary
    tar: str | None
    arrays: tuple[str, ...]
    digests: dict[str, str]
    plan_hash: str
    weights: str
    micro_batch: int | None = None
    inputs: str = ""
    identity: str = ""
    domain: str = ""

    def encode(self) -> bytes:
        """Canonical JSON."""
        document = asdict(self)
        if self.micro_batch is None:
            del document["micro_batch"]
        if not self.domain:
            del document["domain"]
        return canonical_json(document)

    @staticmethod
    def decode(data: bytes) -> UnitFacts:
        """The inverse of ``encode``."""
        document: dict[str, Any] = parse_json(data)
        summary = UnitSummary(**document.pop("summary"))
        return UnitFacts(summary=summary, arrays=tuple(document.pop("arrays")), **document)


def canonical_json(document: object) -> bytes:
    """The one JSON form of a document: keys sorted, no spaces, UTF-8; NaN and infinities are refused with ``ValueError``."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def manifest_path(folder: Path, unit: int) -> Path:
    """The manifest, whose presence is the commit."""
    return folder / f"{unit:05d}.parquet"


def group_path(folder: Path, unit: int) -> Path:
    """The Zarr group of the unit's arrays."""
    return folder / f"{unit:05d}.zarr"


def timing_path(folder: Path, unit: int) -> Path:
    """The sidecar of timings, outside every digest."""
    return folder / f"{unit:05d}.timing.parquet"


def digests_path(folder: Path, unit: int) -> Path:
    """SHA-256 of manifest and payload files as text that ``sha256sum --check`` reads."""
    return folder / f"{unit:05d}.sha256"


def member_key(sample_id: str, variant: int) -> str:
    """What the names of a row's tar members begin with."""
    return sample_id if variant == 0 else f"{sample_id}-{variant}"


def committed_units(folder: Path, tar: str = "{unit:05d}.tar") -> list[int]:
    """Numbers of the units committed in a stage's folder, ascending. Lists names and opens nothing."""
    if not folder.is_dir():
        return []
    matches = (_MANIFEST.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def unit_facts(folder: Path, unit: int) -> UnitFacts:
    """The unit-level facts, from the manifest's footer alone.

    Raises:
        StoreError: if the unit is not committed or its manifest is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = manifest_path(folder, unit)
    try:
        metadata = pq.read_metadata(path).metadata or {}
        return UnitFacts.decode(metadata[KEY])
    except FileNotFoundError:
        raise StoreError(f"{path}: unit {unit} is not committed: run its stage first") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: not a sound manifest ({error}): remove it and run the stage again") from None


def quick_facts(folder: Path, unit: int) -> UnitFacts:
    """The unit-level facts, from the manifest's last bytes alone.

    Raises:
        StoreError: if the unit is not committed, or its manifest is cut or its facts are damaged.
    """
    return _facts_at_end(manifest_path(folder, unit)) or unit_facts(folder, unit)


def unit_summary(folder: Path, unit: int) -> UnitSummary:
    """The counts of a committed unit, from the manifest's last bytes alone.

    Raises:
        StoreError: if the unit is not committed, or its manifest is cut or its facts are damaged.
    """
    return quick_facts(folder, unit).summary


def rows_identity(plan_hash: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """What a unit is known by: SHA-256 over its plan and all that its rows say, the digests of their payload included."""
    digest = hashlib.sha256(plan_hash.encode())
    for row in rows:
        said = {name: value for name, value in row.items() if value is not None or name not in LATER}
        digest.update(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii"))
    return digest.hexdigest()


def _facts_at_end(path: Path) -> UnitFacts | None:
    """The facts as they stand in the footer, which is not parsed; None where they are not found in that way.

    A run that is resumed asks tens of thousands of units, and most of a footer is statistics of columns. The facts are a
    ``KeyValue`` of Thrift's compact protocol: two strings, each behind the byte 0x18 and its length.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            tail = os.pread(descriptor, _TAIL, max(0, size - _TAIL))
        finally:
            os.close(descriptor)
        length = int.from_bytes(tail[-8:-4], "little")
        if tail[-4:] != b"PAR1" or length + 8 > len(tail) or tail.count(_KEY_VALUE) != 1:
            return None
        at = tail.index(_KEY_VALUE) + len(_KEY_VALUE)
        length = shift = 0
        while True:
            length |= (tail[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if tail[at - 1] < 0x80:
                break
        return UnitFacts.decode(tail[at : at + length])
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def check_manifest(folder: Path, unit: int) -> None:
    """Compare the manifest of a committed unit with the digest that was committed beside it.

    Raises:
        StoreError: it has other bytes.
    """
    path = manifest_path(folder, unit)
    try:
        lines = digests_path(folder, unit).read_text("utf-8").splitlines()
        whole = f"{atomic.file_digest(path)}  {path.name}" in lines
    except (OSError, UnicodeDecodeError):
        whole = False
    if not whole:
        raise StoreError(f"{path}: has other bytes than were committed: run `fasgen verify`")


def damaged(folder: Path, unit: int) -> list[Path]:
    """Files of a committed unit, its manifest among them, that have not the very bytes that were committed."""
    manifest = manifest_path(folder, unit)
    try:
        lines = digests_path(folder, unit).read_text("utf-8").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        expected |= unit_facts(folder, unit).digests
    except (OSError, StoreError, UnicodeDecodeError):
        return [manifest]
    if manifest.name not in expected:
        return [manifest]
    found = []
    for name, digest in expected.items():
        try:
            whole = atomic.file_digest(folder / name) == digest
        except OSError:
            whole = False
        if not whole:
            found.append(folder / name)
    return found


def discard(folder: Path, unit: int, tar: str = "{unit:05d}.tar") -> None:
    """Take a unit's commit back and remove its files, so that the next run makes it again."""
    # The commit mark goes first and is flushed, so that a kill in between leaves an uncommitted unit, never a hollow one.
    atomic.remove(manifest_path(folder, unit))
    if folder.is_dir():
        atomic.fsync_file(folder)
    for path in (
        group_path(folder, unit),
        timing_path(folder, unit),
        digests_path(folder, unit),
        folder / tar.format(unit=unit),
    ):
        atomic.remove(path)
