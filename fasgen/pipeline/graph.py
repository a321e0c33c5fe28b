"""The hash under which a stage's finished work is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel

from fasgen.errors import ConfigError
from fasgen.manifests.plan_file import identity_hash
from fasgen.remote.address import scheme_of
from fasgen.remote.cache import origin
from fasgen.remote.path import RemotePath
from fasgen.stages.stage import StageConfig, StageSpec

SOURCES = "sources"
"""The name under which a stage that reads sources finds what stands for them among its upstream hashes: the store's format."""


def resolve(target: str) -> Any:
    """The object that ``module:attribute`` names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def ascii_json(value: object) -> bytes:
    """One spelling for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def plain(value: object, located: Sequence[PurePath] = ()) -> Any:
    """A configuration value in JSON types, independent of the classes that held it.

    A path under which one of the stage's weights lies (``located``) becomes the word ``weights``: what the file holds is in
    the plan hash by its digest, and where a machine keeps it must not change the hash.
    """
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        later = value.LATER if isinstance(value, StageConfig) else ()
        said = (name for name in fields if name not in later or getattr(value, name) != fields[name].default)
        return {name: plain(getattr(value, name), located) for name in said}
    if isinstance(value, Mapping):
        return {str(key): plain(item, located) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, located) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, located) for item in value), key=ascii_json)
    if isinstance(value, Enum):
        return plain(value.value, located)
    if isinstance(value, RemotePath):
        return plain(str(value), located)
    if isinstance(value, PurePath):
        return "weights" if any(path.is_relative_to(value) for path in located) else value.as_posix()
    if isinstance(value, str):
        return "weights" if any(value in (str(path), _whole(path, value)) for path in located) else value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise ConfigError(f"a value of type {type(value).__name__} in a stage's configuration has no canonical form: {value!r}")


def _whole(path: PurePath, address: str) -> str:
    """The address again, where a path is the copy of what lies there, or of a part of it."""
    if not scheme_of(address):
        return ""
    return address if f"{origin(Path(path))}/".startswith(f"{address.rstrip('/')}/") else ""


def plan_hash(
    name: str,
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
        name: of what the stage makes on its lane.
        spec: the stage; its version enters the hash.
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
            "stage": name,
            "version": spec.version,
            "config": plain(config, located),
            "weights": dict(weights),
            "upstream": dict(upstream),
            "unit_rows": unit_rows,
            "seed": seed,
            "batch": batch,
        }
    )
