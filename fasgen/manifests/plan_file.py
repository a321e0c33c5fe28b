"""A stage's ``plan.json``, the generations that a store holds, and which of them are current.

Which are current stands in ``STORE/current.json``: by stage, its generations in the order in which they became current, the
last one first, each with the date. The same file names the format of the store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import STAGING, leftovers, remove
from fasgen.manifests.roster_file import ROSTERS
from fasgen.manifests.spare import FOLDER, PUT_BACK, settle, write_twice
from fasgen.manifests.unit import canonical_json

NAME = "plan.json"
CURRENT = "current.json"
FORMAT = "fasgen/2"
"""Format of a store, and what stands for the sources in the plan hash of a stage that reads them: which rows there are is no
part of a plan."""
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


def plan_path(folder: Path, first: int = 0) -> Path:
    """Where a generation's plan lies; that of units that were added, by the number of the first of them."""
    return folder / (f"plan-{first:05d}.json" if first else NAME)


def write_plan(folder: Path, plan: Mapping[str, object], first: int = 0) -> None:
    """Write a generation's plan atomically, keys sorted, indented for readers; it becomes the stage's current one.

    Args:
        folder: the generation.
        plan: what to write.
        first: number of the first unit that is added, where it is the plan of such; it makes no generation current.

    Raises:
        StoreError: if the plan is not plain JSON, the folder cannot be written, or the store is of an older format.
    """
    try:
        # One canonical pass first: it refuses NaN and makes keys comparable.
        document = json.loads(canonical_json(dict(plan)))
        match = _FOLDER.fullmatch(folder.name) if not first else None
        current = read_current(folder.parent) if match else {}
        if match and not (folder.parent / CURRENT).exists():
            # The format first, so that no plan is ever without it.
            _write_current(folder.parent, current)
        write_twice(folder.parent, plan_path(folder, first), _encoded(document))
        if match:
            _make_current(folder.parent, match["stage"], folder.name, current)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{plan_path(folder, first)}: the plan is not plain JSON ({error})") from None
    except OSError as error:
        raise StoreError(
            f"{plan_path(folder, first)}: cannot be written ({error.strerror}): choose another store or free space"
        ) from error


_DIGEST = "digest"


def _encoded(document: Mapping[str, Any]) -> bytes:
    """The file's bytes: the plan, and a digest over it, since no manifest covers this file."""
    digest = hashlib.sha256(canonical_json(dict(document))).hexdigest()
    return (json.dumps({**document, _DIGEST: digest}, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def is_as_written(folder: Path, first: int = 0) -> bool:
    """Whether a plan has the very bytes that were written."""
    try:
        data = plan_path(folder, first).read_bytes()
        document = parse_json(data)
        return _encoded({name: value for name, value in document.items() if name != _DIGEST}) == data
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def read_plan(folder: Path, first: int = 0) -> dict[str, Any]:
    """The plan of a stage's folder, or of units that were added there from ``first`` on.

    Raises:
        StoreError: if it is missing or damaged.
    """
    path = plan_path(folder, first)
    try:
        plan = parse_json(path.read_bytes())
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


class Listed(NamedTuple):
    """A generation in the record of what is current.

    Attributes:
        folder: name of its folder.
        since: when it became current, UTC, as ISO 8601 writes it.
    """

    folder: str
    since: str


def read_current(store: Path) -> dict[str, list[Listed]]:
    """By stage, its generations, the current one first.

    Raises:
        StoreError: the store is of an older format, or the record is damaged.
    """
    path = store / CURRENT
    try:
        document = parse_json(path.read_bytes())
        if document["format"] == FORMAT:
            if document["digest"] != _digest_of(document):
                raise ValueError("not the bytes that were written")
            stages = document["stages"].items()
            return {str(stage): [Listed(str(folder), str(since)) for folder, since in listed] for stage, listed in stages}
    except FileNotFoundError:
        if not generations(store):
            return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{path}: is damaged ({error}): {PUT_BACK}") from None
    if not path.exists() and (store / FOLDER / CURRENT).exists():
        raise StoreError(f"{path}: is not there any more: {PUT_BACK}")
    raise StoreError(
        f"{store}: was written in another format than {FORMAT}: set store to a new folder and run again, "
        "or go on with the version of fasgen that wrote it"
    )


def encode_current(stages: Mapping[str, Sequence[Listed]]) -> bytes:
    """The bytes of ``current.json``: by stage, its generations, the current one first."""
    document: dict[str, Any] = {"format": FORMAT, "stages": {stage: [list(one) for one in stages[stage]] for stage in stages}}
    document["digest"] = _digest_of(document)
    return (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()


def decode_current(data: bytes) -> dict[str, list[Listed]]:
    """The inverse of `encode_current`.

    Raises:
        ValueError: these are not the bytes of such a file, or it is of another format.
    """
    try:
        document = parse_json(data)
        if document["format"] != FORMAT:
            raise ValueError(f"of the format {document['format']!r}, not {FORMAT}")
        if document["digest"] != _digest_of(document):
            raise ValueError("not the bytes that were written")
        return {
            str(stage): [Listed(str(folder), str(since)) for folder, since in listed]
            for stage, listed in document["stages"].items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a record of what is current ({error})") from None


def _write_current(store: Path, stages: Mapping[str, Sequence[Listed]]) -> None:
    write_twice(store, store / CURRENT, encode_current(stages))


def _digest_of(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json([document["format"], document["stages"]])).hexdigest()


def _make_current(store: Path, stage: str, folder: str, current: dict[str, list[Listed]]) -> None:
    listed = current.get(stage, [])
    if listed and listed[0].folder == folder:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _write_current(store, current | {stage: [Listed(folder, now), *(one for one in listed if one.folder != folder)]})


def forget(store: Path, folders: Collection[str]) -> None:
    """Take generations out of the record of what is or was current.

    Raises:
        StoreError: the record is damaged or cannot be written.
    """
    kept = {stage: [one for one in listed if one.folder not in folders] for stage, listed in read_current(store).items()}
    try:
        _write_current(store, {stage: listed for stage, listed in kept.items() if listed})
    except OSError as error:
        raise StoreError(f"{store / CURRENT}: cannot be written ({error.strerror}): free space") from error


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


_FOLDERS = frozenset({"added", "attached", "retracted", "rows", "runs", "seen", "sources", FOLDER})
"""Folders of a store that are no generations."""


def sweep(store: Path) -> int:
    """Remove what killed writers left anywhere in a store; its lock must be held. Returns how many there were.

    New units of a removal that was not finished stay: giving it again finishes it.
    """
    # Folders without a plan too: a writer may have been killed before there was one. A store may lie among other things
    # (``store: .``), whose folders are nobody's business.
    above = (".", "rows", FOLDER, f"{FOLDER}/rows")
    folders = [path for name in above if (store / name).is_dir() for path in (store / name).iterdir()]
    own = [path for path in folders if path.name in _FOLDERS or path.parent.name == "rows" or _FOLDER.fullmatch(path.name)]
    places = [store, *(path for folder in own for path in (folder, folder / ROSTERS) if path.is_dir())]
    found = [path for place in places for path in leftovers(place) if not path.name.startswith(STAGING)]
    for path in found:
        remove(path)
    settle(store)
    return len(found)


def latest(store: Path) -> list[Generation]:
    """Of every stage, the generation that is current; by folder name.

    Raises:
        StoreError: the store is of an older format, or its record of what is current is damaged.
    """
    current = {listed[0].folder for listed in read_current(store).values() if listed}
    return [generation for generation in generations(store) if generation.folder.name in current]
