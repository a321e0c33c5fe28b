"""Rows that are tried again under other settings, in units of their own: one file an addition, under ``added/``.

It says which rows, and what is changed in the settings for them. Under whatever configuration the store is run, they are made
with these changes; the plan of an addition in a generation lies there, as ``plan-<first unit>.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.spare import PUT_BACK, write_twice
from fasgen.manifests.unit import canonical_json

_FORMAT = "fasgen-added/2"


@dataclass(frozen=True)
class Added:
    """Units that were added to the generations of a store.

    Attributes:
        reason: the reason for which their rows had no product before.
        unit_rows: rows of a unit; among units of another length these numbers mean nothing.
        first: number of the first unit; the same in every generation.
        units: how many there are.
        samples: the ids of their rows, in order.
        earlier: the units that hold these rows already.
        changes: what is changed in the settings, by the configuration's sections.
    """

    reason: str
    unit_rows: int
    first: int
    units: int
    samples: tuple[str, ...]
    earlier: tuple[int, ...]
    changes: Mapping[str, Any]

    @property
    def numbers(self) -> range:
        """Numbers of the units."""
        return range(self.first, self.first + self.units)

    @property
    def name(self) -> str:
        """Eight hex digits over what is tried again, and how."""
        return hashlib.sha256(canonical_json(self._document())).hexdigest()[:8]

    def _document(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "reason": self.reason,
            "unit_rows": self.unit_rows,
            "first": self.first,
            "units": self.units,
            "samples": list(self.samples),
            "earlier": list(self.earlier),
            "changes": dict(self.changes),
        }


class Again(NamedTuple):
    """What a unit of rows that are tried again has in common with others: the rows, and the units that hold them already."""

    samples: frozenset[str]
    earlier: tuple[int, ...]


def again(additions: Iterable[Added]) -> dict[int, Again]:
    """By number of an added unit."""
    found: dict[int, Again] = {}
    for added in additions:
        found |= dict.fromkeys(added.numbers, Again(frozenset(added.samples), added.earlier))
    return found


def read_added(store: Path, unit_rows: int | None = None) -> list[Added]:
    """The additions to a store, in order of their units; of units of one length alone, where that is given.

    Raises:
        StoreError: one is damaged.
    """
    folder = store / "added"
    found: list[Added] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            document = parse_json(path.read_bytes())
            if document.pop("format") != _FORMAT:
                raise ValueError("not an addition")
            samples, earlier = map(str, document.pop("samples")), map(int, document.pop("earlier"))
            added = Added(samples=tuple(samples), earlier=tuple(earlier), changes=dict(document.pop("changes")), **document)
            if added.name != path.stem:
                raise ValueError("not what its name says")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}: is damaged ({error}): {PUT_BACK}, or remove it, its spare and the units that it speaks of"
            ) from None
        found.append(added)
    return sorted(
        (added for added in found if unit_rows is None or added.unit_rows == unit_rows), key=lambda added: added.first
    )


def write_added(store: Path, added: Added) -> None:
    """Write one, complete or not at all.

    Raises:
        StoreError: the store cannot be written.
    """
    path = store / "added" / f"{added.name}.json"
    try:
        write_twice(store, path, canonical_json(added._document()) + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or mend its permissions") from error
