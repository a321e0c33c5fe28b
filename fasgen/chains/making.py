"""A step as a command: its configuration, its arguments, and what is kept of what it made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.audit.scored import stage_scores
from fasgen.chains.config import EXTRA, STORE, Chain, Tree
from fasgen.chains.outcome import Outcome, index_digest, read_outcome, score_file
from fasgen.chains.references import resolved
from fasgen.chains.rows import tested
from fasgen.chains.steps import SHARDS, Graph, Step
from fasgen.config.loading import load
from fasgen.downstream import conditions
from fasgen.downstream.scores import table_of, under, write_scores
from fasgen.errors import ConfigError, StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.plan_file import latest, read_plan
from fasgen.manifests.products import cutter, products
from fasgen.manifests.seen_file import networks
from fasgen.seen import overlaps, read_seen
from fasgen.selection.row_sets import row_set
from fasgen.stages import specs
from fasgen.stages.settings import merge


@dataclass(frozen=True)
class Means:
    """What commands run on.

    Attributes:
        gpus: how many there are.
        cpus: CPU workers of a run; None for the configuration's.
        engine: of a run, ``ray`` or ``local``.
    """

    gpus: int = 0
    cpus: int | None = None
    engine: str = "ray"


def cutters() -> tuple[str, ...]:
    """The stages that cut pictures out of sources."""
    return tuple(name for name, spec in specs().items() if spec.picture and spec.roster is None)


def check_crops(chain: Chain) -> None:
    """Refuse methods that want crops of another kind than the others: a store has one kind at a time.

    Raises:
        ConfigError: a method changes how faces are cut.
    """
    own = cutters()

    def cut(settings: Tree, where: str) -> dict[str, Any]:
        try:
            config = load({**_run_tree(settings), "store": str(chain.store)}, (), own)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        return {name: config.stage(name).model_dump() for name in own}

    common = cut(chain.settings, "settings")
    for name, method in chain.methods.items():
        if cut(merge(chain.settings, method.settings), f"method {name}") != common:
            raise ConfigError(
                f"method {name}: its settings of {', '.join(own)} are not those of the other methods, and all read the same "
                "crops: give it a file and an out of its own"
            )


def crops_command(chain: Chain, means: Means, *, extra: bool) -> list[str]:
    """The command that cuts faces, and its configuration written."""
    store = chain.extra_store if extra else chain.store
    tree = _run_tree(chain.settings) | {"store": str(store), "sources": chain.sources(extra)}
    # What refers to weights that are trained later is not what cuts faces.
    tree = resolved(tree, _Nowhere())
    file = chain.out / "steps" / f"crops-{store.name}.json"
    _write(file, tree)
    return ["run", f"stage={','.join(cutters())}", "--config", str(file), *_workers(means)]


def command(chain: Chain, graph: Graph, step: Step, means: Means, gpus: int) -> list[str]:
    """The command of a step, and its configuration written."""
    file = chain.out / "steps" / f"{step.kind}-{step.key[:16]}.json"
    tree = resolved(step.settings, places(chain, graph, step))
    if step.kind == "train":
        tree["train"][step.name]["out"] = str(step.folder)
        _write(file, tree)
        return ["train", step.name, "--config", str(file), "--gpus", str(gpus)]
    if step.kind == "make":
        _write(file, tree)
        return ["run", f"stage={','.join(chain.stages)}", "--config", str(file), *_workers(means)]
    _write(file, tree | {"out": str(step.folder), "variants": {step.name: {}}})
    strict = ["--strict"] if chain.strict else []
    return ["experiment", str(file), "--device", "auto" if gpus else "cpu", *strict]


def places(chain: Chain, graph: Graph, step: Step) -> dict[str, Any]:
    """What the references of a step stand for, once its parents are over."""
    found: dict[str, Any] = {STORE: str(chain.store), EXTRA: str(chain.extra_store), **chain.weights}
    for name, key in step.parents.items():
        parent = graph.steps[key]
        if name == SHARDS:
            made = read_outcome(parent.folder)
            if made is None or not made.shards:
                raise StoreError(f"{parent.folder}: no shards were made for {step.title}: `stages` has none that ships")
            found[name] = made.shards
        else:
            found[name] = str(parent.folder / "final")
    return found


def leaks(graph: Graph, step: Step, store: Path) -> list[str]:
    """Sentences on what the trainings behind a step have seen of what its fold tests."""
    target = tested(store, step.fold)
    said = (
        sentence
        for one in graph.ancestors(step.key)
        for sentence in overlaps(one.title, read_seen(one.folder / "final"), target)
    )
    return list(dict.fromkeys(said))


def finish(chain: Chain, step: Step, seconds: float) -> list[str]:
    """Note that a step is over, and keep what is known now alone: which generation was made, and the scores in it.

    Returns:
        what the networks behind scores have seen of what is tested.

    Raises:
        FasgenError: what was made cannot be used.
    """
    before = read_outcome(step.folder)
    spent = seconds + (before.seconds if before and before.key == step.key else 0.0)
    if step.kind != "make":
        Outcome(step.key, step.name, step.steps, spent).write(step.folder)
        return []
    plans = [(one.folder, read_plan(one.folder)) for one in latest(chain.store)]
    shards = next((str(folder) for folder, plan in plans if plan.get("shipped") is True), "")
    said: list[str] = []
    scores: dict[str, list[str]] = {}
    for column in step.scores:
        made = stage_scores(chain.store, column)
        rows, _ = under(table_of(made.table, str(chain.store)), row_set(chain.store, step.fold))
        step.folder.mkdir(parents=True, exist_ok=True)
        write_scores(score_file(step.folder, column), rows.rows)
        faces = conditions.of_faces(made.faces, made.rows) if made.faces else []
        scores[column] = [made.sign, *faces]
        said += _behind(chain.store, step.fold, [plan for _, plan in plans if column in products(plan).scores])
    if not (chain.strict and said):
        Outcome(step.key, step.name, 0, spent, shards, index_digest(Path(shards)) if shards else "", scores).write(step.folder)
    return said


def _behind(store: Path, fold: str, plans: list[dict[str, Any]]) -> Iterator[str]:
    """What the networks of a score and of the crops have seen of what is tested."""
    cut, target = cutter(store), tested(store, fold)
    whole: list[Mapping[str, Any]] = [*([read_plan(cut.folder)] if cut else []), *plans]
    for one in networks(store, whole):
        yield from overlaps(one.name, one.seen, target)


def _run_tree(settings: Tree) -> Tree:
    return {key: value for key, value in settings.items() if key != "train"}


def _workers(means: Means) -> list[str]:
    cpus = [] if means.cpus is None else ["--cpus", str(means.cpus)]
    return ["--engine", means.engine, "--gpus", str(means.gpus), *cpus]


class _Nowhere(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"/${name}"


def _write(file: Path, tree: Any) -> None:
    write_atomic(file, json.dumps(tree, indent=1, sort_keys=True).encode() + b"\n")
