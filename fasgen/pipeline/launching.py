"""A stage called batch after batch, the next launched before the last is collected: the device never waits for the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from fasgen.pipeline.calling import NO_SAMPLES_FAULT, Result, checked_outcomes, is_out_of_memory, raise_if_lost
from fasgen.pipeline.loading import Limit, Loaded
from fasgen.stages.stage import Collect, Launchable, Reject, Sample, Stage, StageSpec

Written = tuple[Loaded, Result]
"""A row with what became of it, ready to be written."""


@dataclass(slots=True, eq=False)
class Flight:
    """A batch in hand.

    Attributes:
        group: its rows.
        collect: waits for its results, where it was launched; else it has yet to be called.
        spent: seconds of its time limit that are used up.
    """

    group: Sequence[Loaded]
    collect: Collect | None = None
    spent: float = 0.0

    @property
    def samples(self) -> list[Sample]:
        """The samples of those rows that have one."""
        return [loaded.sample for loaded in self.group if isinstance(loaded.sample, Sample)]


class Aloft:
    """The batches of a worker that are launched and not collected, oldest first; its stage is held until they are."""

    def __init__(self) -> None:
        self._flights: list[Flight] = []
        self._change = threading.Condition()

    def add(self, flight: Flight) -> bool:
        """It is launched; whether others were before it."""
        with self._change:
            self._flights.append(flight)
            return len(self._flights) > 1

    def remove(self, flight: Flight) -> None:
        """It is collected, or given up."""
        with self._change:
            if flight in self._flights:
                self._flights.remove(flight)
                self._change.notify_all()

    def wait(self, flight: Flight | None = None) -> None:
        """Return when none was launched before ``flight``; without one, when there are none."""
        with self._change:
            self._change.wait_for(lambda: self._flights[:1] in ([], [flight]))


class Launcher:
    """Launches and collects the batches of one unit; a context manager that gives up those that are not collected.

    Whatever goes wrong in a launch or a collection, the batch is called plainly afterwards.

    Args:
        stage: the stage; one that is not `Launchable` is called plainly, as is every stage if ``ahead`` is false.
        spec: its specification.
        plainly: calls the stage for a batch, at once.
        limit: watches a batch from its launch to its results, as far as they are this batch's time.
        timed: counts the time spent inside as computing.
        aloft: is told of the batches under way.
        ahead: whether to launch at all.
    """

    def __init__(
        self,
        stage: Stage,
        spec: StageSpec,
        plainly: Callable[[Sequence[Loaded]], list[Result]],
        limit: Limit,
        timed: Callable[[], AbstractContextManager[None]],
        aloft: Aloft,
        *,
        ahead: bool = True,
    ) -> None:
        self._stage = stage if ahead and isinstance(stage, Launchable) else None
        self._spec, self._plainly, self._limit, self._timed, self._aloft = spec, plainly, limit, timed, aloft
        self._flights: list[Flight] = []

    def run(self, groups: Iterable[Sequence[Loaded] | None], put: Callable[[list[Written]], None]) -> Flight | None:
        """Put the outcomes of all ``groups``, in order, but for a last one that is still under way: that is returned.

        ``None`` among the groups says that the next one is yet to come: what is under way is then collected first.
        """
        flight: Flight | None = None
        for group in groups:
            following = None if group is None else self._launch(group)
            if flight is not None:
                put(self.land(flight, following))
            if following is not None and following.collect is None:
                put(self.land(following))
                following = None
            flight = following
        return flight

    def _launch(self, group: Sequence[Loaded]) -> Flight:
        flight = Flight(group)
        if self._stage is not None and flight.samples:
            try:
                with self._in_time(flight):
                    flight.collect = self._stage.start(flight.samples)
            except Exception as error:
                self._stumble(error)
            else:
                self._flights = [flight, *self._flights[:1]]
                if self._aloft.add(flight):
                    # On the device it waits for those before it: its time begins when they are collected.
                    flight.spent = 0.0
        return flight

    def land(self, flight: Flight, following: Flight | None = None) -> list[Written]:
        """The outcomes of a batch.

        Args:
            flight: the batch.
            following: the one launched behind it. If this one has to be called again, the device is cleared for it, and the
                following one has to be called again too.

        Raises:
            DeviceLostError: the device is lost.
            TooLargeError: memory ran out although nothing else was under way, and the unit can be made in smaller batches.
        """
        if flight.collect is not None:
            self._aloft.wait(flight)
            try:
                with self._in_time(flight):
                    outcomes = checked_outcomes(self._spec, flight.collect(), len(flight.samples))
                return _with_rejects(flight.group, outcomes)
            except Exception as error:
                self._stumble(error)
                if following is not None:
                    self._give_up(following)
            finally:
                self._give_up(flight)
        return list(zip(flight.group, self._plainly(flight.group), strict=True))

    def _give_up(self, flight: Flight) -> None:
        flight.collect = None
        self._aloft.remove(flight)

    def _stumble(self, error: Exception) -> None:
        """Raise what is no sample's fault; after anything else the batch is called plainly, which finds the sample."""
        if isinstance(error, NO_SAMPLES_FAULT):
            raise error
        raise_if_lost(error)
        if is_out_of_memory(error):
            # Two batches at once are too many here.
            self._stage = None

    @contextmanager
    def _in_time(self, flight: Flight) -> Iterator[None]:
        began = time.monotonic()
        with self._limit(len(flight.samples), flight.spent), self._timed():
            yield
        flight.spent += time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stage = None
        for flight in self._flights:
            self._give_up(flight)


def _with_rejects(group: Sequence[Loaded], outcomes: Sequence[Result]) -> list[Written]:
    rest = iter(outcomes)
    return [(loaded, loaded.sample if isinstance(loaded.sample, Reject) else next(rest)) for loaded in group]
