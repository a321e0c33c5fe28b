"""All that the morning report says of a store besides its samples: gathered once, for the page and for the short report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.audit.readings import readings
from fasgen.audit.report.drawn import drawn
from fasgen.audit.report.flow import flow, stale, verdict
from fasgen.audit.report.night import runs
from fasgen.audit.report.samples import Samples
from fasgen.audit.report.totals import totals
from fasgen.manifests.plan_file import latest
from fasgen.manifests.yields import read_yields, warnings
from fasgen.sources.reading import Reading


@dataclass(frozen=True)
class Facts:
    """What a store says of itself.

    Attributes:
        name: the store's name.
        verdict: what may be said of the whole.
        well: whether that is good news.
        warnings: what has to be said first.
        totals: what ``totals`` says.
        stages: what ``flow`` says.
        waiting: stages that are planned and have no unit yet.
        drawn: what ``drawn`` says.
        runs: what ``night.runs`` says.
        sources: what was read.
    """

    name: str
    verdict: str
    well: bool
    warnings: list[str]
    totals: dict[str, Any]
    stages: list[dict[str, Any]]
    waiting: list[str]
    drawn: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    sources: list[Reading]


def gather(store: Path, samples: Samples) -> Facts:
    """Read plans, manifests and ledgers.

    Raises:
        StoreError: a manifest, or the record of what is current, is damaged.
    """
    stages, history = flow(store, samples.stages), runs(store)
    begun = {one["stage"] for one in stages}
    waiting = [one.stage for one in latest(store) if one.stage not in begun]
    told, well = verdict(stages, waiting)
    first = [*warnings(read_yields([stage.folder for stage in samples.stages])), *stale(stages)]
    made = drawn(store, samples.stages, history)
    return Facts(store.name, told, well, first, totals(samples), stages, waiting, made, history, readings(store))
