"""The steps of a chain and what each hangs on: whatever two folds, methods or tables have in common is one step.

A step is known by a digest over its settings, the steps that it reads and the content of its rows. So what was made stays
made when a chain is given again, a changed setting makes anew what hangs on it and nothing else, and two folds that learn
from the same rows share their training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fasgen import __version__
from fasgen.chains.config import CARRIED, EXTRA, STORE, Chain, Method, Tree
from fasgen.chains.references import SIGN, protected, references, resolved
from fasgen.chains.rows import Rows, asked, digest, fingerprint, fold_digest, has_crops
from fasgen.config.loading import load
from fasgen.config.root import Config
from fasgen.config.variants import settle
from fasgen.downstream.config import Experiment
from fasgen.errors import ConfigError
from fasgen.selection.row_sets import FOLDER, REPORT
from fasgen.sources.protocols import Protocol
from fasgen.stages import specs
from fasgen.stages.settings import Selected, merge
from fasgen.training.config import LoopConfig, StoreTraining, trainings

Kind = Literal["train", "make", "detect"]

SHARDS = "shards"
"""What a detector's step calls the folder that its fold's shards lie in, which is known when they are made."""

_RUNNING = {"out", "threads", "log_every", "checkpoint_every", "sheet_every", "prefetch", "compile"}
_CHOICE = {"protocol", "where", "splits"}
_LOCAL = {"store", "sources", "train", "workers", "budget", "time_limit", "unit_rows"}


@dataclass(frozen=True)
class Step:
    """One command of fasgen.

    Attributes:
        key: digest of what it makes.
        kind: a training; what `fasgen run` makes of a fold; a detector.
        name: of the training or the method.
        fold: the first that asked for it.
        settings: what its configuration holds, references and all.
        folder: where its outcome lies.
        parents: by reference, the key of the step that it stands for.
        steps: optimiser steps, over all seeds; 0 where none are taken.
        batch: of the training; 1 of others.
        scores: of what is made, columns of stages that are read out as scores.
    """

    key: str
    kind: Kind
    name: str
    fold: str
    settings: Tree
    folder: Path
    parents: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0
    batch: int = 1
    scores: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.kind} {self.name}, {self.fold}" if self.name else f"{self.kind} {self.fold}"


@dataclass(frozen=True)
class Cell:
    """A method in a fold: where its scores come from.

    Attributes:
        method: its name.
        protocol: the fold.
        step: key of the step that gives scores.
        column: of a stage, where they are those of one.
    """

    method: str
    protocol: Protocol
    step: str
    column: str | None


@dataclass
class Graph:
    """All steps of a chain, each after those that it reads.

    Attributes:
        steps: by key.
        cells: of the table, fold by fold.
        used: by step, the folds that it serves.
        exact: whether rows are known; else folds may yet turn out to share more.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    used: dict[str, list[str]] = field(default_factory=dict)
    exact: bool = True

    def add(self, step: Step, fold: str) -> str:
        """Take a step, or count another fold of one that is there; its key."""
        old = self.steps.setdefault(step.key, step)
        if set(step.scores) - set(old.scores):
            self.steps[step.key] = replace(old, scores=tuple(dict.fromkeys((*old.scores, *step.scores))))
        folds = self.used.setdefault(step.key, [])
        if fold not in folds:
            folds.append(fold)
        return step.key

    def ancestors(self, key: str) -> list[Step]:
        """The trainings that a step hangs on, its parents' parents too."""
        found: dict[str, Step] = {}
        left = list(self.steps[key].parents.values())
        while left:
            one = self.steps[left.pop()]
            found[one.key] = one
            left += one.parents.values()
        return [one for one in found.values() if one.kind == "train"]


def plan(chain: Chain, *, foretell: bool = False) -> Graph:
    """The steps of a chain over its stores as they are.

    Args:
        chain: the chain.
        foretell: take rows for what is asked for, as where there are no crops yet.

    Raises:
        ConfigError: settings are wrong, or refer to what is not there.
    """
    graph = Graph(exact=not foretell)
    rows = Rows()
    whole = "" if foretell else rows.crops(chain.store)
    cells = []
    for protocol in chain.folds():
        sides = digest("asked", protocol.name) if foretell else fold_digest(chain.store, protocol.name)
        for name, method in chain.methods.items():
            cells.append(_Fold(chain, protocol, name, method, graph, asked if foretell else rows.learnt, digest(whole, sides)))
    # Which rows a stage makes hangs on who shares its weights, and that on all folds.
    for one in cells:
        one.learn()
    for one in cells:
        one.cell()
    return graph


def is_ready(chain: Chain) -> bool:
    """Whether rows can be looked at: something was cut, and every fold was laid over it."""
    laid = all((chain.store / FOLDER / one.name / REPORT).is_file() for one in chain.folds())
    return has_crops(chain.store) and laid and (not chain.extra or has_crops(chain.extra_store))


@dataclass
class _Fold:
    """One method in one fold."""

    chain: Chain
    protocol: Protocol
    name: str
    method: Method
    graph: Graph
    rows: Callable[[LoopConfig], str]
    sides: str
    _keys: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def cell(self) -> None:
        """Add the method's cell, and all steps that it needs."""
        make = self._make()
        column, step = self.method.score, make
        if self.method.detector is not None:
            step = self._detect(make)
        self.graph.cells.append(Cell(self.name, self.protocol, step, column))

    def learn(self) -> None:
        """Add the trainings behind what is made."""
        self._parents(_checked(self._run_tree(), None, self._where()).model_dump(mode="json", exclude=_LOCAL), "settings")

    def _tree(self) -> Tree:
        tree = merge(self.chain.settings, self.method.settings)
        tree["store"], tree["sources"] = str(self.chain.store), self.chain.sources()
        return tree

    def _run_tree(self) -> Tree:
        return {key: value for key, value in self._tree().items() if key != "train"}

    def _chosen(self) -> Tree:
        """The configuration of this fold: stages take its rows only, where no other fold could use what they make.

        What is drawn and what is shipped is of a fold in any case. A cue is where its weights are; by weights that several
        folds share, or that come from elsewhere, it is made of all rows once, for all of them.
        """
        tree = self._run_tree()
        for stage, spec in specs().items():
            if not issubclass(spec.config, Selected):
                continue
            behind = [self._keys[name] for name in references(tree.get(stage)) if name in self._keys]
            if spec.roster or spec.shipped or any(self.graph.used[key] == [self.protocol.name] for key in behind):
                tree[stage] = {"protocol": self.protocol.name, **(tree.get(stage) or {})}
        return tree

    def _make(self) -> str:
        tree = self._chosen()
        config = _checked(tree, None, self._where())
        dumped = config.model_dump(mode="json", exclude=_LOCAL)
        parents = self._parents(dumped, "settings")
        scores = (self.method.score,) if self.method.score else ()
        # What another version of fasgen makes otherwise, its run finds; what is the same stays.
        key = digest("make", __version__, self._content(dumped, parents), list(self.chain.stages), self.sides)
        folder = self.chain.out / "made" / key[:16]
        return self.graph.add(
            Step(key, "make", "", self.protocol.name, tree, folder, parents, scores=scores), self.protocol.name
        )

    def _train(self, name: str) -> str:
        if name in self._keys:
            return self._keys[name]
        if name in self._open:
            raise ConfigError(f"{self._where()}: trainings need each other in a circle: {' > '.join([*self._open, name])}")
        self._open.append(name)
        tree = self._tree()
        own = dict((tree.get("train") or {}).get(name) or {})
        fields = trainings()[name].config.model_fields
        # Where live and spoof faces are learnt from, both are those of the store, and none is simulated unless it is asked for.
        part = "pairs" if "pairs" in fields else "faces"
        if part in fields:
            own[part] = {"path": f"{SIGN}{STORE}", **(own.get(part) or {})}
        reads = references([(own.get(part) or {}).get("path") for part in ("faces", "pairs")])
        if issubclass(trainings()[name].config, StoreTraining) and STORE in reads:
            own.setdefault("protocol", self.protocol.name)
        tree = {key: value for key, value in tree.items() if key == "preset"} | {"train": {name: own}}
        config = _checked(tree, name, self._where()).training(name)
        dumped = config.model_dump(mode="json", exclude=_RUNNING | _CHOICE)
        parents = self._parents(dumped, f"train.{name}")
        stores = {STORE: str(self.chain.store), EXTRA: str(self.chain.extra_store)}
        placed = config.model_validate_json(json.dumps(resolved(config.model_dump(mode="json"), _Places(stores))), strict=True)
        key = digest("train", name, self._content(dumped, parents), self.rows(placed))
        folder = self.chain.trained / f"{name}-{key[:16]}"
        self._open.pop()
        self._keys[name] = self.graph.add(
            Step(key, "train", name, self.protocol.name, tree, folder, parents, config.steps, config.batch), self.protocol.name
        )
        return self._keys[name]

    def _detect(self, make: str) -> str:
        tree = protected(merge(self.chain.detector, self.method.detector or {}))
        taken = [key for key in ("out", "protocol.name", "protocol.store", "data.shards") if _has(tree, key)]
        if taken:
            raise ConfigError(f"{self._where()}: detector: {taken[0]} follows from the chain: leave it out")
        tree = merge(
            tree,
            {"data": {"shards": [f"{SIGN}{SHARDS}"]}, "protocol": {"name": self.protocol.name, "store": str(self.chain.store)}},
        )
        experiment = settle(Experiment, tree, f"{self._where()}: detector", lambda key: f"{self._where()}: detector")
        # As given and nothing else: what is dumped whole says of a protocol two things that contradict each other.
        given = experiment.model_dump(mode="json", exclude_unset=True, exclude={"out"})
        dumped = experiment.model_dump(
            mode="json", exclude={"out": True, "protocol": {"store"}, "data": {"shards", "workers", "keep"}}
        )
        parents = self._parents(dumped, "detector") | {SHARDS: make}
        key = digest("detect", self._content(dumped, parents), parents)
        folder = self.chain.out / "detectors" / key[:16]
        steps = experiment.loop.steps * len(experiment.seeds)
        return self.graph.add(
            Step(key, "detect", self.name, self.protocol.name, given, folder, parents, steps), self.protocol.name
        )

    def _parents(self, dumped: Any, where: str) -> dict[str, str]:
        """Keys of the trainings that settings refer to; they become steps."""
        found = {}
        for name in references(dumped):
            if name in self.chain.weights or name in (STORE, EXTRA, SHARDS):
                continue
            if name not in trainings():
                known = ", ".join(f"${one}" for one in (STORE, EXTRA, *self.chain.weights, *trainings()))
                raise ConfigError(
                    f"{self._where()}: {where} refers to ${name}, which is neither a training nor weights: {known}"
                )
            found[name] = self._train(name)
        return found

    def _content(self, dumped: Any, parents: Mapping[str, str]) -> Any:
        """Settings with what references stand for: keys of steps, and of files of others what is known without reading them."""
        others = {
            name: place if place in (None, CARRIED) else fingerprint(Path(str(place)))
            for name, place in self.chain.weights.items()
        }
        return resolved(
            dumped, _Places({STORE: "$store", EXTRA: "$extra"} | {k: str(v) for k, v in others.items()} | dict(parents))
        )

    def _where(self) -> str:
        return f"method {self.name}"


class _Places(dict[str, str]):
    """Places; what has none stays a reference."""

    def __missing__(self, name: str) -> str:
        return f"{SIGN}{name}"


def _checked(tree: Tree, training: str | None, where: str) -> Config:
    try:
        return load(tree, (), None if training is None else (f"train.{training}",))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _has(tree: Mapping[str, Any], dotted: str) -> bool:
    here: Any = tree
    for part in dotted.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True
