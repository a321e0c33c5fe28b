"""Taking a person out, and finishing the deliveries that were touched."""

from __future__ import annotations

from pathlib import Path

from fasgen.manifests import retract as room
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import generations, read_plan, sweep
from fasgen.manifests.shard import committed_units
from fasgen.manifests.tombstones import Tombstone
from fasgen.pipeline.graph import resolve
from fasgen.stages import specs


def retract(store: Path, tombstone: Tombstone) -> Tombstone:
    """Take a person out of a store while no driver works on it, and write index and data card of each delivery anew.

    Raises:
        StoreError: another driver works on the store, something in it is damaged, or it cannot be written.
    """
    with StoreLock(store):
        sweep(store)
        done = room.retract(store, tombstone)
        known = specs()
        for generation in generations(store):
            spec = known.get(generation.stage)
            if spec is not None and spec.finish and committed_units(generation.folder):
                resolve(spec.finish)(generation.folder, read_plan(generation.folder))
    return done
