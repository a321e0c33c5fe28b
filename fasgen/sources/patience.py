"""A limit of time for expressions that users write: some of them, on some names, would search until the end of days."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fasgen.errors import SourceError
from fasgen.sources.paths import escape

SECONDS = 5.0
"""How long the expressions of a source may search one path; they are looked at in steps of this, so up to twice as long."""


class Search:
    """What is being searched now.

    Attributes:
        path: relative path, as ``os`` gives it; None between searches.
    """

    path: str | None = None


@contextmanager
def limited(source: str) -> Iterator[Search]:
    """Refuse a source whose expressions search one path for ``SECONDS``.

    Python's ``re`` can be interrupted by nothing but a signal, and signals come to the main thread alone: in others there is
    no limit.

    Raises:
        SourceError: inside, where one does.
    """
    search = Search()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield search
        return
    seen: list[str | None] = [None]

    def tick(number: int, frame: FrameType | None) -> None:
        if search.path is not None and search.path is seen[0]:
            raise SourceError(
                f"source {source}: its patterns search {escape(search.path)!r} for more than {SECONDS:g} s: a repetition "
                "inside of a repetition, as in (a+)+, tries every way to part a name; write it without, for example with [^/]+"
            )
        seen[0] = search.path

    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    try:
        yield search
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
