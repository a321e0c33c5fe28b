"""Ends what takes too long: deadlines set by the threads of a worker, watched by a thread of its own."""

from __future__ import annotations

import faulthandler
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fasgen.pipeline.events import Key

TICK = 1.0
"""Seconds between two looks at the deadlines."""

GRACE = 5.0
"""Seconds after a deadline at which the process is ended although no Python code could run in it."""


class Watchdog:
    """Watches deadlines. They are counted by a clock that never jumps.

    Args:
        on_late: called once, from the watching thread, with the unit whose deadline has passed.
        fatal: end the process if a deadline passes while some library holds the interpreter, so that ``on_late`` cannot
            run. For processes that nobody else lives in.
    """

    def __init__(self, on_late: Callable[[Key], None], *, fatal: bool = False) -> None:
        self._on_late, self._fatal = on_late, fatal
        self._numbers = itertools.count()
        self._open: dict[int, tuple[float, Key, Path | None]] = {}
        self._tick = TICK
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._marked: tuple[Path, IO[bytes]] | None = None

    @contextmanager
    def over(self, seconds: float | None, key: Key, mark: Path | None = None) -> Iterator[None]:
        """What runs inside must end within ``seconds``; ``None``: whenever it likes.

        Args:
            seconds: the limit.
            key: the unit in hand.
            mark: file that is not empty afterwards if the limit was passed.
        """
        if seconds is None:
            yield
            return
        number = next(self._numbers)
        self._open[number] = time.monotonic() + seconds, key, mark
        self._tick = min(self._tick, seconds / 4)
        self._start()
        try:
            yield
        finally:
            del self._open[number]

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while True:
            time.sleep(self._tick)
            deadlines = sorted(self._open.copy().values(), key=lambda one: one[0])
            if not deadlines:
                if self._fatal:
                    faulthandler.cancel_dump_traceback_later()
                continue
            now = time.monotonic()
            first, key, mark = deadlines[0]
            if now >= first:
                if mark:
                    mark.write_bytes(b"late\n")
                self._on_late(key)
                return
            if self._fatal:
                self._arm(first - now + GRACE, mark)

    def _arm(self, seconds: float, mark: Path | None) -> None:
        """Let the C library end the process unless this thread comes by again; what it writes then is the mark."""
        path = mark or Path(os.devnull)
        if self._marked is None or self._marked[0] != path:
            faulthandler.cancel_dump_traceback_later()
            if self._marked:
                self._marked[1].close()
            self._marked = path, path.open("wb")
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._marked[1])
