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
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.stage_planning import RunConfig, StageInputs, plan_stage
from fasgen.pipeline.wiring import Lanes, Wiring, wire
from fasgen.records import PHOTOGRAPHED
from fasgen.sources.config import SourceConfig
from fasgen.stages import STAGES
from fasgen.stages.settings import merge
from fasgen.stages.stage import StageConfig, StageSpec


def photograph_stages(specs: Mapping[str, StageSpec]) -> list[str]:
    """What is made of photographs, and of nothing that was made of them."""
    return [name for name, (_, lanes) in Lanes(specs).makes.items() if lanes == (PHOTOGRAPHED,)]


def build_addition(base: Plan, config: RunConfig, added: Added, *, targets: Mapping[str, str] = STAGES) -> Plan:
    """The plan that tries some photographs again under other settings, in units added to the generations of ``base``.

    Seeds are those of the samples, as ever; the plan hash is that of the settings with what is changed in them, and every added
    row has it. Live faces of which no spoof was planned before get a roster of their own.

    Args:
        base: the plan of the generations; what it does not make, this one does not make either.
        config: the configuration of the generations.
        added: the photographs, and what is changed for them.
        targets: stage name to ``module:attribute`` of its specification.

    Raises:
        ConfigError: a photograph was never among the sources.
        ValidationError: the changes do not fit the configuration.
    """
    bare: dict[str, StageSpec] = {name: resolve(target) for name, target in targets.items()}
    settings = _changed(base, config, added.changes)
    own = {name: spec.settle(getattr(settings, name), base.store) for name, spec in bare.items()}
    wired = _begun(wire({name: spec.of(own[name]) for name, spec in bare.items()}, own.__getitem__), base)
    rows = listing.only(base.listing, added.samples, added.first, added.earlier)
    given = StageInputs(settings, base.store, rows, targets, base.resources, Batches(base.resources), base.identities)
    for name, wiring in wired.items():
        stage = base.stages[name]
        given.plans[name] = plan_stage(name, wiring, given, wanted=stage.wanted, folder=stage.folder)
    return Plan(base.store, config.seed, rows, given.plans, base.resources, base.identities, added, base.standing)


@dataclass(frozen=True)
class _Changed:
    """A root configuration in which some sections are others."""

    base: RunConfig
    seed: int
    unit_rows: int
    sources: Sequence[SourceConfig]
    sections: Mapping[str, StageConfig]

    def __getattr__(self, name: str) -> Any:
        sections: Mapping[str, StageConfig] = object.__getattribute__(self, "sections")
        return sections[name] if name in sections else getattr(object.__getattribute__(self, "base"), name)


def _changed(base: Plan, config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """``config`` with the changes, and with the batches of the generations where it leaves them to the device."""
    sections: dict[str, StageConfig] = {}
    for stage in base.stages.values():
        own: StageConfig = sections.get(stage.spec.name) or getattr(config, stage.spec.name)
        if is_auto(own):
            own = own.model_copy(update={"batch": stage.batch})
        sections[stage.spec.name] = own
    for key, change in changes.items():
        if key in sections:
            own = sections[key]
            sections[key] = type(own).model_validate(merge(own.model_dump(mode="json"), change))
    return _Changed(config, config.seed, base.listing.unit_rows, config.sources, sections)


def changes(base: Plan, config: RunConfig) -> dict[str, Any]:
    """What ``config`` changes in the settings of the generations of ``base``, by sections."""
    found: dict[str, Any] = {}
    for stage in base.stages.values():
        own: StageConfig = getattr(config, stage.spec.name)
        if is_auto(own):
            own = own.model_copy(update={"batch": stage.batch})
        if own != stage.config:
            found[stage.spec.name] = _difference(stage.config.model_dump(mode="json"), own.model_dump(mode="json"))
    return found


def _difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: (was.get(name), value) for name, value in now.items() if was.get(name) != value}
    return {
        name: _difference(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        for name, (before, value) in both.items()
    }


def additions(
    base: Plan, config: RunConfig, *, targets: Mapping[str, str] = STAGES
) -> tuple[list[Plan], list[tuple[Added, str]]]:
    """The plans of all that was added to the generations of ``base``, in order.

    Args:
        base: the plan of the generations.
        config: the configuration that makes them.
        targets: stage name to ``module:attribute`` of its specification.

    Returns:
        the plans, and the additions that cannot be made under this configuration, each with why.

    Raises:
        StoreError: an addition is damaged.
    """
    found: list[Plan] = []
    left: list[tuple[Added, str]] = []
    for added in read_added(base.store):
        if added.unit_rows != base.listing.unit_rows:
            left.append((added, f"was added to units of {added.unit_rows} rows, and unit_rows is {base.listing.unit_rows}"))
            continue
        try:
            found.append(build_addition(base, config, added, targets=targets))
        except (FasgenError, ValidationError) as error:
            left.append((added, " ".join(str(error).split())))
    return found, left


def _begun(wired: Mapping[str, Wiring], base: Plan) -> dict[str, Wiring]:
    """What there is work to add to: what was never made cannot be added to, nor what reads it."""
    found: dict[str, Wiring] = {}
    for name, wiring in wired.items():
        lanes = {lane: tuple(r for r in reads if not r.cue or r.stage in found) for lane, reads in wiring.lanes.items()}
        lanes = {lane: reads for lane, reads in lanes.items() if all(read.stage in found for read in reads)}
        begun = name in base.stages and base.stages[name].committed
        if begun and next(iter(wiring.lanes)) in lanes and all(read.stage in found for read in wiring.guides):
            found[name] = replace(wiring, lanes=lanes)
    return found
