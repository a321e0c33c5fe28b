"""Which stages run on which lanes of rows, and what each of them reads there.

What was photographed is a lane, and what a stage with a roster draws from it is another, named after that stage. A stage says
what it reads of a sample; the lanes on which that can be had are those it runs on, each a generation of its own, or all in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from fasgen.errors import ConfigError
from fasgen.records import MADE_BY, PHOTOGRAPHED
from fasgen.stages.stage import PICTURE, Cue, Reads, StageSpec


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a stage reads in a run, once stages that are off are left out.

    Attributes:
        stage: the stage, whose specification and configuration it has.
        lanes: by lane, what is read of its samples, primary first, each under the name by which it was made there. The ok rows
            of the primaries are the rows. Of a stage that reads sources: what was photographed, and no reads.
        guides: what is read of the guides of rows.
        whole: what every unit of must be committed before the first unit of this one.
    """

    stage: str
    lanes: Mapping[str, tuple[Reads, ...]] = field(default_factory=dict)
    guides: tuple[Reads, ...] = ()
    whole: tuple[str, ...] = ()

    @property
    def sets(self) -> tuple[tuple[Reads, ...], ...]:
        """What is read in each lane; nothing for a stage that reads sources."""
        return tuple(reads for reads in self.lanes.values() if reads)

    @property
    def stages(self) -> tuple[str, ...]:
        """All that is read, once."""
        return tuple(dict.fromkeys(read.stage for reads in (*self.sets, self.guides) for read in reads))

    @property
    def reads(self) -> tuple[str, ...]:
        """All of which the same unit is read, once."""
        return tuple(dict.fromkeys(read.stage for reads in self.sets for read in reads))

    @property
    def guided_by(self) -> str:
        """What has the rows that name the guides; empty where that is the roster, or nobody has any."""
        named = {"guide_unit", "guide_row"}
        found = (read.stage for reads in self.sets for read in reads if named <= set(read.columns)) if self.guides else ()
        return next(iter(found), "")

    @property
    def primaries(self) -> tuple[str, ...]:
        """What has the rows."""
        return tuple(reads[0].stage for reads in self.sets)

    @property
    def cues(self) -> tuple[Cue, ...]:
        """The cues that are gathered, once each."""
        found = {read.cue.name: read.cue for reads in self.sets for read in reads if read.cue}
        return tuple(found.values())


class Lanes:
    """The lanes of a set of stages, all of them taken to be on.

    Args:
        specs: the stages.

    Raises:
        ConfigError: a stage reads one that does not exist or that runs nowhere, two things would have one name, or stages read
            each other in a ring.
    """

    def __init__(self, specs: Mapping[str, StageSpec]) -> None:
        self._specs = specs
        self.names = (PHOTOGRAPHED, *(name for name, spec in specs.items() if spec.roster))
        self._of: dict[str, tuple[str, ...]] = {}
        self._open: list[str] = []
        self.makes: dict[str, tuple[str, tuple[str, ...]]] = {}
        """By name of what is made: the stage, and the lanes on which it is made."""
        for lane in self.names:
            for stage in sorted(specs, key=lane.__ne__):
                if lane in self.of(stage) and not specs[stage].joins:
                    self._name(self.called(stage, lane), stage, (lane,))
        for stage in specs:
            if specs[stage].joins:
                self._name(stage, stage, self.of(stage))

    def _name(self, name: str, stage: str, lanes: tuple[str, ...]) -> None:
        if name in self.makes or (name != stage and name in self._specs):
            raise ConfigError(f"what stage {stage} makes of {lanes[0]} would be called {name}, as a stage is: rename that one")
        self.makes[name] = stage, lanes

    def of(self, stage: str) -> tuple[str, ...]:
        """The lanes on which a stage runs."""
        if stage not in self._of:
            if stage in self._open:
                ring = [*self._open[self._open.index(stage) :], stage]
                raise ConfigError(f"stages read each other in a ring: {' -> '.join(ring)}")
            self._open.append(stage)
            spec = self._specs[stage]
            for read in (*spec.reads, *spec.guides):
                if read.stage != PICTURE and read.stage not in self._specs:
                    raise ConfigError(f"stage {stage} reads {read.stage}, which is none of {', '.join(self._specs)}")
            self._of[stage] = found = tuple(self._found(spec))
            self._open.pop()
            if not found:
                wanted = " and ".join(read.stage for read in spec.reads)
                raise ConfigError(
                    f"stage {stage} runs nowhere: {wanted} are not made of the same samples; the lanes are "
                    f"{', '.join(self.names)}"
                )
        return self._of[stage]

    def _found(self, spec: StageSpec) -> Iterator[str]:
        if spec.roster:
            for read in spec.reads:
                self.of(read.stage)
            yield spec.name
        elif not spec.reads:
            yield PHOTOGRAPHED
        else:
            for lane in self.names:
                reads = self._read_in(spec, lane) if not spec.lanes or lane in spec.lanes else []
                made = (self._own(read, lane) or (lane != PHOTOGRAPHED and self._parents(read)) for read in reads)
                if reads and self._own(reads[0], lane) and all(made):
                    yield lane

    def _read_in(self, spec: StageSpec, lane: str) -> list[Reads]:
        return [read for read in spec.reads if not read.lanes or lane in read.lanes]

    def _own(self, read: Reads, lane: str) -> bool:
        """Whether what is read is of a lane's samples themselves."""
        return not read.parent and (read.stage == PICTURE or lane in self.of(read.stage))

    def _parents(self, read: Reads) -> bool:
        """Whether it can be had of the photographs that a lane's samples were made of."""
        return read.stage == PICTURE or PHOTOGRAPHED in self.of(read.stage)

    def called(self, stage: str, lane: str) -> str:
        """The name of what a stage makes of a lane: the stage's own on the first lane on which it runs."""
        return stage if self._specs[stage].joins or lane == self.of(stage)[0] else f"{lane}_{stage}"

    def reads(self, stage: str, lane: str) -> tuple[Reads, ...]:
        """What a stage reads of a lane's samples, by the names of what was made; ``parent`` where of the photograph."""
        spec = self._specs[stage]
        if spec.roster:
            return tuple(self._resolved(read, lane, parent=True) for read in spec.reads)
        found = [self._resolved(read, lane, parent=not self._own(read, lane)) for read in self._read_in(spec, lane)]
        if found and lane != PHOTOGRAPHED and not any(read.stage == lane for read in found):
            # Its rows say the place of each sample.
            found.append(Reads(lane))
        return tuple(found)

    def guides(self, stage: str) -> tuple[Reads, ...]:
        """What a stage reads of guides, which were photographed."""
        return tuple(self._resolved(read, PHOTOGRAPHED) for read in self._specs[stage].guides)

    def _resolved(self, read: Reads, lane: str, *, parent: bool = False) -> Reads:
        where, stage = PHOTOGRAPHED if parent else lane, read.stage
        if stage == PICTURE:
            stage = where if where != PHOTOGRAPHED else self._cutter()
        return replace(read, stage=self.called(stage, where), parent=parent, lanes=())

    def _cutter(self) -> str:
        found = next((name for name, spec in self._specs.items() if spec.picture and not spec.reads), None)
        if found is None:
            raise ConfigError(f"a stage reads the {PICTURE} of its samples, and no stage that reads sources has one")
        return found


def wire(specs: Mapping[str, StageSpec], section: Callable[[str], Any]) -> dict[str, Wiring]:
    """The wiring of all that is on, each after all that it reads; among equals by lane, and then in the order of ``specs``.

    Args:
        specs: all stages.
        section: from a stage's name to its configuration.

    Raises:
        ConfigError: as `Lanes`; or a stage gathers a cue that nobody makes, that a stage which is off would make, or that two
            make of the same samples.
    """
    lanes = Lanes(specs)
    off = {name for name, spec in specs.items() if spec.off(section(name))}
    wired: dict[str, Wiring] = {}
    dropped: set[str] = set()

    def visit(name: str) -> None:
        if name in wired or name in dropped:
            return
        stage, of = lanes.makes[name]
        spec = specs[stage]
        makers = [one for one, other in specs.items() if other.cues] if spec.gathers else []
        sets = {lane: lanes.reads(stage, lane) for lane in of}
        guides = lanes.guides(stage)
        above = [read.stage for reads in (*sets.values(), guides) for read in reads]
        for one in (*above, *(lanes.called(maker, lane) for maker in makers for lane in of if lane in lanes.of(maker))):
            visit(one)
        sets = {lane: reads for lane, reads in sets.items() if not any(read.stage in dropped for read in reads)}
        if stage in off or of[0] not in sets or any(read.stage in dropped for read in guides):
            dropped.add(name)
            return
        if spec.gathers:
            wanted = _wanted(spec, section(stage), {one: specs[one] for one in makers}, off)
            on = {one: [lane for lane in lanes.of(one) if lanes.called(one, lane) in wired] for one in makers}
            sets = {lane: reads + tuple(_gathered(spec, wanted, lanes, on, lane)) for lane, reads in sets.items()}
        whole = [read.stage for read in guides] + ([spec.roster.source] if spec.roster else [])
        wired[name] = Wiring(stage, sets, guides, tuple(dict.fromkeys(whole)))

    for name in lanes.makes:
        visit(name)
    return wired


def _wanted(spec: StageSpec, config: Any, makers: Mapping[str, StageSpec], off: set[str]) -> list[tuple[str, Cue]]:
    """The cues that a stage gathers, with the stages that are on and make them."""
    made = [(stage, cue) for stage, maker in makers.items() for cue in maker.cues]
    names = spec.gathers(config) if spec.gathers else ()
    known = list(dict.fromkeys(cue.name for _, cue in made))
    for name in names or ():
        stages = [stage for stage, cue in made if cue.name == name]
        if not stages:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"{spec.name} asks for the cue {name}, which no stage makes{hint} There are {', '.join(known)}")
        if off >= set(stages):
            raise ConfigError(
                f"{spec.name} asks for the cue {name} of {stages[0]}, which is switched off: switch {stages[0]} on, or ask "
                f"{spec.name} for less"
            )
    return [(stage, cue) for stage, cue in made if stage not in off and (names is None or cue.name in names)]


def _gathered(
    spec: StageSpec, wanted: Sequence[tuple[str, Cue]], lanes: Lanes, on: Mapping[str, Sequence[str]], lane: str
) -> Iterator[Reads]:
    """What is read of the cues that are made of a lane's samples."""
    makers: dict[str, str] = {}
    for stage, cue in wanted:
        if lane not in on[stage]:
            continue
        if cue.name in makers:
            raise ConfigError(
                f"{spec.name} gathers two cues called {cue.name}, of {makers[cue.name]} and of {stage}: give one another name"
            )
        makers[cue.name] = stage
        yield Reads(lanes.called(stage, lane), arrays=(cue.name,), columns=(*cue.columns, *MADE_BY), cue=cue)


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
