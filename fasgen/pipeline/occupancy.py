"""Where the workers of a run spent their time: at work, or lost to starting, compiling and waiting."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fasgen.pipeline.events import Kind
from fasgen.pipeline.timing import PHASES

BUSY = ("build", "compile", "compute")
"""Phases of which a worker is in one at a time."""


@dataclass(frozen=True, slots=True)
class Use:
    """Seconds of all workers of one kind, added up. ``start``, ``build``, ``compile``, ``compute`` and ``wait`` make ``wall``.

    Attributes:
        kind: the accelerator workers, or the CPU workers where no accelerator took part.
        workers: how many there were, replacements included.
        wall: from the hire of each to its end or the run's.
        start: from the hire of each to its first unit.
        build: loading models.
        compile: compiling.
        compute: with a unit in the stage: what a GPU is there for.
        wait: without one; what died with a worker is among it.
        load: loading samples, beside the others.
        write: writing products, beside the others.
    """

    kind: Kind
    workers: int
    wall: float
    start: float
    build: float
    compile: float
    compute: float
    wait: float
    load: float
    write: float

    @property
    def utilisation(self) -> float:
        """Share of the wall time spent in compute, in [0, 1]."""
        return self.compute / self.wall if self.wall > 0 else 0.0

    @property
    def device(self) -> str:
        """``GPU`` or ``CPU``."""
        return "GPU" if self.kind == "accelerator" else "CPU"

    def document(self) -> dict[str, Any]:
        """For summaries and the ledger."""
        figures = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        del figures["kind"]
        return {"device": self.device, **figures, "utilisation": round(self.utilisation, 4)}


@dataclass(slots=True)
class _Hand:
    kind: Kind
    hired: float
    first: float | None = None
    left: float | None = None
    units: int = 0
    phases: Counter[str] = field(default_factory=Counter)


class Occupancy:
    """Adds up what workers report.

    Args:
        now: seconds, from any origin.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self._hands: dict[int, _Hand] = {}
        self.first_unit: float | None = None

    def hired(self, worker: int, kind: Kind, ago: float = 0.0) -> None:
        """``worker`` was hired so many seconds ``ago``."""
        self._hands[worker] = _Hand(kind, self._now() - ago)

    def finished(self, worker: int, seconds: Mapping[str, float]) -> None:
        """``worker`` has committed a unit, in ``seconds`` by phase."""
        now, hand = self._now(), self._hands[worker]
        began = max(hand.hired, now - seconds.get("wall", 0.0))
        hand.first = began if hand.first is None else min(hand.first, began)
        hand.units += 1
        hand.phases.update({name: seconds.get(name, 0.0) for name in PHASES})

    def committed(self) -> None:
        """A unit is committed."""
        if self.first_unit is None:
            self.first_unit = self._now() - self._began

    def lost(self, worker: int) -> None:
        """``worker`` is gone."""
        self._hands[worker].left = self._now()

    def close(self) -> None:
        """The run lets go of the others."""
        for hand in self._hands.values():
            hand.left = self._now() if hand.left is None else hand.left

    def workers(self) -> list[dict[str, Any]]:
        """By worker: its number, device, units, and seconds as `Use` names them."""
        return [
            {"worker": number, "units": hand.units, **self._use(hand.kind, [hand]).document()}
            for number, hand in sorted(self._hands.items())
        ]

    def use(self) -> Use | None:
        """What became of the accelerators' time, or of the CPUs' where there were none; ``None`` if nobody was hired."""
        hands = list(self._hands.values())
        if not hands:
            return None
        kind: Kind = "accelerator" if any(hand.kind == "accelerator" for hand in hands) else "cpu"
        return self._use(kind, [hand for hand in hands if hand.kind == kind])

    def _use(self, kind: Kind, hands: list[_Hand]) -> Use:
        now = self._now()
        ends = [now if hand.left is None else hand.left for hand in hands]
        wall = sum(end - hand.hired for hand, end in zip(hands, ends, strict=True))
        start = sum((end if hand.first is None else hand.first) - hand.hired for hand, end in zip(hands, ends, strict=True))
        phases: Counter[str] = Counter()
        for hand in hands:
            phases.update(hand.phases)
        wait = max(0.0, wall - start - sum(phases[name] for name in BUSY))
        return Use(kind, len(hands), wall, start, wait=wait, **{name: float(phases[name]) for name in PHASES})
