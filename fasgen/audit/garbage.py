"""Generations that nothing current needs, and their removal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fasgen.manifests import atomic, spare
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import CURRENT, forget, latest, read_plan, sweep

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
    return [
        Garbage(path, _size(path)) for path in found if path.is_dir() and _FOLDER.fullmatch(path.name) and path not in needed
    ]


def remove(store: Path, generations: Iterable[Garbage]) -> None:
    """Remove generations while no driver works on the store.

    Killed at any moment, a generation is there as a whole, or is gone for everybody and its rest goes with the next run.

    Raises:
        StoreError: another driver works on the store, or it cannot be written.
    """
    with StoreLock(store):
        sweep(store)
        gone = [one.folder for one in generations]
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
