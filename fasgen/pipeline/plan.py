"""What a run would do: every stage's generation in the store, what is committed, what is to do, what is not there yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.added_file import Added, again, read_added, write_added
from fasgen.manifests.inputs import Identities, read_judged, roster_basis, write_judged
from fasgen.manifests.places_file import begun_with
from fasgen.manifests.plan_file import read_current, read_plan, write_plan
from fasgen.manifests.roster_file import basis_of
from fasgen.manifests.tombstones import Retracted, read_tombstones
from fasgen.manifests.unit import UnitSummary, committed_units, discard, manifest_path, quick_facts
from fasgen.pipeline import listing
from fasgen.pipeline.batch import Batches
from fasgen.pipeline.engine import UnitTask, UpstreamUnit
from fasgen.pipeline.events import Key, Kind
from fasgen.pipeline.graph import plain, resolve
from fasgen.pipeline.listing import Listing
from fasgen.pipeline.resources import Resources, claim, domain_digest, machine
from fasgen.pipeline.roster import draw_roster, extend_roster
from fasgen.pipeline.schedule import Assign, StageWork
from fasgen.pipeline.selecting import asks, on_sides
from fasgen.pipeline.stage_plan import StagePlan, kernels_measured
from fasgen.pipeline.stage_planning import RunConfig, StageInputs, fits, plan_stage
from fasgen.pipeline.wiring import Lanes, wire, with_ancestors
from fasgen.records import Reason
from fasgen.selection.row_sets import SIDES, TRAIN
from fasgen.stages import STAGES
from fasgen.stages.stage import StageSpec


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
            if said := self._chosen(stage):
                notes.append(said)
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

    def _chosen(self, stage: StagePlan) -> str:
        """Which rows a stage that takes some only takes; empty for one that takes all, or has nothing to do."""
        config: Any = stage.config
        if not (asks(config) and stage.todo | stage.unsure):
            return ""
        taken = []
        draws = stage.spec.roster is not None
        kept = on_sides(config, self.store, self.listing, (TRAIN,) if draws else SIDES)
        if kept is not None:
            side = "on the train side " if draws else ""
            taken.append(f"the {int(kept.sum()):,} of {len(kept):,} rows of the sources that are {side}of {config.protocol}")
        if config.where:
            taken.append(f"what passes {config.where}")
        others = "nothing is drawn of others" if draws else f"others are rows with the reason {Reason.NOT_SELECTED.value}"
        return f"{stage.name}: takes {', and of them '.join(taken)}; {others}"

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
        lie_there = stage.committed or stage.stale or stage.unsure
        domains = stage.begun(self.tried_again.first if self.tried_again else 0) if lie_there else []
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
            row_sets=self.store,
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
        return facts.summary if fits(facts, stage.plan_hash, self.inputs(key)) else None

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
            before = rows.before
            extend_roster(roster, stage.config, self.seed, source, before, rows.numbers, stage.folder, basis, self.store)
        else:
            draw_roster(roster, stage.config, self.seed, source, rows.numbers, stage.folder, basis, self.store)
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
    store = store.absolute()
    bare: dict[str, StageSpec] = {name: resolve(target) for name, target in targets.items()}
    own = {name: spec.settle(getattr(config, name), store) for name, spec in bare.items()}
    specs = {name: spec.of(own[name]) for name, spec in bare.items()}
    wired = wire(specs, own.__getitem__)
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
    sections = {wiring.stage: own[wiring.stage] for wiring in wired.values()}
    for stage in dict.fromkeys(wired[name].stage for name in names):
        if why := specs[stage].refusal(sections[stage], sections):
            raise ConfigError(why)
    resources = resources or claim(machine())
    batches = batches or Batches(resources)
    # A store of an older format is refused before anything else is looked at.
    read_current(store)
    standing, tombstones = _standing(store), read_tombstones(store)
    if any(not one.done for one in tombstones):
        # What it has not come to yet would be taken for what was made from the rows that are left.
        raise StoreError(f"{store}: taking a person out was not finished: give `fasgen retract` the person's key again")
    unit_rows = config.unit_rows or begun_with(store)
    after = max((added.numbers.stop for added in read_added(store, unit_rows)), default=0) if unit_rows else 0
    rows = listing.take(config.sources, unit_rows, Retracted(tombstones), store, after)
    styles = rows.styles
    for stage in dict.fromkeys(wired[name].stage for name in names):
        if why := specs[stage].style_refusal(sections[stage], styles):
            raise ConfigError(why)
    given = StageInputs(config, store, rows, targets, resources, batches, Identities(), read_judged(store))
    for name in with_ancestors(wired, names):
        given.plans[name] = plan_stage(name, wired[name], given, wanted=name in names)
    ahead = frozenset(names) - asked
    return Plan(store, config.seed, rows, given.plans, resources, given.identities, standing=standing, ahead=ahead)


def _units(count: int) -> str:
    return f"{count} unit" if count == 1 else f"{count} units"


def _standing(store: Path) -> str:
    """Digest over who was taken out of a store and what was added to it: a plan that knows nothing of either must not run."""
    files = [path for name in ("retracted", "added") for path in sorted((store / name).glob("*.json"))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()
