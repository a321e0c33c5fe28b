"""Word of the rows that a worker in quarantine has in hand, in a file that outlives the process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


class CrumbFile:
    """The rows in hand, in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, rows: Sequence[int]) -> None:
        """Replace what the file says by ``rows``."""
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(list(rows)), "ascii")
        draft.replace(self._path)


def late_mark(crumb: Path) -> Path:
    """The file beside a word that is not empty if the rows in hand took too long."""
    return crumb.with_suffix(".late")


def was_late(crumb: Path) -> bool:
    """Whether a dead worker died because the rows in hand took too long."""
    try:
        return late_mark(crumb).stat().st_size > 0
    except FileNotFoundError:
        return False


def forget(crumb: Path) -> None:
    """Remove a word and the mark beside it."""
    crumb.unlink(missing_ok=True)
    late_mark(crumb).unlink(missing_ok=True)


def read_crumb(path: Path) -> tuple[int, ...]:
    """The rows that a dead worker had in hand; empty if it left no word."""
    try:
        return tuple(json.loads(path.read_text("ascii")))
    except FileNotFoundError:
        return ()
