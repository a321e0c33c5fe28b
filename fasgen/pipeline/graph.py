"""The order of the stages, and the hash under which a stage's finished work is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from importlib import import_module
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from fasgen.errors import ConfigError
from fasgen.manifests.plan_file import identity_hash
from fasgen.manifests.products import PHOTOGRAPHED, SYNTHESISED
from fasgen.records import MADE_BY
from fasgen.stages.stage import Cue, Reads, StageSpec

SOURCES = "sources"
"""The name under which a stage that reads sources finds what stands for them among its upstream hashes: the store's format."""


def resolve(target: str) -> Any:
    """The object that ``module:attribute`` names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a stage reads in a run, once stages that are off are left out.

    Attributes:
        lanes: sets of reads, primary first; the ok rows of each primary are the stage's rows. Empty for a stage that reads
            sources.
        guides: what is read of the guides of rows.
        whole: stages of which every unit must be committed before the first unit of this one.
        samples: what its rows are: photographs, spoofs that were synthesised of them, or both.
    """

    lanes: tuple[tuple[Reads, ...], ...] = ()
    guides: tuple[Reads, ...] = ()
    whole: tuple[str, ...] = ()
    samples: frozenset[str] = frozenset({PHOTOGRAPHED})

    @property
    def stages(self) -> tuple[str, ...]:
        """Every stage that is read, once."""
        return tuple(dict.fromkeys(read.stage for reads in (*self.lanes, self.guides) for read in reads))

    @property
    def reads(self) -> tuple[str, ...]:
        """Every stage of which the same unit is read, once."""
        return tuple(dict.fromkeys(read.stage for reads in self.lanes for read in reads))

    @property
    def guided_by(self) -> str:
        """The stage whose rows name their guides; empty where that is the roster, or nobody has any."""
        named = {"guide_unit", "guide_row"}
        found = (read.stage for reads in self.lanes for read in reads if named <= set(read.columns)) if self.guides else ()
        return next(iter(found), "")

    @property
    def primaries(self) -> tuple[str, ...]:
        """The stages whose ok rows are this stage's rows."""
        return tuple(reads[0].stage for reads in self.lanes)

    @property
    def cues(self) -> tuple[Cue, ...]:
        """The cues that are gathered, once each."""
        found = {read.cue.name: read.cue for reads in self.lanes for read in reads if read.cue}
        return tuple(found.values())


def wire(specs: Mapping[str, StageSpec], section: Callable[[str], Any]) -> dict[str, Wiring]:
    """The wiring of every stage that is on, with every stage after all that it reads; among equals, the order of ``specs``.

    Args:
        specs: all stages.
        section: from a specification's ``key`` to its configuration.

    Raises:
        ConfigError: a stage reads one that does not exist, gathers a cue that nobody makes, that a stage which is off would
            make or that two make of the same samples; or stages read each other in a ring.
    """
    wired: dict[str, Wiring] = {}
    off: set[str] = set()
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in wired or name in off:
            return
        if name in open_:
            raise ConfigError(f"stages read each other in a ring: {' -> '.join([*open_[open_.index(name) :], name])}")
        open_.append(name)
        spec = specs[name]
        makers = [one for one, other in specs.items() if other.cues] if spec.gathers else []
        for stage in (*(read.stage for read in (*spec.reads, *spec.also, *spec.guides)), *makers):
            if stage not in specs:
                raise ConfigError(f"stage {name} reads {stage}, which is none of {', '.join(specs)}")
            visit(stage)
        open_.pop()
        if spec.off(section(spec.key)) or any(read.stage in off for read in spec.reads):
            off.add(name)
            return
        lanes = tuple(lane for lane in (spec.reads, spec.also) if lane and not any(read.stage in off for read in lane))
        if spec.gathers:
            wanted = _wanted(spec, section(spec.key), {one: specs[one] for one in makers}, off)
            lanes = tuple(lane + tuple(_gathered(spec, wanted, wired, wired[lane[0].stage].samples)) for lane in lanes)
        whole = [read.stage for read in spec.guides] + ([spec.roster.source] if spec.roster else [])
        above = [wired[lane[0].stage].samples for lane in lanes]
        samples = frozenset({SYNTHESISED}) if spec.roster else frozenset[str]().union(*above) or frozenset({PHOTOGRAPHED})
        wired[name] = Wiring(lanes, spec.guides, tuple(dict.fromkeys(whole)), samples)

    for name in specs:
        visit(name)
    return wired


def _wanted(spec: StageSpec, config: Any, makers: Mapping[str, StageSpec], off: Set[str]) -> list[tuple[str, Cue]]:
    """The cues that a stage gathers, with the stages that are on and make them."""
    made = [(stage, cue) for stage, maker in makers.items() for cue in maker.cues]
    names = spec.gathers(config) if spec.gathers else ()
    known = list(dict.fromkeys(cue.name for _, cue in made))
    for name in names or ():
        stages = [stage for stage, cue in made if cue.name == name]
        if not stages:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"{spec.key} asks for the cue {name}, which no stage makes{hint} There are {', '.join(known)}")
        if off >= set(stages):
            raise ConfigError(
                f"{spec.key} asks for the cue {name} of {stages[0]}, which is switched off: switch {stages[0]} on, or ask "
                f"{spec.key} for less"
            )
    return [(stage, cue) for stage, cue in made if stage not in off and (names is None or cue.name in names)]


def _gathered(
    spec: StageSpec, wanted: Sequence[tuple[str, Cue]], wired: Mapping[str, Wiring], samples: Set[str]
) -> Iterator[Reads]:
    """What is read of the cues that are made of all of a lane's samples."""
    makers: dict[str, str] = {}
    for stage, cue in wanted:
        if not wired[stage].samples >= samples:
            continue
        if cue.name in makers:
            raise ConfigError(
                f"{spec.name} gathers two cues called {cue.name}, of {makers[cue.name]} and of {stage}: give one another name"
            )
        makers[cue.name] = stage
        yield Reads(stage, arrays=(cue.name,), columns=(*cue.columns, *MADE_BY), cue=cue)


def with_ancestors(wired: Mapping[str, Wiring], wanted: Sequence[str]) -> list[str]:
    """``wanted`` and all that they read, directly or not, in order."""
    needed: set[str] = set()
    stack = list(wanted)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(wired[name].stages)
    return [name for name in wired if name in needed]


def canonical_json(value: object) -> bytes:
    """One spelling for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def plain(value: object, located: Sequence[PurePath] = ()) -> Any:
    """A configuration value in JSON types, independent of the classes that held it.

    A path under which one of the stage's weights lies (``located``) becomes the word ``weights``: what the file holds is in
    the plan hash by its digest, and where a machine keeps it must not change the hash.
    """
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name), located) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item, located) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, located) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, located) for item in value), key=canonical_json)
    if isinstance(value, Enum):
        return plain(value.value, located)
    if isinstance(value, PurePath):
        return "weights" if any(path.is_relative_to(value) for path in located) else value.as_posix()
    if isinstance(value, str):
        return "weights" if any(str(path) == value for path in located) else value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise ConfigError(f"a value of type {type(value).__name__} in a stage's configuration has no canonical form: {value!r}")


def plan_hash(
    spec: StageSpec,
    config: BaseModel,
    *,
    weights: Mapping[str, str],
    upstream: Mapping[str, str],
    unit_rows: int,
    seed: int,
    batch: int,
) -> str:
    """SHA-256, in hex, over everything that decides a stage's bytes within one determinism domain.

    Args:
        spec: the stage; its name and version enter the hash.
        config: its resolved configuration.
        weights: digest by role.
        upstream: plan hash by stage read; under ``sources`` what stands for them, which rows there are being no part of it.
        unit_rows: rows of a unit.
        seed: the run's seed.
        batch: samples of a call.
    """
    located = tuple(spec.weights(config).values())
    return identity_hash(
        {
            "stage": spec.name,
            "version": spec.version,
            "config": plain(config, located),
            "weights": dict(weights),
            "upstream": dict(upstream),
            "unit_rows": unit_rows,
            "seed": seed,
            "batch": batch,
        }
    )
