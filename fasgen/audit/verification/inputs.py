"""Every unit against what lies there now: whether it was made from that, or is stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fasgen.audit.verification.findings import Finding, Learnt, remark
from fasgen.errors import StoreError
from fasgen.manifests.added_file import read_added
from fasgen.manifests.inputs import Identities, Made
from fasgen.manifests.places_file import UNKNOWN, Places, read_places, rows_digest
from fasgen.manifests.unit import manifest_path, quick_facts


def check_inputs(store: Path, stages: Mapping[str, Learnt]) -> Iterator[Finding]:
    """Units that were made from something else than lies there now, or than the last run saw of the sources.

    They are warnings: each is what its manifest says, and the next run of its generation makes it again. The stages learn them.
    """
    yield from _directly(store, stages)
    # What was made from a stale unit says of it what it was.
    for _ in stages:
        for stage in stages.values():
            above = (stages[digest] for digest in stage.plan.get("upstream", {}).values() if digest in stages)
            stage.stale |= {unit for each in above for unit in each.stale if unit in stage.planned}


def _directly(store: Path, stages: Mapping[str, Learnt]) -> Iterator[Finding]:
    identities, places = Identities(), dict[int, _Rows]()
    for stage in stages.values():
        unit_rows = stage.plan.get("unit_rows")
        if not stage.planned or not isinstance(unit_rows, int):
            continue
        try:
            made = Made.read(stage.folder, identities)
            if made is None and unit_rows not in places:
                places[unit_rows] = _Rows(store, unit_rows)
            of = made.of if made else places[unit_rows].of
            for unit in sorted(stage.planned):
                now = of(unit)
                if now and quick_facts(stage.folder, unit).inputs != now:
                    stage.stale.add(unit)
                    path = manifest_path(stage.folder, unit)
                    yield remark(path, "was made from something else than is there now: `fasgen run` makes it again")
        except (StoreError, LookupError, TypeError, ValueError):
            # What is damaged, and why nothing can be said of these units, has been named already.
            continue


class _Rows:
    """The rows of units of one length, as the last run saw them."""

    def __init__(self, store: Path, unit_rows: int) -> None:
        self._places: Places = read_places(store, unit_rows)
        self._added = {unit: one for one in read_added(store, unit_rows) for unit in one.numbers}
        self._unit_rows = unit_rows
        self._order = np.argsort(self._places.ids)

    def of(self, unit: int) -> str:
        """What a unit of these rows is believed by; empty where no run has seen them."""
        ids, seen = self._places.ids, self._places.seen
        if added := self._added.get(unit):
            start = (unit - added.first) * self._unit_rows
            wanted = np.array([int(sample, 16) for sample in added.samples[start : start + self._unit_rows]], np.uint64)
            at = self._order[np.searchsorted(ids, wanted, sorter=self._order)]
        elif unit in self._places.units:
            at = np.arange(*self._places.units[unit])
        else:
            return ""
        known = not (seen[at] == UNKNOWN).all(axis=1).any()
        return rows_digest(ids[at], seen[at]) if known else ""
