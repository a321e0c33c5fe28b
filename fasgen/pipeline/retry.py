"""Trying rows of one reason again under other settings: which rows, and in which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import Added, read_added
from fasgen.manifests.parquet import read_table
from fasgen.manifests.unit import committed_units, manifest_path
from fasgen.pipeline.addition import build_addition, changes, photograph_stages
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.stage_planning import RunConfig
from fasgen.records import Reason
from fasgen.stages import STAGES

_STATE = ("sample_id", "variant", "reason")


def plan_retry(base: Plan, was: RunConfig, config: RunConfig, reason: str, *, targets: Mapping[str, str] = STAGES) -> Plan:
    """The plan that tries all photographs again that have ``reason`` by now, or finishes one that was begun.

    Args:
        base: the plan of the generations, under the settings that made them.
        was: those settings.
        config: the settings to try.
        reason: the reason, from the closed list.
        targets: stage name to ``module:attribute`` of its specification.

    Raises:
        ConfigError: the reason is none, or nothing differs.
        StoreError: no photograph has that reason, all have been tried with these settings, or the generations are not finished.
    """
    if reason not in set(Reason):
        raise ConfigError(f"there is no reason {reason!r}; the reasons are {', '.join(Reason)}")
    if reason == Reason.RETRACTED.value:
        raise ConfigError("who was taken out of a store is not tried again")
    if reason == Reason.GONE.value:
        raise ConfigError("whose file is gone cannot be tried again: put it back, and `fasgen run` makes it")
    if not any(stage.committed for stage in base.stages.values()):
        raise StoreError(
            f"{base.store}: holds nothing that was made under this configuration; say with --was what it was made with"
        )
    left = sum(len(stage.todo | stage.unsure) for stage in base.stages.values() if stage.committed)
    if left:
        raise StoreError(f"{base.store}: {left} units are not made yet, or not of what is there now: give `fasgen run` first")
    changed = changes(base, config)
    before = read_added(base.store, base.listing.unit_rows)
    for added in before:
        begun = build_addition(base, was, added, targets=targets)
        if (added.reason, added.changes) == (reason, changed) and begun.todo + begun.unsure:
            return begun
    samples = _with_reason(base, before, reason, targets)
    if not samples:
        raise StoreError(
            f"{base.store}: no photograph has the reason {reason}; `fasgen status` counts the reasons, those of "
            "spoofs too, which are made once and not tried again"
        )
    if not changed:
        raise ConfigError("the settings are those that made the rows; give one that differs, as KEY=VALUE")
    if any(set(samples) <= set(added.samples) and added.changes == changed for added in before):
        raise StoreError(
            f"the {len(samples)} photographs with the reason {reason} have been tried with these settings: change one"
        )
    unit_rows = base.listing.unit_rows
    units = -(-len(samples) // unit_rows)
    earlier = _holding(base, before, samples)
    new = Added(reason, unit_rows, base.listing.free, units, tuple(samples), earlier, changed)
    return build_addition(base, was, new, targets=targets)


def _with_reason(base: Plan, before: Sequence[Added], reason: str, targets: Mapping[str, str]) -> list[str]:
    """Ids of the photographs that have ``reason`` at any stage, in order of the listing; later units outweigh earlier ones."""
    known = photograph_stages({name: resolve(target) for name, target in targets.items()})
    numbers = {*base.listing.numbers, *(unit for added in before for unit in added.numbers)}
    found: set[str] = set()
    for name, stage in base.stages.items():
        if name not in known:
            continue
        state: dict[str, str | None] = {}
        for unit in committed_units(stage.folder):
            if unit not in numbers:
                continue
            table = read_table(manifest_path(stage.folder, unit), _STATE)
            columns = (table[column].to_pylist() for column in _STATE)
            for sample, variant, why in zip(*columns, strict=True):
                # What has its product does not lose it by being tried again.
                if not variant and state.get(sample, reason) is not None:
                    state[sample] = why
        found.update(sample for sample, why in state.items() if why == reason)
    return [sample for sample in base.listing.sample_ids() if sample in found]


def _holding(base: Plan, before: Sequence[Added], samples: Sequence[str]) -> tuple[int, ...]:
    """The units that hold any of the samples, ascending."""
    at = np.flatnonzero(np.isin(base.listing.ids, np.array([int(sample, 16) for sample in samples], np.uint64)))
    found = {unit for unit, (start, stop) in base.listing.cut.items() if ((at >= start) & (at < stop)).any()}
    found |= {unit for added in before if not set(samples).isdisjoint(added.samples) for unit in added.numbers}
    return tuple(sorted(found))
