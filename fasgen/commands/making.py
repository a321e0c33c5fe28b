"""Shards made of folders and videos by the very stages, set as a detector's shards were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fasgen.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from fasgen.commands.options import Workers
    from fasgen.downstream.detector import Detector
    from fasgen.downstream.scoring import Scored
    from fasgen.pipeline.plan import Plan
    from fasgen.stages.stage import StageSpec

LOCATED = "weights"
"""What an index says in place of a path under which weights lay (`fasgen.pipeline.graph.plain`)."""


@dataclass(slots=True)
class Made:
    """What was made.

    Attributes:
        shards: the folder of the shards; empty where no sample got that far.
        lost: samples that a stage turned away or could not make.
        twins: by the id of a sample that the detector's store knows, those of the same file here.
    """

    shards: list[Path]
    lost: list[Scored]
    twins: dict[str, list[str]] = field(default_factory=dict)


def make_shards(
    detector: Detector,
    media: Sequence[Path],
    settings: Sequence[str],
    store: Path,
    workers: Workers,
) -> Made:
    """Run the stages over folders, videos and pictures, in ``store``.

    Raises:
        ConfigError: it is not known how the detector's shards were made, or weights are others.
        FasgenError: the run was refused, or did not finish.
    """
    from fasgen.commands import options
    from fasgen.commands.plan import make_plan
    from fasgen.commands.run import execute, new_run_id
    from fasgen.config import load
    from fasgen.pipeline.outcome import Outcome

    tree = _configuration(detector, media)
    of_sources = type(load(tree).sources[0]).model_fields
    first = [(text, text.partition("=")[0].strip().partition(".")[0] in of_sources) for text in settings]
    given = [f"sources.{number}.{text}" for number in range(len(tree["sources"])) for text, own in first if own]
    given += _weighed(detector, [text for text, own in first if not own])
    request = options.read_request(["stage=pack", *given], tree, store)
    options.mend(request.config.store)
    plan = make_plan(request, workers)
    _check(plan, detector)
    result = execute(plan, request, workers.engine, new_run_id(plan.store))
    if result.outcome is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if result.outcome is not Outcome.FINISHED:
        raise ResourceError(f"what is scored could not be made: {result.error or result.outcome}")
    names = {source.name for source in request.config.sources}
    shards = [one.folder for one in plan.wanted if one.spec.shipped and next(one.folder.glob("*.tar"), None)]
    return Made(shards, list(_lost(detector, plan.store, names)), _twins(detector, plan.store))


def _configuration(detector: Detector, media: Sequence[Path]) -> dict[str, Any]:
    """The configuration of the run: the detector's settings of stages, and media as sources."""
    from fasgen.stages import PHOTOGRAPHS_ONLY, specs

    if not detector.made:
        raise ConfigError(
            f"{detector.folder}: nothing says how the stages were set that made its shards (they had no index.json when it was "
            "trained): score shards instead"
        )
    known = specs()
    stages = {name: one["config"] for name, one in detector.made.items() if name in known and _makes(known[name])}
    for name, one in detector.made.items():
        if name in known and known[name].declares and (given := sorted(set(one["weights"]) & set(detector.cues))):
            raise ConfigError(
                f"{detector.folder}: its cue {given[0]} was made elsewhere and attached: nothing here makes it of others; "
                "score shards that have it"
            )
    packed = {"cues": [name for name in detector.cues if name != "image"], "labels": ["live", "spoof", "unknown"]}
    shipped = {"licences": [], "reconstruction": False, "embedding": False, "where": None, "protocol": None, "rows": None}
    seed = next(iter(detector.made.values()))["seed"]
    return {
        **{name: _unlocated(config) for name, config in stages.items()},
        **PHOTOGRAPHS_ONLY,
        "pack": {**_unlocated(stages.get("pack", {})), **packed, **shipped},
        "seed": seed,
        # One that fails costs no other.
        "budget": {"max_failed_rate": 1.0},
        "sources": list(_sources(media)),
    }


def _makes(spec: StageSpec) -> bool:
    """Whether a stage makes something of photographs by its settings alone."""
    return not spec.roster and spec.declares is None


def _sources(media: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Folders as they are; files of one folder together."""
    files: dict[Path, list[str]] = {}
    for path in media:
        if path.is_dir():
            yield {"path": str(path)}
        else:
            files.setdefault(path.parent, []).append(escape(path.name))
    for folder, names in files.items():
        yield {"path": str(folder), "include": names}


def _weighed(detector: Detector, settings: Sequence[str]) -> Sequence[str]:
    """Settings of stages, among which must be where weights lie that did not come with fasgen.

    Raises:
        ConfigError: it is not said of one.
    """
    from fasgen.stages import specs

    said = {text.partition("=")[0].strip() for text in settings}
    for name, one in detector.made.items():
        for key in _located(one["config"]) if name in specs() and _makes(specs()[name]) else ():
            if f"{name}.{key}" not in said:
                raise ConfigError(
                    f"{name}.{key}: the detector's cue was made with weights of your own; say where they lie, "
                    f"{name}.{key}=PATH (they must have the same digest)"
                )
    return settings


def _located(config: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in config.items():
        if value == LOCATED:
            yield above + key
        elif isinstance(value, Mapping):
            yield from _located(value, f"{above}{key}.")


def _unlocated(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if value != LOCATED}
    return {key: _unlocated(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def _check(plan: Plan, detector: Detector) -> None:
    """Refuse weights that are not those behind the detector's shards; say where a stage is of another version.

    Raises:
        ConfigError: weights differ.
    """
    for name, stage in plan.stages.items():
        made = detector.made.get(name)
        if made is None or stage.spec.shipped:
            continue
        if other := sorted(role for role, found in stage.weights.items() if made["weights"].get(role, found) != found):
            raise ConfigError(
                f"{name}: its weights ({', '.join(other)}) are not those that made the detector's shards: give those, or score "
                "shards"
            )
        if made["version"] != stage.spec.version:
            version = f"{made['version']} when the detector learnt, and is {stage.spec.version} now"
            click.echo(f"note: {name} was of version {version}: its products may differ", err=True)


_ROW = ("sample_id", "dataset", "path", "frame", "video", "subject", "label", "attack_type", "split", "reason", "detail")


def _lost(detector: Detector, store: Path, names: set[str]) -> Iterator[Scored]:
    """The samples that did not get as far as shards."""
    from fasgen.audit.query import show
    from fasgen.downstream.scores import Score
    from fasgen.downstream.scoring import Scored

    for row in show(store, "status != 'ok' and variant = 0", ("stage", *_ROW), None).to_pylist():
        if row["dataset"] not in names:
            continue
        label = {"live": 1, "spoof": 0}.get(row["label"], -1)
        video = row["video"] or "" if row["frame"] is None else row["path"]
        known = Score(
            row["sample_id"],
            label,
            float("nan"),
            video,
            row["attack_type"] or "",
            row["split"] or "",
            row["dataset"],
            detector.method,
            detector.protocol,
            detector.seed,
        )
        detail = f"{row['stage']}: {row['detail'] or ''}".rstrip(": ")
        yield Scored(known, row["subject"] or "", row["path"] or "", row["frame"], 0, row["reason"], detail)


def _twins(detector: Detector, store: Path) -> dict[str, list[str]]:
    """By what is in a file: whatever it is called, it is the one that the detector's store holds."""
    there = _files(detector.experiment.data.shards[0].absolute())
    here = _files(store)
    return {other: ids for digest, ids in here.items() for other in there.get(digest, ())}


def _files(place: Path) -> dict[str, list[str]]:
    """Sample ids by the digest of their file, in the store at ``place`` or above it; none where there is no store any more."""
    from fasgen.manifests.parquet import read_table
    from fasgen.manifests.plan_file import CURRENT
    from fasgen.manifests.products import cutter, units_of
    from fasgen.manifests.unit import manifest_path

    store = next((folder for folder in (place, *list(place.parents)[:2]) if (folder / CURRENT).is_file()), None)
    found: dict[str, list[str]] = {}
    for folder, unit in units_of(cutter(store)) if store else ():
        table = read_table(manifest_path(folder, unit), ("sample_id", "source_sha256"))
        for sample, digest in zip(table["sample_id"].to_pylist(), table["source_sha256"].to_pylist(), strict=True):
            if digest:
                found.setdefault(digest, []).append(sample)
    return found
