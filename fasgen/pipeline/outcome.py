"""What a run did, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fasgen.pipeline.occupancy import Use


class Outcome(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    OVER_BUDGET = "over_budget"
    INTERRUPTED = "interrupted"
    ERROR = "error"

    @property
    def exit_code(self) -> int:
        """0 finished, 3 samples beyond the budget, 130 interrupted, 2 an error of no sample's fault."""
        return {Outcome.FINISHED: 0, Outcome.OVER_BUDGET: 3, Outcome.INTERRUPTED: 130, Outcome.ERROR: 2}[self]


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        outcome: how it ended.
        units: units committed by this run.
        again: how many of them were there, made from something else than is there now.
        planned: rows of them.
        ok: rows with a product.
        filtered: rows that a setting turned away.
        failed: rows on which something broke.
        remaining: units that a further run can make.
        deaths: workers lost.
        dismissed: workers that were let go: on which node, and why.
        error: what was wrong, where the outcome is an error or the budget is exceeded; else empty.
        peak_driver: peak resident memory of the driver, in bytes.
        peak_worker: the largest of any worker's.
        first_unit: seconds from the beginning to the first committed unit; None where there is none.
        use: where the workers' time went; None where none was hired.
    """

    outcome: Outcome
    units: int
    planned: int
    ok: int
    filtered: int
    failed: int
    remaining: int
    deaths: int
    error: str
    peak_driver: int
    peak_worker: int
    first_unit: float | None = None
    use: Use | None = None
    again: int = 0
    dismissed: tuple[str, ...] = ()

    def plus(self, after: RunResult) -> RunResult:
        """This run and the one that came after it as one; where the workers' time went is told of the longer one."""
        names = ("units", "again", "planned", "ok", "filtered", "failed", "remaining", "deaths")
        return replace(
            max(self, after, key=lambda one: one.units),
            outcome=after.outcome,
            error=after.error,
            dismissed=(*self.dismissed, *after.dismissed),
            peak_driver=max(self.peak_driver, after.peak_driver),
            peak_worker=max(self.peak_worker, after.peak_worker),
            **{name: getattr(self, name) + getattr(after, name) for name in names},
        )

    def document(self) -> dict[str, object]:
        """The run's summary in plain values."""
        fields = {name: getattr(self, name) for name in RunResult.__dataclass_fields__}
        use = self.use.document() if self.use else None
        return {**fields, "outcome": str(self.outcome), "use": use, "dismissed": list(self.dismissed)}
