"""How long a run takes: the scheduler itself is played through with the seconds that units are expected to take.

So everything counts that decides it: workers with nothing to do, stages that wait for others, models that are built anew.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fasgen.manifests.unit import UnitSummary
from fasgen.pipeline.events import Done, Joined, Key, Kind, UnitReport
from fasgen.pipeline.schedule import Scheduler, StageWork

MOST = 20_000
"""Units over all stages above which no run is played through: with so many, no worker waits for long."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one stage.

    Attributes:
        build: seconds until a worker has its model that has not had it before: its libraries are imported, its weights read.
        seconds: of each unit that is to be made, by number.
        model: what a worker has had when it has built this stage; the lanes of a stage share it.
        again: seconds until a worker has its model that has had it before; ``None`` for as long as the first time.
    """

    build: float
    seconds: Mapping[int, float]
    model: str = ""
    again: float | None = None


@dataclass(slots=True)
class _Hand:
    free: float
    held: str = ""
    had: set[str] = field(default_factory=set)
    queue: deque[Key] = field(default_factory=deque)


def makespan(
    work: Sequence[StageWork],
    units: Sequence[int],
    kinds: Sequence[Kind],
    expected: Mapping[str, Expected],
    *,
    start: float = 0.0,
    depth: int = 2,
) -> float:
    """Seconds from the start of the workers to the last unit's end.

    Args:
        work: the stages, as the scheduler sees them.
        units: numbers of the units of each.
        kinds: the kind of every worker.
        expected: by stage; units of which nothing is said take no time.
        start: seconds until a worker takes its first unit.
        depth: units that a worker has in hand, of which it makes one after the other.
    """
    if sum(len(one.seconds) for one in expected.values()) > MOST:
        return start + _evenly(work, kinds, expected)
    scheduler = Scheduler(work, units, depth=depth)
    hands = [_Hand(start) for _ in kinds]
    for number, kind in enumerate(kinds):
        scheduler.handle(Joined(number, kind))
    ends: list[tuple[float, int]] = []
    now = 0.0

    def begin(number: int) -> None:
        hand = hands[number]
        key = hand.queue[0]
        one = expected.get(key.stage, _NOTHING)
        model = one.model or key.stage
        built = one.build if one.again is None or model not in hand.had else one.again
        hand.had.add(model)
        built = 0.0 if hand.held == key.stage else built
        hand.free = max(hand.free, now) + built + one.seconds.get(key.unit, 0.0)
        hand.held = key.stage
        heapq.heappush(ends, (hand.free, number))

    while True:
        for assign in scheduler.decide():
            hand = hands[assign.worker]
            hand.queue.append(assign.key)
            if len(hand.queue) == 1:
                begin(assign.worker)
        if not ends:
            return now
        now, number = heapq.heappop(ends)
        key = hands[number].queue.popleft()
        scheduler.handle(Done(number, UnitReport(key, UnitSummary(key.unit, 0, 0, 0, 0, {}, 0))))
        if hands[number].queue:
            begin(number)


_NOTHING = Expected(0.0, {})


def _evenly(work: Sequence[StageWork], kinds: Sequence[Kind], expected: Mapping[str, Expected]) -> float:
    """Each kind of worker at work all the time, on one stage after the other; both kinds side by side."""
    longest = 0.0
    for kind in set(kinds):
        own = [expected[stage.name] for stage in work if stage.kind == kind and stage.name in expected]
        workers = kinds.count(kind)
        longest = max(longest, sum(one.build + sum(one.seconds.values()) / workers for one in own))
    return longest
