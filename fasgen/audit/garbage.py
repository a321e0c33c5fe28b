"""Generations that nothing current needs, and their removal."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.manifests import atomic, spare
from fasgen.manifests.atomic import leftovers
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.names import OURS
from fasgen.manifests.plan_file import CURRENT, forget, latest, read_current, read_plan, sweep

_FOLDER = re.compile(r".+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Garbage:
    """A generation that can go.

    Attributes:
        folder: where it lies.
        bytes: of all its files.
    """

    folder: Path
    bytes: int


def unneeded(store: Path) -> list[Garbage]:
    """Generations that are neither current nor stand above one that is, by name.

    Raises:
        StoreError: the store is of an older format, or the plan of a current generation is damaged.
    """
    needed: set[Path] = set()
    open_ = [generation.folder for generation in latest(store)]
    while open_:
        folder = open_.pop()
        if folder in needed or not folder.is_dir():
            continue
        needed.add(folder)
        upstream = dict(read_plan(folder).get("upstream") or {})
        open_ += [store / f"{stage}-{str(digest)[:8]}" for stage, digest in upstream.items() if stage != "sources"]
    # Without a record of what is current, everything would look as if nobody needed it.
    found = sorted(store.iterdir()) if (store / CURRENT).exists() else []
    known = read_current(store).keys()
    return [Garbage(path, _size(path)) for path in found if path not in needed and _is_generation(path, known)]


def _is_generation(path: Path, stages: Collection[str]) -> bool:
    """Whether a folder is a generation, or what a killed writer left of one: photos-20261127 is called like one as well."""
    if not _FOLDER.fullmatch(path.name) or not path.is_dir() or path.is_symlink():
        return False
    try:
        plan = read_plan(path)
    except StoreError:
        return path.name.rpartition("-")[0] in stages and not _foreign(path)
    return f"{plan.get('stage')}-{str(plan.get('plan_hash'))[:8]}" == path.name


def _foreign(folder: Path) -> Path | None:
    """A file in a generation that fasgen has not written; None where there is none."""
    ours = {path.name for path in leftovers(folder)}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if inside.parts[0] not in ours and not path.is_dir() and not OURS.fullmatch(f"{folder.name}/{inside.as_posix()}"):
            return path
    return None


def remove(store: Path, generations: Iterable[Garbage]) -> None:
    """Remove generations while no driver works on the store.

    Killed at any moment, a generation is there as a whole, or is gone for everybody and its rest goes with the next run.

    Raises:
        StoreError: another driver works on the store, it cannot be written, or one of them has a file of somebody else's.
    """
    with StoreLock(store):
        sweep(store)
        gone = [one.folder for one in generations]
        if strange := next(filter(None, map(_foreign, gone)), None):
            raise StoreError(f"{strange}: is none of fasgen's files: move it to another place, then give the command again")
        for folder in gone:
            spare.forget(store, folder.name)
            # Renamed first: half of a generation must not be taken for one.
            trash = atomic.tmp_folder(store, "gc")
            folder.rename(trash / folder.name)
            atomic.fsync_file(store)
            atomic.remove(trash)
        forget(store, [folder.name for folder in gone])


def _size(folder: Path) -> int:
    return sum(os.lstat(Path(root) / name).st_size for root, _, names in os.walk(folder) for name in names)
