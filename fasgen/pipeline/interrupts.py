"""Signals that a run hears and counts: the first lets it finish what is in hand, the second ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Counts Ctrl-C and its like. A second one that comes before the first is `answered` ends whatever holds the run up.

    Attributes:
        count: how many there were.
        answered: how many of them the run has acted on.
    """

    def __init__(self) -> None:
        self.count = self.answered = 0
        self._terminals = [number for number in (0, 1, 2) if _is_terminal(number)]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1 and not self.answered:
            raise KeyboardInterrupt

    def leave_terminal(self) -> None:
        """Say to nobody what would be said to a terminal that has hung up; writing to it is an error."""
        gone = [number for number in self._terminals if not _is_terminal(number)]
        if gone:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in gone:
                os.dup2(nowhere, number)
            os.close(nowhere)


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """SIGINT, SIGTERM and SIGHUP counted instead of raised, where this thread may ask for that."""
    heard = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    # Under nohup a hang-up is to be ignored.
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM, *hangup)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
