"""Trying rows of one reason again under other settings: which rows, and in which units."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import Added, read_added
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import IDENTITY
from fasgen.manifests.shard import committed_units
from fasgen.manifests.unit import manifest_path
from fasgen.pipeline.addition import build_addition, hashes, photograph_stages, recorded_hashes
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.plan import Plan, RunConfig
from fasgen.records import Reason
from fasgen.stages import STAGES

_STATE = ("sample_id", "variant", "reason")


def plan_retry(base: Plan, config: RunConfig, reason: str, *, targets: Mapping[str, str] = STAGES) -> Plan:
    """The plan that tries all photographs again that have ``reason`` by now, or finishes one that was begun.

    Args:
        base: the plan of the generations, under the settings that made them.
        config: the settings to try.
        reason: the reason, from the closed list.
        targets: stage name to ``module:attribute`` of its specification.

    Raises:
        ConfigError: the reason is none, or nothing differs.
        StoreError: no photograph has that reason, or all have been tried with these settings.
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
    before = [added for added in read_added(base.store) if set(added.plans) & {one.folder.name for one in base.stages.values()}]
    for added in before:
        begun = build_addition(base, config, added.samples, added.first, reason, targets=targets)
        if added.reason == reason and hashes(begun) == recorded_hashes(added) and begun.todo:
            return begun
    samples = _with_reason(base, reason, targets)
    if not samples:
        raise StoreError(
            f"{base.store}: no photograph has the reason {reason}; `fasgen status` counts the reasons, those of "
            "spoofs too, which are made once and not tried again"
        )
    taken = [unit for stage in base.stages.values() for unit in committed_units(stage.folder)]
    taken += [unit for added in before for unit in added.numbers]
    first = 1 + max([*base.listing.numbers, *taken])
    made = build_addition(base, config, samples, first, reason, targets=targets)
    if any(set(samples) <= set(added.samples) and _settings(made.addition) == _settings(added) for added in before):
        raise StoreError(
            f"the {len(samples)} photographs with the reason {reason} have been tried with these settings: change one"
        )
    same = [name for name, stage in made.stages.items() if stage.config == base.stages[name].config]
    if len(same) == len(made.stages):
        raise ConfigError("the settings are those that made the rows; give one that differs, as KEY=VALUE")
    return made


def _settings(added: Added) -> dict[str, dict[str, object]]:
    """All that decides the rows but which rows they are."""
    found = {folder: {name: plan.get(name) for name in IDENTITY if name != "upstream"} for folder, plan in added.plans.items()}
    document: dict[str, dict[str, object]] = json.loads(json.dumps(found))
    return document


def _with_reason(base: Plan, reason: str, targets: Mapping[str, str]) -> list[str]:
    """Ids of the photographs that have ``reason`` at any stage, in order of the listing; later units outweigh earlier ones."""
    known = photograph_stages({name: resolve(target) for name, target in targets.items()})
    found: set[str] = set()
    for name, stage in base.stages.items():
        if name not in known:
            continue
        state: dict[str, str | None] = {}
        for unit in committed_units(stage.folder):
            table = read_table(manifest_path(stage.folder, unit), _STATE)
            columns = (table[column].to_pylist() for column in _STATE)
            state.update({sample: why for sample, variant, why in zip(*columns, strict=True) if not variant})
        found.update(sample for sample, why in state.items() if why == reason)
    return [sample for sample in base.listing.sample_ids() if sample in found]
