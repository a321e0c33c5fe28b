"""What a unit is made from, as a digest: by it a committed unit is believed, or known to be stale.

A unit of a stage that reads sources is made from its rows of the listing, which the listing itself knows a digest of. Any
other is made from the same unit of the stages that it reads, from its entries of the roster, and from the rows of its guides;
one that ships rows which are tried again, also from what earlier units ship of them. A unit is known to those below by its
identity, a digest over its plan and its rows with their payload digests (`unit.rows_identity`): times of change, which the
digest of a listing covers, end there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.added_file import Added, Again, again, read_added
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import plan_path, read_plan
from fasgen.manifests.roster_file import basis_of, firsts, read_roster, roster_path
from fasgen.manifests.unit import canonical_json, committed_units, manifest_path, quick_facts
from fasgen.records import Status

_GUIDE = ("row", "variant", "status", "payload_digest")


class Identities:
    """By what units are known, and rows of guides, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[int, str]] = {}
        self._guides: dict[tuple[Path, int, tuple[str, ...]], tuple[str, dict[int, str]]] = {}
        self._products: dict[tuple[Path, int], tuple[str, frozenset[tuple[str, int]]]] = {}

    def of(self, folder: Path, unit: int) -> str:
        """Identity of a unit; empty while it is not committed, or damaged."""
        known = self._known.setdefault(folder, {})
        if unit not in known:
            try:
                known[unit] = quick_facts(folder, unit).identity
            except StoreError:
                return ""
        return known[unit]

    def learn(self, folder: Path, unit: int, identity: str) -> None:
        """Take an identity that somebody has read."""
        self._known.setdefault(folder, {})[unit] = identity

    def forget(self, folder: Path, unit: int) -> None:
        """Look again: the unit was made or taken back."""
        self._known.get(folder, {}).pop(unit, None)

    def guide(self, folder: Path, unit: int, row: int, columns: Sequence[str]) -> str:
        """Digest over what is read of a guide: its status, its payload and some columns."""
        key = folder, unit, tuple(columns)
        identity = self.of(folder, unit)
        held = self._guides.get(key)
        if held is None or held[0] != identity:
            held = self._guides[key] = identity, _guides_of(folder, unit, columns) if identity else {}
        return held[1].get(row, "")

    def products(self, folder: Path, unit: int) -> frozenset[tuple[str, int]]:
        """Sample and variant of every row of a unit that has a product; none while it is not committed, or damaged."""
        identity = self.of(folder, unit)
        held = self._products.get((folder, unit))
        if held is None or held[0] != identity:
            held = self._products[folder, unit] = identity, _products_of(folder, unit) if identity else frozenset()
        return held[1]


def _guides_of(folder: Path, unit: int, columns: Sequence[str]) -> dict[int, str]:
    rows = read_table(manifest_path(folder, unit), list(dict.fromkeys([*_GUIDE, *columns]))).to_pylist()
    return {
        row["row"]: hashlib.sha256(json.dumps(row, sort_keys=True).encode("ascii")).hexdigest()
        for row in rows
        if not row["variant"]
    }


def _products_of(folder: Path, unit: int) -> frozenset[tuple[str, int]]:
    columns = ("sample_id", "variant", "status")
    table = read_table(manifest_path(folder, unit), columns)
    found = zip(*(table[column].to_pylist() for column in columns), strict=True)
    return frozenset((sample, variant) for sample, variant, status in found if status == Status.OK.value)


def drawn_from(identities: Iterable[tuple[int, str]]) -> str:
    """Digest over units: number and identity of each, ascending."""
    return hashlib.sha256(canonical_json([list(one) for one in identities])).hexdigest()


def roster_basis(folder: Path, first: int, source: Path, units: Iterable[int], identities: Identities) -> str:
    """Digest over all that a roster is drawn from.

    Args:
        folder: the generation that has it.
        first: what it is known by: 0, or the first unit of an addition, whose roster hangs on those before it too.
        source: the generation whose rows it is drawn from.
        units: its units.
        identities: by what they are known.
    """
    whole = drawn_from((unit, identities.of(source, unit)) for unit in sorted(units))
    if not first:
        return whole
    before = [basis_of(folder, other) for other in firsts(folder) if other < first]
    return hashlib.sha256(canonical_json([whole, before])).hexdigest()


_JUDGED = "believed.json"


def read_judged(store: Path) -> dict[str, str]:
    """By generation, the `Inputs.state` in which all its units were found to be made from what is there; a note, no more."""
    try:
        data = (store / _JUDGED).read_bytes()
        states = {str(name): str(state) for name, state in parse_json(data)[0].items()}
        return states if _judged(states) == data else {}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        return {}


def judged_is_whole(store: Path) -> bool:
    """Whether the note has the very bytes that were written, or is not there."""
    path = store / _JUDGED
    return not path.exists() or path.read_bytes() == _judged(read_judged(store))


def _judged(states: Mapping[str, str]) -> bytes:
    text = canonical_json(dict(states))
    return canonical_json([dict(states), hashlib.sha256(text).hexdigest()]) + b"\n"


def write_judged(store: Path, states: Mapping[str, str]) -> None:
    """Note states, those of other generations that were noted before among them."""
    write_atomic(store / _JUDGED, _judged({**read_judged(store), **states}))


@dataclass(frozen=True)
class Inputs:
    """What the units of one generation are made from.

    Attributes:
        folder: the generation.
        reads: generation of each stage of which the same unit is read, by name.
        roster: whether the generation has a roster.
        guided_by: stage whose rows name the guides, in columns ``guide_unit`` and ``guide_row``; empty: the roster.
        guides: by stage, generation and columns of what is read of guides.
        identities: by what units are known.
        again: of a stage that ships, the units of rows that are tried again: what an earlier unit ships, they do not.
    """

    folder: Path
    reads: Mapping[str, Path]
    roster: bool = False
    guided_by: str = ""
    guides: Mapping[str, tuple[Path, tuple[str, ...]]] = field(default_factory=dict)
    identities: Identities = field(default_factory=Identities)
    again: Mapping[int, Again] = field(default_factory=dict)

    @staticmethod
    def of_plan(
        folder: Path,
        plan: Mapping[str, Any],
        identities: Identities,
        upstream: Mapping[str, str] | None = None,
        again: Mapping[int, Again] = MappingProxyType({}),
    ) -> Inputs | None:
        """Those that a plan tells of; ``None`` for a stage that reads sources, or a plan that does not tell.

        Args:
            folder: the generation.
            plan: its plan, or that of units that were added to it.
            identities: by what units are known.
            upstream: plan hash by stage of the generations that are read; by the plan if ``None``.
            again: units of rows that are tried again.
        """
        upstream, reads = dict(plan.get("upstream") or {}) if upstream is None else upstream, plan.get("reads")
        if "sources" in upstream or not isinstance(reads, list):
            return None
        above = {stage: folder.parent / f"{stage}-{str(digest)[:8]}" for stage, digest in upstream.items()}
        guides = {stage: (above[stage], tuple(columns)) for stage, columns in dict(plan.get("guides") or {}).items()}
        by, own = str(plan.get("guided_by") or ""), again if plan.get("shipped") else {}
        return Inputs(folder, {stage: above[stage] for stage in reads}, bool(plan.get("roster")), by, guides, identities, own)

    def of(self, unit: int) -> str:
        """Digest over what ``unit`` is made from now; empty while something of it is not there.

        Raises:
            StoreError: a roster or the manifest of a guide is damaged.
        """
        parts: list[object] = []
        for stage, folder in sorted(self.reads.items()):
            identity = self.identities.of(folder, unit)
            if not identity:
                return ""
            parts.append([stage, identity])
        entries: list[Any] = []
        if self.roster:
            if not roster_path(self.folder).exists():
                return ""
            entries = read_roster(self.folder, unit)
            parts.append(["roster", hashlib.sha256(canonical_json(entries)).hexdigest()])
        if self.guides:
            guides = self.guides_of(unit, entries)
            for stage, (folder, columns) in sorted(self.guides.items()):
                found = [self.identities.guide(folder, other, row, columns) for other, row in guides]
                parts.append([stage, hashlib.sha256(canonical_json(found)).hexdigest()])
        if unit in self.again:
            parts.append(["delivered", sorted(self.delivered(unit))])
        return hashlib.sha256(canonical_json(parts)).hexdigest()

    def delivered(self, unit: int) -> frozenset[tuple[str, int]]:
        """Sample and variant of what ``unit`` would ship, had not an earlier unit shipped it."""
        found = self.again.get(unit)
        shipped = (self.identities.products(self.folder, earlier) for earlier in found.earlier) if found else ()
        return frozenset(one for products in shipped for one in products if found and one[0] in found.samples)

    def state(self, own: Mapping[int, str], units: Sequence[int]) -> str:
        """Digest over all that the units hang on: where it is the same as when all were judged, none need be judged again.

        Args:
            own: what each unit says it was made from.
            units: units of the stages that are read, ascending.
        """
        parts = [basis_of(self.folder) if self.roster else "", drawn_from(sorted(own.items()))]
        folders = {*self.reads.values(), *(folder for folder, _ in self.guides.values())}
        for folder in sorted(folders):
            parts.append(drawn_from((unit, self.identities.of(folder, unit)) for unit in units))
        return hashlib.sha256(canonical_json(parts)).hexdigest()

    def guides_of(self, unit: int, entries: Sequence[Mapping[str, Any]] | None = None) -> list[tuple[int, int]]:
        """Unit and row of every guide of ``unit``, once; ``entries``: its part of the roster, where it was read already."""
        if self.roster:
            rows: Iterable[Mapping[str, Any]] = read_roster(self.folder, unit) if entries is None else entries
        else:
            rows = read_table(manifest_path(self.reads[self.guided_by], unit), ["guide_unit", "guide_row"]).to_pylist()
        return sorted(set(_named(rows)))


def _named(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    for row in rows:
        unit, number = row.get("guide_unit"), row.get("guide_row")
        if unit is not None and number is not None:
            yield int(unit), int(number)


@dataclass(frozen=True)
class Made:
    """What all units of a generation are made from, those that were added to it among them.

    Attributes:
        own: of its own units.
        added: of units that were added, by number.
        additions: what was added.
    """

    own: Inputs
    added: Mapping[int, Inputs]
    additions: Sequence[Added]

    @staticmethod
    def read(folder: Path, identities: Identities) -> Made | None:
        """As its plans tell; ``None`` for a stage that reads sources, or a plan that does not tell.

        Raises:
            StoreError: a plan or an addition is damaged.
        """
        plan = read_plan(folder)
        own = Inputs.of_plan(folder, plan, identities)
        if own is None:
            return None
        added: dict[int, Inputs] = {}
        additions = read_added(folder.parent, int(plan.get("unit_rows") or 0))
        for one in additions:
            if plan_path(folder, one.first).exists():
                told = Inputs.of_plan(folder, read_plan(folder, one.first), identities, plan["upstream"], again([one]))
                added |= dict.fromkeys(one.numbers, told or own)
        return Made(own, added, additions)

    def of(self, unit: int) -> str:
        """Digest over what ``unit`` is made from now; empty while something of it is not there.

        Raises:
            StoreError: a roster or the manifest of a guide is damaged.
        """
        return self.added.get(unit, self.own).of(unit)

    def basis(self, first: int) -> str:
        """Digest over all that a roster is drawn from that is known by ``first`` (`roster_basis`)."""
        (source,) = self.own.reads.values()
        numbers = {unit for one in self.additions for unit in one.numbers}
        units = [unit for unit in committed_units(source) if unit not in numbers]
        units += [unit for one in self.additions if one.first == first for unit in one.numbers]
        return roster_basis(self.own.folder, first, source, units, self.own.identities)
