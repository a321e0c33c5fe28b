"""What a chain's file says, checked whole before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fasgen.audit.protocol_sets import find_protocols
from fasgen.chains.references import protected
from fasgen.config import place
from fasgen.config.anchors import anchor, tidy
from fasgen.config.complaints import complain
from fasgen.config.document import Key, read_document
from fasgen.config.overrides import parse_override, put
from fasgen.config.root import root_model
from fasgen.config.shapes import Shape
from fasgen.downstream.config import Experiment
from fasgen.downstream.evaluate import FIGURES
from fasgen.errors import ConfigError
from fasgen.remote.address import scheme_of
from fasgen.sources.config import SourceConfig
from fasgen.sources.protocols import Protocol
from fasgen.stages.settings import merge
from fasgen.training.config import TRAININGS

Tree = dict[str, Any]

STORE, EXTRA = "store", "extra"
"""References to the chain's own stores: of what is tested, and of data sets that trainings alone learn from."""

CARRIED = "embedded"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Method(_Frozen):
    """A row of the table: a detector that is trained on shards, or the score of a stage."""

    settings: Tree = Field(default_factory=dict, description="what differs from the chain's settings")
    detector: Tree | None = Field(default=None, description="an experiment without shards, protocol and out")
    score: str | None = Field(default=None, description="column of a stage that is the score, in place of a detector")

    @model_validator(mode="after")
    def _one_of_both(self) -> Method:
        if (self.detector is None) == (self.score is None):
            raise ValueError("a method is either a detector ({} for the common one) or the score of a stage: give one of them")
        return self


class Paper(_Frozen):
    """The published table."""

    title: str = Field(default="", description="of the paper")
    where: str = Field(default="", description="which table it is, or where its figures stand")
    figures: dict[str, dict[str, dict[str, float | str]]] = Field(
        default_factory=dict, description="by protocol and method, figures in %; a text may give a deviation, 1.9 ± 1.2"
    )


class Chain(_Frozen):
    """All of a table.

    Texts that begin with $ are references: $NAME is the folder of weights of the training NAME in the same fold, or what
    ``weights`` says of NAME; $store and $extra are the chain's stores. Something may follow: $dfg/unet.
    """

    about: str = Field(default="", description="what the table shows, a line")
    out: Path = Field(description="folder of stores, detectors and the table")
    trainings: Path | None = Field(default=None, description="folder of trained weights, which chains may share; null: in out")
    protocols: tuple[str, ...] = Field(min_length=1, description="published protocols, or single folds; of families all folds")
    lists: dict[str, Path] = Field(
        default_factory=dict, description="by protocol, the data set's own lists; else those that lie in the data are found"
    )
    data: dict[str, Tree] = Field(min_length=1, description="by data set, its source: path and frames")
    extra: dict[str, Tree] = Field(default_factory=dict, description="data sets that trainings alone learn from")
    weights: dict[str, str | None] = Field(default_factory=dict, description="weights of others, by name; null asks for them")
    settings: Tree = Field(default_factory=dict, description="as a configuration of `fasgen run` and `fasgen train`")
    stages: tuple[str, ...] = Field(default=("all",), min_length=1, description="stages that are made in each fold")
    detector: Tree = Field(default_factory=dict, description="what the detectors of all methods have in common")
    methods: dict[str, Method] = Field(min_length=1, description="rows of the table")
    figures: tuple[str, ...] = Field(default=("hter", "auc"), min_length=1, description="columns of the table")
    strict: bool = Field(default=True, description="refuse where anything trained has seen what is tested, or does not say")
    paper: Paper = Field(default_factory=lambda: Paper.model_validate({}), description="the published table")

    @model_validator(mode="after")
    def _names(self) -> Chain:
        unknown = [name for name in self.figures if name not in FIGURES]
        if unknown:
            raise ValueError(f"figures: {unknown[0]!r} is none of {', '.join(FIGURES)}")
        if twice := sorted(({STORE, EXTRA, *TRAININGS} & {*self.weights}) | ({*self.data} & {*self.extra})):
            raise ValueError(f"{twice[0]!r} is the name of two things: of weights or data, and of something else")
        for protocol, methods in self.paper.figures.items():
            for method, told in methods.items():
                if method not in self.methods:
                    raise ValueError(f"paper.figures.{protocol}: {method!r} is none of the methods")
                if wrong := sorted(set(told) - set(FIGURES)):
                    raise ValueError(f"paper.figures.{protocol}.{method}: {wrong[0]!r} is none of {', '.join(FIGURES)}")
        return self

    @property
    def store(self) -> Path:
        """Of what is tested."""
        return self.out / STORE

    @property
    def extra_store(self) -> Path:
        """Of what trainings alone learn from."""
        return self.out / EXTRA

    @property
    def trained(self) -> Path:
        """Where trainings lie."""
        return self.trainings or self.out / "trainings"

    def folds(self) -> list[Protocol]:
        """Every fold, in order, each once."""
        return list({one.name: one for name in self.protocols for one in find_protocols(name)}.values())

    def sources(self, extra: bool = False) -> list[Tree]:
        """The sources of a store, as a configuration has them."""
        return [{"name": name, "adapter": name, **one} for name, one in (self.extra if extra else self.data).items()]


def fold_name(one: Protocol) -> str:
    """What row sets and tables call a fold."""
    return f"{one.family}/{one.name.removeprefix(f'{one.family}-')}" if one.family else one.name


def load_chain(path: Path, overrides: Sequence[str] = (), data: Path | None = None) -> Chain:
    """Read a chain: file < ``data`` < overrides. Relative paths are relative to the file they stand in, or the current folder.

    Args:
        path: the file.
        overrides: settings as ``a.b=c``.
        data: a file that says where data sets and weights lie: ``data`` and ``weights`` in it as in a chain; what it says of
            data sets that the chain does not have is passed over.

    Raises:
        ConfigError: something is unknown, of the wrong type, or not there; everything that is not there is named at once.
    """
    document = read_document(path)
    tree = _anchored(document.data, path.parent)
    if data is not None:
        tree = merge(tree, _places(_anchored(read_document(data).data, data.parent), tree, data))
    above: Tree = {}
    for text in overrides:
        key, value = parse_override(text)
        put(above, key, value)
    tree = merge(tree, _anchored(above, Path.cwd()))

    def origin(key: Key) -> str:
        named = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in document.lines), None)
        return f"{document.name}, line {document.lines[named]}" if named else document.name

    try:
        chain = Chain.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(complain(Chain, error, origin)) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    _check(path, chain)
    _all_there(path, chain)
    return chain


def _places(told: Tree, chain: Tree, where: Path) -> Tree:
    """Of a file of places what a chain asks for.

    Raises:
        ConfigError: it says something else than places.
    """
    if other := sorted(set(told) - {"data", "weights"}):
        raise ConfigError(f"{where}: {other[0]!r} is no place: a file of places has data and weights, by name")
    said = {"data": told.get("data"), EXTRA: told.get("data"), "weights": told.get("weights")}
    return {
        part: {name: one for name, one in (places or {}).items() if one and name in (chain.get(part) or {})}
        for part, places in said.items()
    }


def _anchored(tree: Mapping[str, Any], folder: Path) -> Tree:
    """The tree of a chain with absolute paths; a source that is a text is its path."""
    out: Tree = protected(dict(tree))
    run, experiment = Shape(root_model()), Shape(Experiment)
    for part in ("data", EXTRA):
        if isinstance(out.get(part), dict):
            out[part] = {name: _source(one, folder) for name, one in out[part].items()}
    if isinstance(out.get("settings"), dict):
        out["settings"] = _settings(out["settings"], run, folder)
    if isinstance(out.get("detector"), dict):
        out["detector"] = _settings(out["detector"], experiment, folder)
    if isinstance(out.get("weights"), dict):
        out["weights"] = {name: _weights(one, folder) for name, one in out["weights"].items()}
    if isinstance(out.get("methods"), dict):
        out["methods"] = {
            name: {
                key: _settings(value, run if key == "settings" else experiment, folder) if isinstance(value, dict) else value
                for key, value in one.items()
            }
            if isinstance(one, dict)
            else one
            for name, one in out["methods"].items()
        }
    shape = Shape(Chain)
    return out | {
        key: anchor(out[key], shape.below(key), folder, (key,)) for key in ("out", "trainings", "lists") if key in out
    }


def _settings(tree: Tree, shape: Shape, folder: Path) -> Any:
    # A preset is a name, of which the default is the word for weights that come with fasgen.
    named = {key: value for key, value in tree.items() if key == "preset"}
    return {**anchor({key: value for key, value in tree.items() if key != "preset"}, shape, folder), **named}


def _source(one: Any, folder: Path) -> Any:
    if one is None or isinstance(one, str):
        one = {"path": one} if one else {}
    return anchor(one, Shape(SourceConfig), folder)


def _weights(one: Any, folder: Path) -> Any:
    if not isinstance(one, str) or one == CARRIED or scheme_of(one):
        return one
    return tidy((folder / place(one)).absolute())


def _check(path: Path, chain: Chain) -> None:
    """Refuse figures of protocols that there are not, and evaluation that differs from row to row."""
    for name in (*chain.paper.figures, *chain.lists):
        # Of a file that is run in part the others stay, but what nobody knows is misspelt.
        find_protocols(name)
    for name, method in chain.methods.items():
        if "scoring" in (method.detector or {}):
            raise ConfigError(f"{path}: methods.{name}.detector.scoring: rows are scored alike: put it into detector")


def _all_there(path: Path, chain: Chain) -> None:
    """Refuse where data or weights are asked for and not given, all of them at once."""
    lacking = [
        f"data set {name}: {why}" for name, one in {**chain.data, **chain.extra}.items() if (why := _lacks(one.get("path")))
    ]
    lacking += [f"weights {name}: {why}" for name, one in chain.weights.items() if one != CARRIED and (why := _lacks(one))]
    used = {part.dataset for fold in chain.folds() for parts in fold.sides.values() for part in parts}
    lacking += [
        f"data set {name}: the protocols are of it, and data does not have it" for name in sorted(used - set(chain.data))
    ]
    if lacking:
        raise ConfigError(
            f"{path}: " + "; ".join(lacking) + ". Say where they lie, as data.NAME=FOLDER and weights.NAME=PATH, or once for "
            "all tables in a file that --data names"
        )


def _lacks(told: Any) -> str:
    if told is None:
        return "where it lies is not said"
    return "" if scheme_of(str(told)) or Path(str(told)).exists() else f"there is no {told}"
