"""Taking a person out, and finishing the deliveries that were touched."""

from __future__ import annotations

from pathlib import Path

from fasgen.manifests import retract as room
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import generations, read_plan, sweep
from fasgen.manifests.report.delivery import FINISH, finish
from fasgen.manifests.shard import committed_units
from fasgen.manifests.tombstones import Tombstone


def retract(store: Path, tombstone: Tombstone) -> Tombstone:
    """Take a person out of a store while no driver works on it, and write index and data card of each delivery anew.

    Raises:
        StoreError: another driver works on the store, something in it is damaged, or it cannot be written.
    """
    with StoreLock(store):
        sweep(store)
        done = room.retract(store, tombstone)
        for generation in generations(store):
            plan = read_plan(generation.folder)
            # Only this one is called: no file decides which code runs.
            if plan.get("finish") == FINISH and committed_units(generation.folder):
                finish(generation.folder, plan)
    return done
