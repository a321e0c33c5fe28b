"""The workers of a run: where each lives, what it does, in which domain it makes units, who was let go and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from fasgen.manifests.ledger import Ledger
from fasgen.pipeline.events import DEVICES, Died, Joined, Key, Kind, State
from fasgen.pipeline.occupancy import Occupancy
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.progress import Progress
from fasgen.pipeline.resources import domain_digest, stage_domain
from fasgen.pipeline.stage_plan import kernels_measured

_NOT_YET = ("starting", "building", "compiling")
"""What a worker does before it computes."""


class Crew:
    """Keeps account of workers, and tells progress and ledger of them.

    Args:
        plan: the run.
        progress: is told who was let go or died.
        ledger: is told who came and went.
        occupancy: is told who works from when to when.

    Attributes:
        deaths: workers that died.
        dismissed: on which node a worker was let go, and why.
    """

    def __init__(self, plan: Plan, progress: Progress, ledger: Ledger, occupancy: Occupancy) -> None:
        self._plan, self._progress, self._ledger, self._occupancy = plan, progress, ledger, occupancy
        self._nodes: dict[int, str] = {}
        self._domains: dict[int, Mapping[str, object]] = {}
        self._doing: dict[int, State] = {}
        self.deaths = 0
        self.dismissed: list[str] = []

    def __contains__(self, worker: int) -> bool:
        return worker in self._nodes

    def meet(self, joined: Joined) -> None:
        """A worker lives; whether it gets work is not known yet."""
        self._nodes[joined.worker] = joined.node
        self._occupancy.hired(joined.worker, joined.kind, joined.seconds)

    def take_on(self, joined: Joined) -> None:
        """A worker that fits gets work from now on."""
        worker, domain = joined.worker, joined.said["domain"]
        self._domains[worker], self._doing[worker] = domain, State(None, "starting")
        self._ledger.event(
            "joined",
            worker=worker,
            device=DEVICES[joined.kind],
            node=joined.node,
            domain=domain,
            seconds=round(joined.seconds, 3),
        )

    def note(self, worker: int, state: State) -> None:
        """A worker does something else than before."""
        self._doing[worker] = state

    def let_go(self, worker: int, why: str, units: Sequence[Key], found_by: Key | None) -> bool:
        """A worker that does not fit is dismissed; whether it had got work.

        Args:
            worker: its number.
            why: what it is or did.
            units: what it had in hand.
            found_by: the unit that it reported and that was not as it said.
        """
        node = self._leave(worker)
        again = f"; {named(units)} given out again" if units else ""
        self._progress.say(f"worker {worker} on {node} is dismissed: it {why}{again}")
        self._ledger.event(
            "dismissed", worker=worker, node=node, why=why, units=[list(key) for key in units], found_by=found_by
        )
        self.dismissed.append(f"{node}: {why}")
        return self._domains.pop(worker, None) is not None

    def bury(self, died: Died, units: Sequence[Key]) -> None:
        """A worker is gone, with ``units`` in hand."""
        worker, node = died.worker, self._leave(died.worker)
        del self._domains[worker]
        self.deaths += 1
        self._ledger.event("died", worker=worker, node=node, why=died.why, units=[list(key) for key in units])
        self._progress.say(f"worker {worker} died with {len(units)} units in hand; they are given out again")

    def _leave(self, worker: int) -> str:
        self._occupancy.lost(worker)
        self._doing.pop(worker, None)
        return self._nodes.pop(worker)

    def enter(self, worker: int, key: Key) -> str:
        """Digest of the domain in which a worker will make a unit, noted in the unit's generation before it does."""
        stage = self._plan.stages[key.stage]
        domain = stage_domain(self._domains[worker], measured=kernels_measured(stage.config))
        if self._plan.enter(key.stage, domain) and domain != stage.domain:
            self._progress.say(
                f"{key.stage}: {self._nodes[worker]} has other library versions or another device than what made the "
                f"{len(stage.committed)} units that are there; what it makes may differ from them in the last bits "
                "(plan.json lists both)"
            )
        return domain_digest(domain)

    def nobody(self, kind: Kind) -> str:
        """Why no worker of ``kind`` is left."""
        reasons = [f"{why} ({count} times)" if count > 1 else why for why, count in Counter(self.dismissed).items()]
        return f"no {DEVICES[kind]} worker is left: " + ("; ".join(reasons) or "none has come up")

    def not_yet(self, in_flight: Callable[[int], Iterable[Key]]) -> dict[str, Counter[str]]:
        """By stage, of how many units in hand the worker does what before it computes."""
        doing: dict[str, Counter[str]] = {stage.name: Counter() for stage in self._plan.wanted}
        for worker, (busy_with, what) in self._doing.items():
            for key in in_flight(worker) if what in _NOT_YET else ():
                if busy_with is None or busy_with.stage == key.stage:
                    doing[key.stage][what] += 1
        return doing


def named(keys: Iterable[Key]) -> str:
    """Units in words."""
    return ", ".join(f"{stage} unit {unit}" for stage, unit in keys)
