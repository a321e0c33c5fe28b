"""How much of what came to a stage it kept; and, where that is nothing or little, that in words with what to do about it.

Conservation says that no row is lost. Yield says whether there is anything to train on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.manifests.plan_file import read_plan
from fasgen.manifests.roster_file import notes_of
from fasgen.manifests.unit import UnitSummary, committed_units, unit_facts

LITTLE = 0.2
"""Share of its rows; a stage that keeps no more is warned of."""

FEW = 10
"""Rows below which a small share says nothing yet; to keep none at all always does."""

_TRIED = 4
"""Rows of a probe below which it says nothing of a stage."""


@dataclass(frozen=True, slots=True)
class Yield:
    """What a stage made of its rows.

    Attributes:
        stage: stage name.
        planned: rows that came to it, or that it drew.
        ok: rows that it kept.
        reasons: count by reason of the others.
        remedies: what to do, by reason; under the empty one where it drew none (`fasgen.stages.stage.StageSpec.remedies`).
        draws: whether it draws its rows itself.
        source: rows that it could draw from, where it does.
        notes: what else is to be known first.
        tried: whether these are rows of a probe.
    """

    stage: str
    planned: int
    ok: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)
    draws: bool = False
    source: int = 0
    notes: tuple[str, ...] = ()
    tried: bool = False

    @property
    def is_short(self) -> bool:
        """Whether it kept nothing, or little of enough."""
        if self.tried and self.planned < _TRIED:
            return False
        if self.planned:
            return not self.ok or (self.planned >= FEW and self.ok <= LITTLE * self.planned)
        return self.draws and self.source > 0

    @property
    def words(self) -> str:
        """What it kept of what, why, and what to do."""
        if not self.planned:
            return (
                f"{self.stage} made nothing of {self.source} rows: {self.remedies.get('', 'no row is one that it draws from')}"
            )
        most = sorted(self.reasons.items(), key=lambda one: (-one[1], one[0]))
        why = ", ".join(f"{count} {reason}" for reason, count in most[:3])
        told = self.remedies.get(most[0][0], "") if most else ""
        look = f"fasgen show \"stage = '{self.stage}' and status != 'ok'\" says which and why"
        of = f"the {self.planned} that were tried" if self.tried else str(self.planned)
        return f"{self.stage} kept {self.ok} of {of} ({why}): {told or look}"


def warnings(yields: Sequence[Yield]) -> list[str]:
    """What has to be said before anything else of some stages, in order; empty where all kept enough.

    Stages to which nothing came, since one above kept nothing, are named together.
    """
    told = [f"{one.stage}: {note}" for one in yields for note in one.notes]
    told += [one.words for one in yields if one.is_short]
    short = [number for number, one in enumerate(yields) if one.is_short and not one.ok]
    dry = [one.stage for one in yields[min(short) :] if not one.planned and not one.is_short] if short else []
    if dry:
        told.append(f"so nothing came to {', '.join(dry)}")
    return told


def yield_of(
    stage: str, summaries: Iterable[UnitSummary], plan: Mapping[str, Any], source: int = 0, notes: Sequence[str] = ()
) -> Yield:
    """The yield of a stage from the counts of its units and its ``plan.json``, or what that will hold."""
    planned = ok = 0
    reasons: dict[str, int] = {}
    for summary in summaries:
        planned, ok = planned + summary.planned, ok + summary.ok
        for reason, count in summary.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    remedies = {str(reason): str(text) for reason, text in dict(plan.get("remedies") or {}).items()}
    return Yield(stage, planned, ok, reasons, remedies, bool(plan.get("roster")), source, tuple(notes))


def read_yields(folders: Sequence[Path]) -> list[Yield]:
    """The yields of generations that have units, in order; those whose plan or manifests are damaged are left out."""
    found: dict[str, Yield] = {}
    for folder in folders:
        units = committed_units(folder)
        if not units:
            continue
        try:
            plan = read_plan(folder)
            summaries = [unit_facts(folder, unit).summary for unit in units]
        except StoreError:
            # Who asks for yields says of damage where it counts rows.
            continue
        above = plan.get("primaries") or []
        source = found[above[0]].ok if above and above[0] in found else 0
        name = str(plan.get("stage", folder.name))
        found[name] = yield_of(name, summaries, plan, source, notes_of(folder))
    return list(found.values())
