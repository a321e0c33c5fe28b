"""Units added to finished generations: rows tried again under other settings. One file an addition, under ``added/``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.unit import canonical_json

_FORMAT = "fasgen-added/1"


@dataclass(frozen=True)
class Added:
    """Units that were added to the generations of a store.

    Attributes:
        reason: the reason for which their rows had no product before.
        first: number of the first unit; the same in every generation.
        units: how many there are.
        samples: the ids of their rows, in order.
        plans: what ``plan.json`` would hold for them, by generation's folder.
    """

    reason: str
    first: int
    units: int
    samples: tuple[str, ...]
    plans: Mapping[str, Mapping[str, Any]]

    @property
    def numbers(self) -> range:
        """Numbers of the units."""
        return range(self.first, self.first + self.units)

    @property
    def name(self) -> str:
        """Eight hex digits over what was tried again, and how."""
        plans = {folder: plan.get("plan_hash") for folder, plan in self.plans.items()}
        return hashlib.sha256(canonical_json([self.reason, self.first, list(self.samples), plans])).hexdigest()[:8]


def read_added(store: Path) -> list[Added]:
    """All additions to a store, in order of their units.

    Raises:
        StoreError: one is damaged.
    """
    folder = store / "added"
    found: list[Added] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            document = json.loads(path.read_bytes())
            if document.pop("format") != _FORMAT:
                raise ValueError("not an addition")
            plans = {str(name): dict(plan) for name, plan in document.pop("plans").items()}
            added = Added(samples=tuple(map(str, document.pop("samples"))), plans=plans, **document)
            if added.name != path.stem:
                raise ValueError("not what its name says")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}: is damaged ({error}): take it from a backup, or remove it and the units that it speaks of"
            ) from None
        found.append(added)
    return sorted(found, key=lambda added: added.first)


def write_added(store: Path, added: Added) -> None:
    """Write one, complete or not at all.

    Raises:
        StoreError: the store cannot be written.
    """
    document = {
        "format": _FORMAT,
        "reason": added.reason,
        "first": added.first,
        "units": added.units,
        "samples": list(added.samples),
        "plans": dict(added.plans),
    }
    path = store / "added" / f"{added.name}.json"
    try:
        write_atomic(path, canonical_json(document) + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or mend its permissions") from error
