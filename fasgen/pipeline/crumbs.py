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


def read_crumb(path: Path) -> tuple[int, ...]:
    """The rows that a dead worker had in hand; empty if it left no word."""
    try:
        return tuple(json.loads(path.read_text("ascii")))
    except FileNotFoundError:
        return ()
