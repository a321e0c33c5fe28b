"""Units that are added to finished generations: photographs tried again under other settings, and the spoofs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from fasgen.errors import FasgenError
from fasgen.manifests.added_file import Added, read_added
from fasgen.pipeline import listing
from fasgen.pipeline.batch import Batches, is_auto
from fasgen.pipeline.graph import Wiring, resolve, wire
from fasgen.pipeline.plan import Plan, RunConfig, plan_stage
from fasgen.pipeline.stage_plan import StagePlan
from fasgen.sources.config import SourceConfig
from fasgen.stages import STAGES
from fasgen.stages.stage import StageConfig, StageSpec


def photograph_stages(specs: Mapping[str, StageSpec]) -> list[str]:
    """The stages that treat photographs and nothing that was made of them."""
    kept: list[str] = []
    for name, spec in specs.items():
        if spec.roster is None and all(read.stage in kept for read in spec.reads):
            kept.append(name)
    return kept


def build_addition(
    base: Plan, config: RunConfig, samples: Sequence[str], first: int, reason: str, *, targets: Mapping[str, str] = STAGES
) -> Plan:
    """The plan that tries some photographs again under other settings, in units added to the generations of ``base``.

    Every stage that has work there makes them anew. Seeds are those of the samples, as ever; the plan hash is that of the new
    settings, of these rows alone and of the generations that their guides are from, and every added row has it. Live faces of
    which no spoof was planned before get a roster of their own.

    Args:
        base: the plan of the generations.
        config: the new configuration.
        samples: ids of the photographs.
        first: number of the first added unit.
        reason: why they had no product.
        targets: stage name to ``module:attribute`` of its specification.

    Raises:
        ConfigError: a photograph is not among the sources any more.
    """
    specs = _begun({name: resolve(target) for name, target in targets.items()}, base)
    config = _settled(config, base)
    wired = wire(specs, lambda section: getattr(config, section))
    rows = listing.only(base.listing, samples, first, _met(base, wired))
    plans: dict[str, StagePlan] = {}
    will_have: dict[str, frozenset[int]] = {}
    for name in wired:
        plan = plan_stage(
            name,
            targets[name],
            specs[name],
            wired[name],
            config,
            base.store,
            rows,
            plans,
            will_have,
            True,
            base.resources,
            Batches(base.resources),
            base.identities,
            base.stages[name].folder,
        )
        plans[name] = plan
        will_have[name] = plan.will_have
    return Plan(base.store, config.seed, rows, plans, base.resources, base.identities, reason)


@dataclass(frozen=True)
class _Recorded:
    """A root configuration in which some sections are as they were recorded."""

    base: RunConfig
    seed: int
    unit_rows: int
    sources: Sequence[SourceConfig]
    sections: Mapping[str, StageConfig]

    def __getattr__(self, name: str) -> Any:
        sections: Mapping[str, StageConfig] = object.__getattribute__(self, "sections")
        return sections[name] if name in sections else getattr(object.__getattribute__(self, "base"), name)


def additions(
    base: Plan, config: RunConfig, *, targets: Mapping[str, str] = STAGES
) -> tuple[list[Plan], list[tuple[Added, str]]]:
    """The plans of all that was added to the generations of ``base``, with the settings that the store recorded for it.

    Weights lie where ``config`` has them.

    Args:
        base: the plan of the generations.
        config: the configuration that made them.
        targets: stage name to ``module:attribute`` of its specification.

    Returns:
        the plans that have the very hashes that were recorded, and the other additions, each with why it has none.

    Raises:
        StoreError: an addition is damaged.
    """
    found: list[Plan] = []
    left: list[tuple[Added, str]] = []
    folders = {stage.folder.name for stage in base.stages.values()}
    for added in read_added(base.store):
        if not folders & set(added.plans):
            continue
        try:
            settings = _recorded(base, config, added)
            made = build_addition(base, settings, added.samples, added.first, added.reason, targets=targets)
        except (FasgenError, ValidationError) as error:
            left.append((added, " ".join(str(error).split())))
            continue
        wanted, has = recorded_hashes(added), hashes(made)
        other = sorted(folder for folder in wanted.keys() | has.keys() if wanted.get(folder) != has.get(folder))
        if other:
            why = "other weights, another version, or not all stages are asked for"
            left.append((added, f"{other[0]} has another plan for them: {why}"))
        else:
            found.append(made)
    return found, left


def _recorded(base: Plan, config: RunConfig, added: Added) -> _Recorded:
    sections: dict[str, StageConfig] = {}
    for stage in base.stages.values():
        plan = added.plans.get(stage.folder.name)
        if plan is not None:
            settings = _merged(plan.get("config"), stage.config.model_dump())
            sections[stage.spec.key] = type(stage.config).model_validate(settings)
    return _Recorded(config, base.seed, base.listing.unit_rows, config.sources, sections)


def _merged(recorded: Any, now: Any) -> Any:
    """What was recorded, with the paths of today where it only says that weights lay there."""
    if isinstance(recorded, Mapping):
        known = now if isinstance(now, Mapping) else {}
        return {name: _merged(value, known.get(name)) for name, value in recorded.items()}
    return now if recorded == "weights" and now is not None else recorded


def _settled(config: RunConfig, base: Plan) -> RunConfig:
    """``config`` with the batches of the generations that are added to, where it leaves them to the device."""
    sections: dict[str, StageConfig] = {}
    for stage in base.stages.values():
        section = getattr(config, stage.spec.key)
        if is_auto(section):
            sections.setdefault(stage.spec.key, section.model_copy(update={"batch": stage.batch}))
    return _Recorded(config, config.seed, base.listing.unit_rows, config.sources, sections) if sections else config


def hashes(plan: Plan) -> dict[str, str]:
    """Plan hash by generation's folder."""
    return {stage.folder.name: stage.plan_hash for stage in plan.stages.values()}


def recorded_hashes(added: Added) -> dict[str, str]:
    """The same, as an addition was recorded with them."""
    return {folder: str(plan.get("plan_hash")) for folder, plan in added.plans.items()}


def _begun(specs: Mapping[str, StageSpec], base: Plan) -> dict[str, StageSpec]:
    """The stages that have work to add to: what was never made cannot be added to, nor what reads it."""
    there = {name for name in specs if name in base.stages and base.stages[name].committed}
    reads = {name: {read.stage for read in (*specs[name].reads, *specs[name].guides)} for name in there}
    while lacking := {name for name in there if not reads[name] <= there}:
        there -= lacking
    return {
        name: spec if all(read.stage in there for read in spec.also) else replace(spec, also=())
        for name, spec in specs.items()
        if name in there
    }


def _met(base: Plan, wired: Mapping[str, Wiring]) -> dict[str, str]:
    """Plan hash of every generation that guides are from."""
    return {stage: base.stages[stage].plan_hash for wiring in wired.values() for stage in wiring.whole}
