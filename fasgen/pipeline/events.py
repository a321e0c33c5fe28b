"""What happens in a run, in one set of records: engines yield them, the run looks at them, the scheduler takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from fasgen.manifests.unit import UnitSummary

Kind = Literal["accelerator", "cpu"]


KINDS: tuple[Kind, ...] = ("accelerator", "cpu")

DEVICES: Mapping[Kind, str] = {"accelerator": "GPU", "cpu": "CPU"}
"""What each kind of worker has, for messages."""


class Key(NamedTuple):
    """One unit of one stage."""

    stage: str
    unit: int


Activity = Literal["starting", "building", "compiling", "computing", "idle"]
"""What a worker does: it comes up, loads a stage's model, compiles, computes, or waits for a unit or its samples."""


class State(NamedTuple):
    """What a worker does, and for which unit."""

    key: Key | None
    what: Activity


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What a worker says of a committed unit, or what the store says where no worker is left to ask.

    Attributes:
        key: stage and unit.
        summary: the counts that were committed.
        seconds: by phase: ``load``, ``build``, ``compile``, ``compute``, ``write`` and ``wall``. Loading and writing overlap
            with the others; building, compiling and computing are of one unit of a worker at a time.
        peak_rss: the worker process's peak resident memory so far, in bytes.
        micro_batch: samples a call, where memory was too small for the batch of the plan; else ``None``.
        digest: SHA-256 of the manifest that was committed.
    """

    key: Key
    summary: UnitSummary
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_rss: int = 0
    micro_batch: int | None = None
    digest: str = ""


class Joined(NamedTuple):
    """A worker lives, holds nothing and has answered the terms of `fasgen.pipeline.handshake`.

    Attributes:
        worker: its number.
        kind: its kind.
        node: host name and address, for messages.
        said: its answer; under ``error`` why it could give none.
        seconds: since its process was there.
    """

    worker: int
    kind: Kind
    node: str = ""
    said: Mapping[str, Any] = MappingProxyType({})
    seconds: float = 0.0


class Doing(NamedTuple):
    """A worker does something else than before. One that has joined and said nothing yet is starting."""

    worker: int
    state: State


class Done(NamedTuple):
    """A unit is committed."""

    worker: int
    report: UnitReport


class Broke(NamedTuple):
    """A unit could not be run for a reason that is no sample's fault: disk full, weights missing, store damaged."""

    worker: int
    key: Key
    error: str


class Died(NamedTuple):
    """A worker is gone with all it had in hand.

    Attributes:
        worker: its number.
        why: what its end looked like from outside.
        in_hand: by quarantined unit, the rows it was at. Nobody is left to say so: the run reads it in the store.
        late: quarantined units whose rows took too long.
    """

    worker: int
    why: str
    in_hand: Mapping[Key, tuple[int, ...]] = MappingProxyType({})
    late: frozenset[Key] = frozenset()


class Dismissed(NamedTuple):
    """A worker gets no more work; what it had in hand is no fault of the units'."""

    worker: int


class Spoilt(NamedTuple):
    """A unit could not be made because units that it reads turned out to be damaged; those were taken back."""

    worker: int
    key: Key
    lost: tuple[Key, ...]


class Drain(NamedTuple):
    """Finish the units in hand, begin no more."""


class Stop(NamedTuple):
    """End now; what is in hand is lost."""


class Halt(NamedTuple):
    """Finish the units in hand, begin no more: something is wrong that is no unit's fault."""

    error: str


EngineEvent = Joined | Doing | Done | Broke | Died
"""What engines see."""

Event = Joined | Done | Broke | Died | Dismissed | Spoilt | Drain | Stop | Halt
"""What the scheduler takes in: what changes who may run what, seen by an engine, found by the run or told to it."""
