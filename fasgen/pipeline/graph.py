"""The order of the stages, and the hash under which a stage's finished work is believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib import import_module
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from fasgen.errors import ConfigError
from fasgen.stages.stage import StageSpec

SOURCES = "sources"
"""The name under which a stage that reads sources finds the listing's digest among its upstream hashes."""


def resolve(target: str) -> Any:
    """The object that ``module:attribute`` names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def ordered(specs: Mapping[str, StageSpec]) -> list[str]:
    """Stage names with every stage after all that it reads; among equals, the order of ``specs``.

    Raises:
        ConfigError: a stage reads one that does not exist, or stages read each other in a ring.
    """
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_:
            raise ConfigError(f"stages read each other in a ring: {' -> '.join([*open_[open_.index(name) :], name])}")
        open_.append(name)
        for reads in specs[name].reads:
            if reads.stage not in specs:
                raise ConfigError(f"stage {name} reads {reads.stage}, which is none of {', '.join(specs)}")
            visit(reads.stage)
        open_.pop()
        order.append(name)

    for name in specs:
        visit(name)
    return order


def with_ancestors(specs: Mapping[str, StageSpec], wanted: Sequence[str]) -> list[str]:
    """``wanted`` and all that they read, directly or not, in order."""
    needed: set[str] = set()
    stack = list(wanted)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(reads.stage for reads in specs[name].reads)
    return [name for name in ordered(specs) if name in needed]


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
        upstream: plan hash by stage read, or the listing's digest under ``sources``.
        unit_rows: rows of a unit.
        seed: the run's seed.
        batch: samples of a call.
    """
    located = tuple(spec.weights(config).values())
    identity = {
        "stage": spec.name,
        "version": spec.version,
        "config": plain(config, located),
        "weights": dict(weights),
        "upstream": dict(upstream),
        "unit_rows": unit_rows,
        "seed": seed,
        "batch": batch,
    }
    return hashlib.sha256(canonical_json(identity)).hexdigest()
