"""What a run would do: every stage's generation in the store, what is committed, what is to do, what is not there yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import Added, Again, again, read_added, write_added
from fasgen.manifests.inputs import Identities, Inputs, read_judged, roster_basis, write_judged
from fasgen.manifests.plan_file import FORMAT, read_current, read_plan, write_plan
from fasgen.manifests.roster_file import basis_of
from fasgen.manifests.shard import UnitSummary, committed_units, discard
from fasgen.manifests.tombstones import Retracted, read_tombstones
from fasgen.manifests.unit import UnitFacts, manifest_path, quick_facts
from fasgen.manifests.weights import digest_weights
from fasgen.pipeline import listing
from fasgen.pipeline.batch import Batches, begun, is_auto
from fasgen.pipeline.engine import UnitTask, UpstreamUnit
from fasgen.pipeline.graph import SOURCES, plain, plan_hash, resolve
from fasgen.pipeline.listing import Listing
from fasgen.pipeline.resources import Resources, claim, domain, domain_digest, machine
from fasgen.pipeline.roster import draw_roster, extend_roster
from fasgen.pipeline.schedule import Assign, Key, Kind, StageWork
from fasgen.pipeline.stage_plan import StagePlan, kernels_measured
from fasgen.pipeline.wiring import Lanes, Wiring, wire, with_ancestors
from fasgen.sources.config import SourceConfig
from fasgen.stages import STAGES
from fasgen.stages.stage import StageSpec


class RunConfig(Protocol):
    """What the plan reads of the root configuration; each stage's own configuration is the attribute of the stage's name."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        ...

    @property
    def unit_rows(self) -> int:
        """Rows of a unit."""
        ...

    @property
    def sources(self) -> Sequence[SourceConfig]:
        """What is processed."""
        ...


@dataclass(frozen=True)
class Plan:
    """A run, before it begins. Building it writes nothing.

    Attributes:
        store: the store.
        seed: the run's seed.
        listing: the rows.
        stages: wanted stages and all they read, in order.
        resources: what the run uses.
        identities: by what units are known.
        tried_again: what the rows are, where they are tried again in units that are added to finished generations.
        standing: digest over who was taken out and what was added when it was built.
        ahead: stages that this run makes because those that were asked for read them, and for nothing else.
    """

    store: Path
    seed: int
    listing: Listing
    stages: Mapping[str, StagePlan]
    resources: Resources
    identities: Identities
    tried_again: Added | None = None
    standing: str = ""
    ahead: frozenset[str] = frozenset()
    _drawn: set[str] = field(default_factory=set)
    _entered: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    @property
    def wanted(self) -> list[StagePlan]:
        """The stages that this run makes, in order."""
        return [stage for stage in self.stages.values() if stage.wanted]

    @property
    def todo(self) -> int:
        """Units that this run has to make and can make, over all stages."""
        return sum(len(stage.todo) for stage in self.wanted)

    @property
    def unsure(self) -> int:
        """Units over all stages of which upstream must say first whether they are stale."""
        return sum(len(stage.unsure) for stage in self.wanted)

    @property
    def staff(self) -> Resources:
        """The resources, less the workers that could never be busy: more of a kind than any of its stages has units to do."""
        most = {True: 0, False: 0}
        for stage in self.wanted:
            on_gpu = self.kind(stage) == "accelerator"
            most[on_gpu] = max(most[on_gpu], len(stage.todo) + len(stage.unsure))
        gpus, cpus = min(self.resources.gpus, most[True]), min(self.resources.cpus, most[False])
        growing = {kind: min(limit, most[kind == "accelerator"]) for kind, limit in self.resources.growing.items()}
        return replace(self.resources, gpus=gpus, cpus=cpus, growing=growing)

    def notes(self) -> list[str]:
        """What is not there yet and which command makes it; and where a generation was begun on another kind of machine."""
        notes: list[str] = []
        first = {stage.name: len(stage.todo) + len(stage.unsure) for stage in self.wanted if stage.name in self.ahead}
        if any(first.values()):
            named = ", ".join(f"{name} ({_units(count)})" for name, count in first.items() if count)
            asked = ", ".join(stage.name for stage in self.wanted if stage.name not in self.ahead)
            notes.append(f"{asked}: what it is made from comes first: {named}; --only leaves that out")
        for stage in self.wanted:
            for upstream, lacking in stage.lacks.items():
                there = len(self.stages[upstream].committed)
                notes.append(
                    f"{stage.name}: {lacking} of {stage.units} units wait for {upstream}, which has committed {there}; "
                    f"make the rest with: fasgen run stage={upstream}, or leave --only out"
                )
            begun = stage.begun()
            # Of a cluster its workers say it, when they come.
            here = not self.resources.address
            if here and stage.todo and stage.committed and begun and dict(stage.domain) not in begun:
                notes.append(
                    f"{stage.name}: {len(stage.committed)} units were made under other library versions or on another device; "
                    "what is added now may differ from them in the last bits (plan.json lists both)"
                )
            elif stage.todo and stage.committed and kernels_measured(stage.config):
                notes.append(
                    f"{stage.name}: its kernels are chosen by measuring them ({stage.spec.name}.compile=max); what is added "
                    f"now may differ in the last bits from the {len(stage.committed)} units that are there"
                )
        return notes

    def write(self) -> None:
        """Write the listing, and ``plan.json`` of every stage that this run makes or reads.

        The generation whose plan was written last is the one that queries look at, so those that are only read count too.
        The plans of added units lie beside those.
        """
        if self.standing != _standing(self.store):
            raise StoreError(f"{self.store}: another command has changed it since this run was planned: give the command again")
        first = self.tried_again.first if self.tried_again else 0
        if self.tried_again:
            write_added(self.store, self.tried_again)
        else:
            self.listing.write(self.store)
        for stage in self.stages.values():
            if stage.wanted or stage.committed:
                stage.folder.mkdir(parents=True, exist_ok=True)
                write_plan(stage.folder, self.record(stage), first)

    def delivered(self, stage: StagePlan) -> Mapping[str, object]:
        """The plan that the delivery of ``stage`` is finished by."""
        return read_plan(stage.folder) if self.tried_again else self.record(stage)

    def record(self, stage: StagePlan) -> dict[str, object]:
        """What ``plan.json`` of ``stage`` holds."""
        located = tuple(stage.spec.weights(stage.config).values())
        domains = stage.begun() if stage.committed and not self.tried_again else []
        domains += [each for each in self._entered.get(stage.name, ()) if each not in domains]
        return {
            "stage": stage.name,
            "version": stage.spec.version,
            "summary": stage.spec.summary,
            "plan_hash": stage.plan_hash,
            "config": plain(stage.config, located),
            "weights": dict(stage.weights),
            "upstream": dict(stage.upstream),
            "primaries": list(stage.wiring.primaries),
            "reads": list(stage.wiring.reads),
            "guides": {read.stage: list(read.columns) for read in stage.wiring.guides},
            "guided_by": stage.wiring.guided_by,
            "roster": stage.spec.roster is not None,
            "shipped": stage.spec.shipped,
            "lanes": list(stage.wiring.lanes),
            "picture": stage.spec.picture,
            "arrays": [array.name for array in stage.spec.arrays],
            "cues": [asdict(cue) for cue in stage.spec.cues],
            "gathers": [asdict(cue) for cue in stage.wiring.cues],
            "scores": [[column.name, column.higher] for column in stage.spec.columns if column.higher],
            "remedies": {reason or "": text for reason, text in stage.spec.remedies.items()},
            "seed": self.seed,
            "unit_rows": self.listing.unit_rows,
            "units": stage.units,
            "rows": sum(map(self.listing.rows_of, self.listing.numbers)),
            "batch": stage.batch,
            "sources": list(self.listing.scans),
            "domains": domains,
        }

    def work(self) -> list[StageWork]:
        """The stages as the scheduler sees them."""
        return [
            StageWork(
                stage.name,
                self.kind(stage),
                stage.wiring.stages,
                frozenset(stage.committed),
                stage.wanted,
                stage.wiring.whole,
            )
            for stage in self.stages.values()
        ]

    def task(self, assign: Assign, crumbs: Path) -> UnitTask:
        """The task of an assignment; ``crumbs`` is the folder where a worker in quarantine leaves word."""
        stage = self.stages[assign.key.stage]
        return UnitTask(
            key=assign.key,
            target=stage.target,
            config=stage.config,
            folder=stage.folder,
            plan_hash=stage.plan_hash,
            weights=stage.weights_digest,
            batch=stage.batch,
            run_seed=self.seed,
            accelerator=self.kind(stage) == "accelerator",
            source=None if stage.wiring.sets else self.listing.slice(assign.key.unit),
            upstream={name: UpstreamUnit(self.stages[name].folder, self.stages[name].spec.tar) for name in stage.wiring.stages},
            lanes=stage.wiring.sets,
            guides=stage.wiring.guides,
            unit_rows=self.listing.unit_rows,
            inputs=self.inputs(assign.key),
            domain=domain_digest(stage.domain),
            delivered=stage.inputs.delivered(assign.key.unit) if stage.inputs else frozenset(),
            suspects=assign.suspects,
            excluded=assign.excluded,
            late=assign.late,
            crumb=crumbs / f"{assign.key.stage}-{assign.key.unit:05d}.json" if assign.quarantine else None,
        )

    def inputs(self, key: Key) -> str:
        """Digest over what a unit is made from now; empty while something of it is not there."""
        inputs = self.stages[key.stage].inputs
        return inputs.of(key.unit) if inputs else self.listing.inputs(key.unit)

    def believed(self, key: Key) -> UnitSummary | None:
        """What became of a unit's rows, where it lies there and was made from what is there now."""
        stage = self.stages[key.stage]
        if key.unit not in stage.unsure or not manifest_path(stage.folder, key.unit).exists():
            return None
        facts = quick_facts(stage.folder, key.unit)
        return facts.summary if _fits(facts, stage.plan_hash, self.inputs(key)) else None

    def clear(self, key: Key) -> None:
        """Take a unit back that was made from something else than is there now, before it is made again."""
        stage = self.stages[key.stage]
        if manifest_path(stage.folder, key.unit).exists():
            discard(stage.folder, key.unit, stage.spec.tar)
        self.identities.forget(stage.folder, key.unit)

    def prepare(self, name: str) -> None:
        """Draw the roster of stage ``name``, where it has one and none that is drawn from what is there now.

        Its source must be wholly committed.
        """
        stage = self.stages[name]
        roster, rows = stage.spec.roster, self.listing
        if roster is None or name in self._drawn:
            return
        source, first = self.stages[roster.source].folder, self.tried_again.first if self.tried_again else 0
        basis = roster_basis(stage.folder, first, source, (*rows.before, *rows.numbers), self.identities)
        if basis_of(stage.folder, first) == basis:
            pass
        elif first:
            extend_roster(roster, stage.config, self.seed, source, rows.before, rows.numbers, stage.folder, basis)
        else:
            draw_roster(roster, stage.config, self.seed, source, rows.numbers, stage.folder, basis)
        self._drawn.add(name)

    def made_from(self, key: Key) -> list[Key]:
        """The units that a unit is made from: the same one of what it reads, and those of its guides."""
        stage = self.stages[key.stage]
        found = [Key(name, key.unit) for name in stage.wiring.reads]
        if stage.inputs and stage.wiring.guides:
            # What names the guides may be what is damaged; it is among those that are found already.
            with suppress(StoreError):
                units = sorted({unit for unit, _ in stage.inputs.guides_of(key.unit)})
                found += [Key(read.stage, unit) for read in stage.wiring.guides for unit in units]
        return list(dict.fromkeys(found))

    def retire(self, stage: StagePlan) -> None:
        """Take units of a delivery back that it shall not have: of sources that are not configured any more, and of rows that
        were tried again and that an earlier unit ships by now. What ships them is made again by what comes after this run.
        """
        added = again(read_added(self.store, self.listing.unit_rows))
        known = {*self.listing.before, *self.listing.numbers, *added}
        inputs = replace(stage.inputs, again=added) if stage.inputs else None
        for unit in committed_units(stage.folder):
            delivered = inputs.delivered(unit) if inputs else frozenset()
            if unit not in known or (delivered and delivered & self.identities.products(stage.folder, unit)):
                self.clear(Key(stage.name, unit))

    def settle(self, whole: Iterable[str]) -> None:
        """Note of stages with guides, all of whose units are committed and believed, that this is so."""
        states: dict[str, str] = {}
        for stage in () if self.tried_again else map(self.stages.__getitem__, whole):
            if stage.inputs and stage.inputs.guides:
                own = {unit: quick_facts(stage.folder, unit).inputs for unit in self.listing.numbers}
                states[stage.folder.name] = stage.inputs.state(own, self.listing.numbers)
        if states:
            write_judged(self.store, states)

    def lose(self, key: Key) -> None:
        """Take a committed unit back that is damaged; what was drawn from it is looked at again."""
        self.clear(key)
        self._drawn.clear()

    def kind(self, stage: StagePlan) -> Kind:
        """The kind of worker that makes a stage."""
        return "accelerator" if stage.spec.device == "accelerator" and self.resources.gpus > 0 else "cpu"

    def enter(self, name: str, domain: Mapping[str, object]) -> bool:
        """Note in its plan that units of stage ``name`` are made in a determinism domain, before the first one is.

        Returns:
            whether it is another one than those in which units were made before this run.
        """
        stage, entered = self.stages[name], self._entered.setdefault(name, [])
        if dict(domain) in entered:
            return False
        first = self.tried_again.first if self.tried_again else 0
        plan = read_plan(stage.folder, first)
        entered.append(dict(domain))
        if dict(domain) in plan.get("domains", []):
            return False
        write_plan(stage.folder, plan | {"domains": [*plan.get("domains", []), dict(domain)]}, first)
        return bool(stage.committed)


def build_plan(
    config: RunConfig,
    wanted: Sequence[str],
    store: Path,
    *,
    resources: Resources | None = None,
    targets: Mapping[str, str] = STAGES,
    batches: Batches | None = None,
    ancestors: bool = False,
) -> Plan:
    """Scan the sources, hash every stage that matters, look at what the store has. Writes nothing, imports no torch.

    Args:
        config: the root configuration.
        wanted: stages to make; ``all`` means every stage.
        store: the store's folder; need not exist.
        resources: what the run uses; all of this machine if ``None``.
        targets: stage name to ``module:attribute`` of its specification.
        batches: finds the batches that are left to the device; by what was measured before if ``None``.
        ancestors: whether to make what the wanted stages are made from as well, as far as it is not there.

    Raises:
        ConfigError: a stage is not known or cannot run with these settings, or no source is configured.
        SourceError: a source cannot be used.
        WeightsError: a stage's weights are not there.
    """
    specs: dict[str, StageSpec] = {name: resolve(target) for name, target in targets.items()}
    wired = wire(specs, lambda stage: getattr(config, stage))
    names = list(wired) if list(wanted) == ["all"] else list(wanted)
    made = Lanes(specs).makes
    for name in names:
        if name not in made:
            raise ConfigError(f"there is no stage {name!r}; the stages are {', '.join(made)}, or all")
        if name not in wired:
            raise ConfigError(f"stage {name} is switched off by the configuration; see the keys below {made[name][0]}")
    asked = frozenset(names)
    if ancestors:
        names = with_ancestors(wired, names)
    sections = {wiring.stage: getattr(config, wiring.stage) for wiring in wired.values()}
    for stage in dict.fromkeys(wired[name].stage for name in names):
        if why := specs[stage].refusal(sections[stage], sections):
            raise ConfigError(why)
    resources = resources or claim(machine())
    batches = batches or Batches(resources)
    store = store.absolute()
    # A store of an older format is refused before anything else is looked at.
    read_current(store)
    standing, tombstones = _standing(store), read_tombstones(store)
    if any(not one.done for one in tombstones):
        # What it has not come to yet would be taken for what was made from the rows that are left.
        raise StoreError(f"{store}: taking a person out was not finished: give `fasgen retract` the person's key again")
    after = max((added.numbers.stop for added in read_added(store, config.unit_rows)), default=0)
    rows = listing.take(config.sources, config.unit_rows, Retracted(tombstones), store, after)
    identities, judged = Identities(), read_judged(store)
    plans: dict[str, StagePlan] = {}
    will_have: dict[str, frozenset[int]] = {}
    for name in with_ancestors(wired, names):
        plan = plan_stage(
            name,
            targets[wired[name].stage],
            specs[wired[name].stage],
            wired[name],
            config,
            store,
            rows,
            plans,
            will_have,
            name in names,
            resources,
            batches,
            identities,
            judged=judged,
        )
        plans[name] = plan
        will_have[name] = plan.will_have
    return Plan(store, config.seed, rows, plans, resources, identities, standing=standing, ahead=frozenset(names) - asked)


def _units(count: int) -> str:
    return f"{count} unit" if count == 1 else f"{count} units"


def plan_stage(
    name: str,
    target: str,
    spec: StageSpec,
    wiring: Wiring,
    config: RunConfig,
    store: Path,
    rows: Listing,
    above: Mapping[str, StagePlan],
    will_have: Mapping[str, frozenset[int]],
    wanted: bool,
    resources: Resources,
    batches: Batches,
    identities: Identities,
    folder: Path | None = None,
    judged: Mapping[str, str] = MappingProxyType({}),
) -> StagePlan:
    """The part of one stage, whose upstreams are planned already.

    Args:
        name: of what the stage makes of its lane.
        target: ``module:attribute`` of its specification.
        spec: its specification.
        wiring: what it reads.
        config: the root configuration.
        store: the store.
        rows: the rows of the run.
        above: the plans of what it reads.
        will_have: units that each of these has, or will have by this run.
        wanted: whether this run makes it.
        resources: what the run uses.
        batches: finds the batch, where it is left to the device and no unit is committed yet.
        identities: by what units are known; learns those of this stage.
        folder: the generation that its units are added to; ``None``: its own.
        judged: states in which all units of a generation were found to be believed, by its folder.

    Raises:
        WeightsError: its weights are not there.
    """
    own: Any = getattr(config, wiring.stage)
    weights = digest_weights(spec.weights(own))
    upstream = {stage: above[stage].plan_hash for stage in wiring.stages} or {SOURCES: FORMAT}

    def hashed(own: Any) -> str:
        batch = spec.batch(own)
        return plan_hash(
            name, spec, own, weights=weights, upstream=upstream, unit_rows=rows.unit_rows, seed=config.seed, batch=batch
        )

    why = ""
    if is_auto(own):
        # What was begun is finished as it was begun, on whatever device.
        settled = (own.model_copy(update={"batch": size}) for size in begun(store, name))
        kept = next((each for each in settled if committed_units(store / f"{name}-{hashed(each)[:8]}")), None)
        if kept is None:
            most = rows.unit_rows * (spec.roster.variants(own) if spec.roster else 1)
            size, why = batches.choose(spec, target, own, weights, _side(wiring, above), most, measuring=wanted)
            own = own.model_copy(update={"batch": size})
        else:
            own, why = kept, "recorded in the store"
    batch, digest = spec.batch(own), hashed(own)
    folder = folder or store / f"{name}-{digest[:8]}"
    units = rows.units
    everything = frozenset(rows.numbers)
    inputs = _inputs(spec, wiring, folder, rows, above, identities)
    there = _Found(folder, digest, everything, identities)
    known = _known(spec, wiring, folder, rows, above, identities, everything)
    committed = there.believed(known, inputs, rows, judged)
    open_ = everything - frozenset(committed)
    unsure = frozenset(there.facts) - known
    stale = frozenset(there.facts) - unsure - frozenset(committed)
    barred = [stage for stage in wiring.whole if will_have[stage] != everything]
    todo: frozenset[int] = frozenset()
    if wanted and not barred:
        todo = frozenset(unit for unit in open_ if all(unit in will_have[stage] for stage in wiring.stages))
    lacks: dict[str, int] = {}
    for stage in wiring.stages if wanted else ():
        lacking = len(open_ if stage in barred else open_ - will_have[stage])
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
        domain(resources, accelerator=spec.device == "accelerator", measured=kernels_measured(own)),
        inputs,
    )


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
            if unit in known and _fits(facts, self._plan_hash, made_from(unit))
        }


def _standing(store: Path) -> str:
    """Digest over who was taken out of a store and what was added to it: a plan that knows nothing of either must not run."""
    files = [path for name in ("retracted", "added") for path in sorted((store / name).glob("*.json"))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _fits(facts: UnitFacts, plan_hash: str, inputs: str) -> bool:
    return bool(inputs) and (facts.plan_hash, facts.inputs) == (plan_hash, inputs)


def _inputs(
    spec: StageSpec, wiring: Wiring, folder: Path, rows: Listing, above: Mapping[str, StagePlan], identities: Identities
) -> Inputs | None:
    if not wiring.sets:
        return None
    reads = {stage: above[stage].folder for stage in wiring.reads}
    guides = {read.stage: (above[read.stage].folder, tuple(read.columns)) for read in wiring.guides}
    own: Mapping[int, Again] = {}
    if spec.shipped and rows.before:
        own = dict.fromkeys(rows.numbers, Again(frozenset(rows.sample_ids()), rows.earlier))
    return Inputs(folder, reads, spec.roster is not None, wiring.guided_by, guides, identities, own)


def _known(
    spec: StageSpec,
    wiring: Wiring,
    folder: Path,
    rows: Listing,
    above: Mapping[str, StagePlan],
    identities: Identities,
    everything: frozenset[int],
) -> frozenset[int]:
    """Units of which it is known what they are made from, since all of it is committed."""
    if any(frozenset(above[stage].committed) != everything for stage in wiring.whole):
        return frozenset()
    if spec.roster:
        first, source = rows.first if rows.before else 0, above[spec.roster.source].folder
        if basis_of(folder, first) != roster_basis(folder, first, source, (*rows.before, *everything), identities):
            return frozenset()
    known = everything
    for stage in wiring.reads:
        known &= frozenset(above[stage].committed)
    return known
