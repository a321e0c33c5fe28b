"""What an engine is: workers that take unit tasks and send back events. Paths travel, pixels never do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fasgen.pipeline.events import EngineEvent, Key, Kind
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits, Turn
from fasgen.sources.rows import SourceRow
from fasgen.sources.sampling import Sampling
from fasgen.stages.stage import Reads, StageConfig


class Decoding(NamedTuple):
    """How files of a source are decoded: where they lie, the limits, which frames of a video rows mean, which stand askew."""

    root: Path | RemotePath
    limits: Limits
    sampling: Sampling | None = None
    rotate: Mapping[str, Turn] | None = None


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """The rows of one unit of the listing, for a stage that reads sources.

    Attributes:
        rows: the unit's rows, in order.
        decoding: by data set name.
        gone: places of rows whose files are not there any more.
    """

    rows: tuple[SourceRow, ...]
    decoding: Mapping[str, Decoding]
    gone: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class UpstreamUnit:
    """Where a stage's input lies: one upstream stage's folder and the name of its tars."""

    folder: Path
    tar: str


@dataclass(frozen=True, slots=True)
class UnitTask:
    """All that a worker needs to make one unit, small enough to send.

    Attributes:
        key: stage and unit.
        target: ``module:attribute`` of the stage's specification.
        config: the stage's configuration.
        folder: the generation's folder in the store.
        plan_hash: the generation's full plan hash.
        weights: digest over the stage's weights, for the manifest.
        batch: samples a call.
        run_seed: the run's seed.
        accelerator: whether the worker puts the stage on its GPU.
        source: the rows, for a stage that reads sources; else ``None``.
        upstream: by stage read, where its units lie.
        lanes: sets of reads, primary first; empty for a stage that reads sources.
        guides: what is read of the guides of rows.
        unit_rows: rows of a unit of the listing.
        inputs: digest over what the unit is made from, for the manifest.
        domain: digest of the determinism domain of the worker, for the manifest.
        delivered: sample and variant of rows that an earlier unit ships: rejected unseen.
        row_sets: store with the row sets of protocols, by which ``config`` may choose rows; None: all rows.
        suspects: rows to run one by one.
        excluded: rows that have killed workers: rejected unseen.
        late: those of them that took too long.
        time_limit: seconds that a sample may take, loaded or computed; ``None`` for no limit.
        crumb: file in which the worker keeps the rows in hand; ``None`` outside quarantine.
    """

    key: Key
    target: str
    config: StageConfig
    folder: Path
    plan_hash: str
    weights: str
    batch: int
    run_seed: int
    accelerator: bool = False
    source: SourceSlice | None = None
    upstream: Mapping[str, UpstreamUnit] = field(default_factory=dict)
    lanes: tuple[tuple[Reads, ...], ...] = ()
    guides: tuple[Reads, ...] = ()
    unit_rows: int = 65536
    inputs: str = ""
    domain: str = ""
    delivered: frozenset[tuple[str, int]] = frozenset()
    row_sets: Path | None = None
    suspects: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    time_limit: float | None = None
    crumb: Path | None = None


class Engine(Protocol):
    """Workers under numbers that are never given twice. All methods are called from one thread."""

    depth: int
    """Tasks that may be in flight on one worker."""

    def begin(self, terms: Mapping[Kind, Mapping[str, Any]]) -> None:
        """Hire workers, who are asked the terms of their kind; each joins when it lives and has answered."""
        ...

    def submit(self, worker: int, task: UnitTask) -> None:
        """Hand ``task`` to ``worker``; returns at once."""
        ...

    def wait(self, timeout: float) -> list[EngineEvent]:
        """Events since the last call, at most ``timeout`` seconds later. A worker that died is followed by its replacement."""
        ...

    def dismiss(self, worker: int) -> None:
        """Let a worker go that does not fit, with all it has in hand, and hire none in its place where it lived."""
        ...

    def expects(self, kind: Kind) -> str:
        """Which workers of ``kind`` may still join, and what they wait for, in words; empty if none will."""
        ...

    def close(self, *, now: bool = False) -> None:
        """Let go of the workers; ``now``: without waiting for what they have in hand."""
        ...
