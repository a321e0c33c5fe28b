"""How a run is carried out, in one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fasgen.manifests.lock import StoreLock
from fasgen.pipeline.schedule import Budget


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is carried out; what it makes, the plan says.

    Attributes:
        budget: failed rows allowed, those of earlier runs included.
        retries: deaths of workers that a unit survives before quarantine.
        time_limit: seconds that a sample may take in a stage; ``None`` for no limit.
        crumbs: folder for the words of workers in quarantine; ``STORE/runs/in-hand`` if ``None``.
        lock: the store's lock, held; ``None``: it is taken for the time of the run.
        foretold: seconds of work by stage, as far as they are known, for whoever shows how far the run is.
    """

    budget: Budget = field(default_factory=Budget)
    retries: int = 1
    time_limit: float | None = None
    crumbs: Path | None = None
    lock: StoreLock | None = None
    foretold: Mapping[str, float] = field(default_factory=dict)
