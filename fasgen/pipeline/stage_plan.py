"""One stage's part in a run: what decides its bytes, what is committed of it, what is to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fasgen.manifests.inputs import Inputs
from fasgen.manifests.plan_file import plan_path, read_plan, weights_digest
from fasgen.manifests.unit import UnitSummary
from fasgen.pipeline.wiring import Wiring
from fasgen.stages.stage import StageConfig, StageSpec


def kernels_measured(config: StageConfig) -> bool:
    """Whether a stage's kernels are chosen by measuring them (`fasgen.stages.compiled`, ``max``)."""
    return getattr(config, "compile", "") == "max"


@dataclass(frozen=True)
class StagePlan:
    """One stage's part in a run.

    Attributes:
        name: of what the stage makes of its lane; the stage's own, or with the lane before it.
        target: ``module:attribute`` of its specification.
        spec: its specification.
        wiring: what it reads in this run.
        config: its resolved configuration.
        plan_hash: SHA-256 of all that decides its bytes.
        weights: digest by role.
        upstream: plan hash by stage read, or what stands for the sources.
        batch: samples a call; where the configuration left it to the device, ``config`` says the same.
        batch_why: why so many, where the device or what was begun decided it; else empty.
        folder: its generation in the store.
        wanted: whether this run makes it; otherwise it is only read.
        units: units it will have.
        committed: what is committed and made from what is there now, by unit.
        stale: units that are there but were made from something else: files that have changed, other units upstream.
        unsure: units that are there, and of which upstream must say first whether they are stale.
        todo: units that this run can make, those that are stale among them and not those that are unsure.
        lacks: units that it cannot make, because the stage named has not committed them and this run does not make it.
        domain: the determinism domain of this run.
        inputs: what its units are made from; ``None`` for a stage that reads sources.
    """

    name: str
    target: str
    spec: StageSpec
    wiring: Wiring
    config: StageConfig
    plan_hash: str
    weights: Mapping[str, str]
    upstream: Mapping[str, str]
    batch: int
    batch_why: str
    folder: Path
    wanted: bool
    units: int
    committed: Mapping[int, UnitSummary]
    stale: frozenset[int]
    unsure: frozenset[int]
    todo: frozenset[int]
    lacks: Mapping[str, int]
    domain: Mapping[str, object]
    inputs: Inputs | None = None

    @property
    def weights_digest(self) -> str:
        """One digest over all weights; empty without weights."""
        return weights_digest(self.weights)

    @cached_property
    def will_have(self) -> frozenset[int]:
        """Units that are there when this run is over, if it can make all that it sets out to."""
        return frozenset(self.committed) | ((self.todo | self.unsure) if self.wanted else frozenset())

    @property
    def planned(self) -> int:
        """Rows committed before this run."""
        return sum(summary.planned for summary in self.committed.values())

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(summary.failed for summary in self.committed.values())

    @property
    def reasons(self) -> Counter[str]:
        """Rejects committed before this run, by reason."""
        total: Counter[str] = Counter()
        for summary in self.committed.values():
            total.update(summary.reasons)
        return total

    def begun(self, first: int = 0) -> list[dict[str, object]]:
        """The determinism domains under which its units were made, or those that were added from ``first`` on."""
        if not plan_path(self.folder, first).exists():
            return []
        return [dict(each) for each in read_plan(self.folder, first).get("domains", [])]
