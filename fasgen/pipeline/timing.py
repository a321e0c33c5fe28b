"""What a unit's time went into, and whose time it is while one unit's last batch is collected beside the next one's first."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fasgen.stages.compiled import compiling

T = TypeVar("T")

PHASES = ("load", "build", "compile", "compute", "write")
"""What a worker does for a unit. Loading and writing overlap with the rest."""


class Clock:
    """Seconds spent on one unit in named phases, added up over threads."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now, self._began = now, now()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to ``name``, but what this thread compiles; one thread at a time has a phase."""
        began, before = self._now(), compiling().here
        try:
            yield
        finally:
            compiled = compiling().here - before
            self.add(name, self._now() - began - compiled)
            self.add("compile", compiled)

    def add(self, name: str, seconds: float) -> None:
        """Add to ``name``."""
        self._seconds[name] += seconds

    def running(self, name: str, items: Iterator[T]) -> Iterator[T]:
        """``items``, with the time it takes to make each added to ``name``."""
        while True:
            with self.phase(name):
                item = next(items, None)
            if item is None:
                return
            yield item

    def seconds(self) -> dict[str, float]:
        """All phases, and ``wall`` since the clock was made."""
        return {name: max(0.0, self._seconds[name]) for name in PHASES} | {"wall": self._now() - self._began}


class Turns:
    """Charges a worker's computing to its units, no second twice: to the one that began first, where two compute at once."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now, self._lock = now, threading.Lock()
        self._open: list[Clock] = []
        self._charged = 0.0

    @contextmanager
    def computing(self, clock: Clock) -> Iterator[None]:
        """Charge the time spent inside to ``clock``: ``compile`` what this thread compiled, ``compute`` the rest."""
        with self._lock:
            self._charge()
            self._open.append(clock)
            before = compiling().here
        try:
            yield
        finally:
            with self._lock:
                self._charge()
                self._open.remove(clock)
                compiled = compiling().here - before
                clock.add("compile", compiled)
                clock.add("compute", -compiled)

    def _charge(self) -> None:
        now = self._now()
        if self._open:
            self._open[0].add("compute", now - self._charged)
        self._charged = now
