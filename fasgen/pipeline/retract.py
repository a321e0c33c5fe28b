"""Taking a person out while no driver works on the store."""

from __future__ import annotations

from pathlib import Path

from fasgen.manifests import retract as room
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import sweep
from fasgen.manifests.tombstones import Tombstone


def retract(store: Path, tombstone: Tombstone) -> Tombstone:
    """Take a person out of a store while no driver works on it.

    Raises:
        StoreError: another driver works on the store, something in it is damaged, or it cannot be written.
    """
    with StoreLock(store):
        sweep(store)
        return room.retract(store, tombstone)
