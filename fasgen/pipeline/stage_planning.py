"""The part of one stage in a run is found: its hash, its generation, what of it is committed and believed, what is to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fasgen.errors import StoreError
from fasgen.manifests.added_file import Again
from fasgen.manifests.inputs import Identities, Inputs, roster_basis
from fasgen.manifests.plan_file import FORMAT
from fasgen.manifests.roster_file import basis_of
from fasgen.manifests.unit import UnitFacts, UnitSummary, committed_units, quick_facts
from fasgen.manifests.weights import digest_weights
from fasgen.pipeline.batch import Batches, begun, is_auto
from fasgen.pipeline.graph import SOURCES, plan_hash, resolve
from fasgen.pipeline.listing import Listing
from fasgen.pipeline.resources import Resources, domain
from fasgen.pipeline.selecting import check_filter, with_rows
from fasgen.pipeline.stage_plan import StagePlan, kernels_measured
from fasgen.pipeline.wiring import Wiring
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageSpec


class RunConfig(Protocol):
    """What the plan reads of the root configuration; each stage's own configuration is the attribute of the stage's name."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        ...

    @property
    def unit_rows(self) -> int | None:
        """Rows of a unit; None leaves it to the store, and to the number of rows."""
        ...

    @property
    def sources(self) -> Sequence[SourceConfig]:
        """What is processed."""
        ...


@dataclass(frozen=True)
class StageInputs:
    """What every stage of a run is planned from.

    Attributes:
        config: the root configuration.
        store: the store.
        rows: the rows of the run.
        targets: stage name to ``module:attribute`` of its specification.
        resources: what the run uses.
        batches: finds the batch, where it is left to the device and no unit is committed yet.
        identities: by what units are known; learns those of each stage.
        judged: states in which all units of a generation were found to be believed, by its folder.
        plans: what is planned already, in order.
    """

    config: RunConfig
    store: Path
    rows: Listing
    targets: Mapping[str, str]
    resources: Resources
    batches: Batches
    identities: Identities
    judged: Mapping[str, str] = field(default_factory=dict)
    plans: dict[str, StagePlan] = field(default_factory=dict)


def plan_stage(name: str, wiring: Wiring, given: StageInputs, *, wanted: bool, folder: Path | None = None) -> StagePlan:
    """The part of one stage, whose upstreams are planned already.

    Args:
        name: of what the stage makes of its lane.
        wiring: what it reads.
        given: what all stages are planned from.
        wanted: whether this run makes it.
        folder: the generation that its units are added to; ``None``: its own.

    Raises:
        WeightsError: its weights are not there.
        FilterError, StoreError: it chooses rows by what is no filter, or by a protocol that was not laid over the store.
    """
    target, rows, above, store = given.targets[wiring.stage], given.rows, given.plans, given.store
    base: StageSpec = resolve(target)
    own: Any = section(base, given.config, store)
    spec = base.of(own)
    check_filter(wiring.stage, own, {stage: above[stage].spec.columns for stage in wiring.stages})
    weights = digest_weights(spec.weights(own))
    upstream = {stage: above[stage].plan_hash for stage in wiring.stages} or {SOURCES: FORMAT}

    def hashed(own: Any) -> str:
        batch = spec.batch(own)
        return plan_hash(
            name, spec, own, weights=weights, upstream=upstream, unit_rows=rows.unit_rows, seed=given.config.seed, batch=batch
        )

    why = ""
    if is_auto(own):
        # What was begun is finished as it was begun, on whatever device.
        settled = (own.model_copy(update={"batch": size}) for size in begun(store, name))
        kept = next((each for each in settled if committed_units(store / f"{name}-{hashed(each)[:8]}")), None)
        if kept is None:
            most = rows.unit_rows * (spec.roster.variants(own) if spec.roster else 1)
            size, why = given.batches.choose(spec, target, own, weights, _side(wiring, above), most, measuring=wanted)
            own = own.model_copy(update={"batch": size})
        else:
            own, why = kept, "recorded in the store"
    batch, digest = spec.batch(own), hashed(own)
    folder = folder or store / f"{name}-{digest[:8]}"
    units = rows.units
    everything = frozenset(rows.numbers)
    inputs = _inputs(spec, wiring, folder, given)
    there = _Found(folder, digest, everything, given.identities)
    known = _known(spec, wiring, folder, given)
    committed = there.believed(known, inputs, rows, given.judged)
    open_ = everything - frozenset(committed)
    unsure = frozenset(there.facts) - known
    stale = frozenset(there.facts) - unsure - frozenset(committed)
    barred = [stage for stage in wiring.whole if above[stage].will_have != everything]
    todo: frozenset[int] = frozenset()
    if wanted and not barred:
        todo = open_.intersection(*(above[stage].will_have for stage in wiring.stages))
    lacks: dict[str, int] = {}
    for stage in wiring.stages if wanted else ():
        lacking = len(open_ if stage in barred else open_ - above[stage].will_have)
        # A wanted upstream that lacks units names, in its own plan, the stage that is truly missing.
        if lacking and not above[stage].wanted:
            lacks[stage] = lacking
    return StagePlan(
        name,
        target,
        spec,
        wiring,
        own,
        digest,
        weights,
        upstream,
        batch,
        why,
        folder,
        wanted,
        units,
        committed,
        stale,
        unsure & todo if wanted else unsure,
        todo - unsure,
        lacks,
        domain(given.resources, accelerator=spec.device == "accelerator", measured=kernels_measured(own)),
        inputs,
    )


def section(spec: StageSpec, config: RunConfig, store: Path) -> Any:
    """The configuration of a stage, with what the store says of it.

    Raises:
        StoreError: it names a protocol that was not laid over the store.
    """
    return with_rows(spec.settle(getattr(config, spec.name), store), store)


def _side(wiring: Wiring, above: Mapping[str, StagePlan]) -> int:
    """Side of the crops that come to a stage, px: the ``size`` of the nearest stage above that has one; 0 if none has."""
    nearest = list(wiring.stages)
    while nearest:
        for name in nearest:
            size = getattr(above[name].config, "size", None)
            if isinstance(size, int):
                return size
        nearest = [upper for name in nearest for upper in above[name].wiring.stages]
    return 0


class _Found:
    """The units that lie in a generation."""

    def __init__(self, folder: Path, plan_hash: str, everything: frozenset[int], identities: Identities) -> None:
        self._plan_hash = plan_hash
        self.facts: dict[int, UnitFacts] = {}
        for unit in committed_units(folder) if folder.is_dir() else ():
            if unit in everything:
                # One whose manifest is damaged is made again like one that is not there.
                with suppress(StoreError):
                    self.facts[unit] = facts = quick_facts(folder, unit)
                    identities.learn(folder, unit, facts.identity)

    def believed(
        self, known: frozenset[int], inputs: Inputs | None, rows: Listing, judged: Mapping[str, str]
    ) -> dict[int, UnitSummary]:
        """Those of ``known`` that were made from what is there now."""
        if inputs and inputs.guides and not rows.before and known >= frozenset(self.facts):
            own = {unit: facts.inputs for unit, facts in self.facts.items()}
            if judged.get(inputs.folder.name) == inputs.state(own, rows.numbers):
                # Rows of guides lie all over the store: to look at each of them takes longer than all else of a plan.
                return {unit: facts.summary for unit, facts in self.facts.items() if facts.plan_hash == self._plan_hash}
        made_from = inputs.of if inputs else rows.inputs
        return {
            unit: facts.summary
            for unit, facts in self.facts.items()
            if unit in known and fits(facts, self._plan_hash, made_from(unit))
        }


def fits(facts: UnitFacts, plan_hash: str, inputs: str) -> bool:
    return bool(inputs) and (facts.plan_hash, facts.inputs) == (plan_hash, inputs)


def _inputs(spec: StageSpec, wiring: Wiring, folder: Path, given: StageInputs) -> Inputs | None:
    if not wiring.sets:
        return None
    rows, above = given.rows, given.plans
    reads = {stage: above[stage].folder for stage in wiring.reads}
    guides = {read.stage: (above[read.stage].folder, tuple(read.columns)) for read in wiring.guides}
    own: Mapping[int, Again] = {}
    if spec.shipped and rows.before:
        own = dict.fromkeys(rows.numbers, Again(frozenset(rows.sample_ids()), rows.earlier))
    return Inputs(folder, reads, spec.roster is not None, wiring.guided_by, guides, given.identities, own)


def _known(spec: StageSpec, wiring: Wiring, folder: Path, given: StageInputs) -> frozenset[int]:
    """Units of which it is known what they are made from, since all of it is committed."""
    rows, above, everything = given.rows, given.plans, frozenset(given.rows.numbers)
    if any(frozenset(above[stage].committed) != everything for stage in wiring.whole):
        return frozenset()
    if spec.roster:
        first, source = rows.first if rows.before else 0, above[spec.roster.source].folder
        if basis_of(folder, first) != roster_basis(folder, first, source, (*rows.before, *everything), given.identities):
            return frozenset()
    known = everything
    for stage in wiring.reads:
        known &= frozenset(above[stage].committed)
    return known
