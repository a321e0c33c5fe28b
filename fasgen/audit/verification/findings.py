"""What a check has to say, and what the checks tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """Something that ``verify`` has to say.

    Attributes:
        severity: ``error`` where data are damaged or contradict each other, ``warning`` for what a run will clean up, or what
            takes nothing from the rows that are there.
        where: the file or row.
        what: what is wrong, and what to do.
        unit: folder and number of the committed unit whose files have other bytes than were committed; None where it is about
            something else.
    """

    severity: Literal["error", "warning"]
    where: str
    what: str
    unit: tuple[Path, int] | None = None


def wrong(where: object, what: str, unit: tuple[Path, int] | None = None) -> Finding:
    """A finding about damage or a contradiction."""
    return Finding("error", str(where), what, unit)


def remark(where: object, what: str) -> Finding:
    """A finding that takes nothing from the rows that are there."""
    return Finding("warning", str(where), what)


@dataclass
class Learnt:
    """What has been learnt of one generation.

    Attributes:
        plan: what its ``plan.json`` holds.
        folder: where it lies.
        ok: row and variant of the rows with a product, by unit.
        planned: the same of all rows.
        seen: unit of every sample and variant, and whether it has a product there.
        added: the plans of units that were added later, by unit.
        stale: units that were made from something else than lies there now: what they say of it is not compared.
    """

    plan: Mapping[str, Any]
    folder: Path
    ok: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    planned: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    seen: dict[tuple[str, int], tuple[int, bool]] = field(default_factory=dict)
    added: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    stale: set[int] = field(default_factory=set)

    def plan_of(self, unit: int) -> Mapping[str, Any]:
        """The plan of a unit: the generation's, or that of added units."""
        return self.added.get(unit, self.plan)

    @property
    def plans(self) -> list[Mapping[str, Any]]:
        """Every plan under which there are units, once."""
        return list({str(plan.get("plan_hash")): plan for plan in (self.plan, *self.added.values())}.values())
