"""A stage's ``plan.json``, and finding the generations that a store holds."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.manifests.atomic import STAGING, leftovers, remove, write_atomic
from fasgen.manifests.unit import canonical_json

NAME = "plan.json"
_FOLDER = re.compile(r"(?P<stage>.+)-(?P<hash>[0-9a-f]{8})")


IDENTITY = ("stage", "version", "config", "weights", "upstream", "unit_rows", "seed", "batch")
"""What a plan hash covers: all that decides a stage's bytes within one determinism domain."""


def identity_hash(plan: Mapping[str, object]) -> str:
    """SHA-256, in hex, over the ``IDENTITY`` of a plan: one spelling for equal values, ASCII, no NaN.

    Raises:
        KeyError: a part of the identity is missing.
        ValueError, TypeError: it is not plain JSON.
    """
    identity = {name: plan[name] for name in IDENTITY}
    return hashlib.sha256(
        json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
    ).hexdigest()


def weights_digest(weights: Mapping[str, str]) -> str:
    """One digest over a stage's weights, as every manifest row has it; empty without weights."""
    if not weights:
        return ""
    text = json.dumps(dict(weights), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_plan(folder: Path, plan: Mapping[str, object]) -> None:
    """Write ``plan.json`` atomically, keys sorted, indented for readers; it becomes the stage's latest generation.

    Raises:
        StoreError: if the plan is not plain JSON, or the folder cannot be written.
    """
    try:
        # One canonical pass first: it refuses NaN and makes keys comparable.
        document = json.loads(canonical_json(dict(plan)))
        write_atomic(folder / NAME, _encoded(document))
        _outlast(folder)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{folder / NAME}: the plan is not plain JSON ({error})") from None
    except OSError as error:
        raise StoreError(
            f"{folder / NAME}: cannot be written ({error.strerror}): choose another store or free space"
        ) from error


_DIGEST = "digest"


def _encoded(document: Mapping[str, Any]) -> bytes:
    """The file's bytes: the plan, and a digest over it, since no manifest covers this file."""
    digest = hashlib.sha256(canonical_json(dict(document))).hexdigest()
    return (json.dumps({**document, _DIGEST: digest}, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def is_as_written(folder: Path) -> bool:
    """Whether ``plan.json`` has the very bytes that were written."""
    try:
        data = (folder / NAME).read_bytes()
        document = json.loads(data)
        return _encoded({name: value for name, value in document.items() if name != _DIGEST}) == data
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _outlast(folder: Path) -> None:
    """Make this plan the stage's newest by its time of change, also where the clock has jumped back since the last one."""
    match = _FOLDER.fullmatch(folder.name)
    if not match:
        return
    others = [one.folder / NAME for one in generations(folder.parent) if one.stage == match["stage"] and one.folder != folder]
    newest = max((path.stat().st_mtime_ns for path in others), default=0)
    status = (folder / NAME).stat()
    if status.st_mtime_ns <= newest:
        os.utime(folder / NAME, ns=(status.st_atime_ns, newest + 1))


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan of a stage's folder.

    Raises:
        StoreError: if it is missing or damaged.
    """
    path = folder / NAME
    try:
        plan = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}): the folder is not a stage's output") from None
    except ValueError as error:
        raise StoreError(f"{path}: is damaged ({error}): `fasgen run` writes it again") from None
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: is damaged (not a JSON object): `fasgen run` writes it again")
    for name in ("upstream", "weights"):
        part = plan.get(name, {})
        if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
            raise StoreError(f"{path}: is damaged ({name} are no digests by name): `fasgen run` writes it again")
    plan.pop(_DIGEST, None)
    return plan


@dataclass(frozen=True)
class Generation:
    """One stage's output under one plan.

    Attributes:
        stage: stage name.
        folder: its folder in the store.
    """

    stage: str
    folder: Path


def generations(store: Path) -> list[Generation]:
    """All generations in a store, by folder name; a folder is one if it is called ``<stage>-<8 hex digits>`` and has a plan."""
    if not store.is_dir():
        return []
    found = []
    for folder in sorted(store.iterdir()):
        match = _FOLDER.fullmatch(folder.name)
        if match and (folder / NAME).is_file():
            found.append(Generation(match["stage"], folder))
    return found


def sweep(store: Path) -> int:
    """Remove what killed writers left anywhere in a store; its lock must be held. Returns how many there were.

    New units of a removal that was not finished stay: giving it again finishes it.
    """
    # Folders without a plan too: a writer may have been killed before there was one.
    places = [store, *(path for path in store.iterdir() if path.is_dir())] if store.is_dir() else []
    found = [path for place in places for path in leftovers(place) if not path.name.startswith(STAGING)]
    for path in found:
        remove(path)
    return len(found)


def latest(store: Path) -> list[Generation]:
    """Of every stage, the generation that was planned last; by folder name."""
    newest: dict[str, tuple[int, Generation]] = {}
    for generation in generations(store):
        planned = (generation.folder / NAME).stat().st_mtime_ns
        if generation.stage not in newest or planned >= newest[generation.stage][0]:
            newest[generation.stage] = (planned, generation)
    return [generation for _, generation in newest.values()]
