"""When a run that waits for workers says so again."""

from __future__ import annotations

import time
from collections.abc import Callable


class Idle:
    """When to say again that a run waits: after 10, 30, 60 and 120 seconds, then every five minutes.

    Args:
        now: seconds, from any origin.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kind, self._since, self._next = "", 0.0, 0

    def due(self, kind: str) -> float | None:
        """For how long nobody of ``kind`` is there, in seconds, if it is time to say so."""
        now = self._now()
        if kind != self._kind:
            self._kind, self._since, self._next = kind, now, 0
        waited = now - self._since
        steps = (10.0, 30.0, 60.0, 120.0)
        if waited < (steps[self._next] if self._next < len(steps) else 300.0 * (self._next - len(steps) + 1)):
            return None
        self._next += 1
        return waited

    def over(self) -> None:
        """Somebody is there."""
        self._kind = ""
