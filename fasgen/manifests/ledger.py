"""The append-only history of one invocation. State is never rebuilt from it: it is history, not truth."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic


class Ledger:
    """Writes ``runs/<run_id>/ledger.jsonl`` and ``summary.json``. Safe from several threads.

    Once it is open, a disk that takes no more ends the history and not the run: nothing is ever rebuilt from it, and what went
    wrong is told by those whose work it stops.

    Args:
        store: the store.
        run_id: id of the invocation; a name without slashes.

    Raises:
        StoreError: if the id is no name, or the folder cannot be written.
    """

    def __init__(self, store: Path, run_id: str) -> None:
        if not run_id or run_id in (".", "..") or "/" in run_id or "\0" in run_id:
            raise StoreError(f"run id {run_id!r} is not a plain name")
        self.folder = store / "runs" / run_id
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.folder / "ledger.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror}): choose another store") from error
        self._lock = threading.Lock()

    def event(self, kind: str, **fields: object) -> None:
        """Append one line: the time (UTC), the kind, and what else is known; values JSON does not know are written as text."""
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": kind, **fields}
        line = json.dumps(record, default=str).encode() + b"\n"
        # One write call a line: lines of several processes may interleave, parts of lines do not.
        with self._lock:
            if self._descriptor >= 0:
                with suppress(OSError):
                    while line:
                        line = line[os.write(self._descriptor, line) :]

    def summary(self, summary: Mapping[str, object]) -> None:
        """Write ``summary.json``, atomically; a later call replaces it."""
        with suppress(OSError):
            write_atomic(self.folder / "summary.json", (json.dumps(dict(summary), indent=1, default=str) + "\n").encode())

    def close(self) -> None:
        """End the history; events after it are dropped."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_ledger(folder: Path) -> list[dict[str, Any]]:
    """The events of ``runs/<id>``; a last line that a kill cut off is left out."""
    path = folder / "ledger.jsonl"
    if not path.is_file():
        raise StoreError(f"{path}: is not there")
    events: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            event = parse_json(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events
