"""Taking damaged units back, so that the next run makes them again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fasgen.audit.verification.findings import Finding
from fasgen.errors import StoreError
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.unit import damaged, digests_path, discard, manifest_path


def take_back(store: Path, findings: Iterable[Finding]) -> list[tuple[Path, int]]:
    """Take back the units whose files have other bytes than were committed.

    They are looked at once more under the store's lock: what a run has made again in the meantime stays.

    Args:
        store: the store.
        findings: of `fasgen.audit.verify.verify`.

    Returns:
        folder and number of those that were taken back.

    Raises:
        StoreError: another driver works on the store, or it cannot be written.
    """
    units = list(dict.fromkeys(finding.unit for finding in findings if finding.unit))
    taken = []
    with StoreLock(store):
        for folder, unit in units:
            if not manifest_path(folder, unit).exists() or not damaged(folder, unit):
                continue
            try:
                discard(folder, unit, _tar(folder, unit))
            except OSError as error:
                raise StoreError(f"{folder}: unit {unit} cannot be taken back ({error.strerror})") from error
            taken.append((folder, unit))
    return taken


def _tar(folder: Path, unit: int) -> str:
    """The name of a unit's tar, as the digests beside it have it; where those are damaged, what is made again replaces it."""
    listing = digests_path(folder, unit)
    lines = listing.read_text("utf-8", "replace").splitlines() if listing.is_file() else []
    names = (line.partition("  ")[2] for line in lines)
    return next((name for name in names if Path(name).name == name and name.endswith(".tar")), f"{unit:05d}.tar")
