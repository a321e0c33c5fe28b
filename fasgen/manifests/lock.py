"""One driver at a time on one store: a lock with host, process and heartbeat, recovered when its owner is dead.

The lock is a file that appears complete or not at all (a link to a draft) and is renewed while its owner lives. On the same
machine the owner's process tells whether it lives; elsewhere only the heartbeat can. Ages are measured by the file system's
own clock, and an owner that looks dead by it is watched for a while before it is believed dead, so that neither skewed
clocks nor one that jumps can take a store from a living driver.

Drivers take turns in looking at the lock, by a lock of the kernel on its folder, which dies with them: of two that find a dead
owner, the slower one must not move the quicker one's lock away. Where a file system has no such locks, a driver whose lock was
moved away learns it by its next heartbeat.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests import atomic

BEAT = 5.0
"""Seconds between two heartbeats."""

STALE = 60.0
"""A heartbeat that is older has probably stopped."""

SETTLE = 3.0
"""Seconds that a lock may be empty."""

WATCH = 12.0
"""Seconds without a heartbeat after which a driver elsewhere, already stale, is believed dead."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a store.

    Attributes:
        host: the machine's name.
        process: number of the process.
        machine: the boot and the name space in which the number means that process; empty where that cannot be known.
        started: when that process started, in the machine's ticks: a number that is given again later is another process.
        token: unique to this holding.
        beat: count of the heartbeats.
    """

    host: str
    process: int
    machine: str
    started: str
    token: str
    beat: int = 0

    @staticmethod
    def here() -> Owner:
        """This process."""
        return Owner(socket.gethostname(), os.getpid(), _machine(), _started(os.getpid()), secrets.token_hex(8))


class StoreLock:
    """Holds a store for writing; a context manager.

    Args:
        store: the store; created if need be.
        beat: seconds between heartbeats.
        stale: age of a heartbeat, in seconds, beyond which its owner is looked at.
        watch: seconds for which such an owner elsewhere is watched for a sign of life.

    Raises:
        StoreError: on entering: another driver holds the store, or it cannot be written.
    """

    def __init__(self, store: Path, *, beat: float = BEAT, stale: float = STALE, watch: float = WATCH) -> None:
        self._path = store / "runs" / "driver.lock"
        self._beat, self._stale, self._watch = beat, stale, watch
        self._owner = Owner.here()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self.lost = ""
        """Why the store is no longer this process's; empty while it is."""

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._turn():
                self._take()
                # What drivers that were killed left beside the lock.
                for path in atomic.leftovers(self._path.parent):
                    atomic.remove(path)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be written ({error.strerror}): choose another store") from error
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        held = _read(self._path)
        if held is not None and held.token == self._owner.token:
            with suppress(OSError):
                self._path.unlink()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _take(self) -> None:
        draft = self._path.with_name(f".tmp-{self._path.name}-{self._owner.token}")
        try:
            _write(draft, self._owner)
            while True:
                try:
                    _put(draft, self._path)
                except FileExistsError:
                    self._recover()
                else:
                    return
        finally:
            draft.unlink(missing_ok=True)

    def _recover(self) -> None:
        """Move a dead owner's lock out of the way; refuse where the owner lives."""
        held = self._settled()
        if held is not None and self._lives(held):
            raise StoreError(
                f"{self._path.parent.parent}: another fasgen works on this store (process {held.process} on {held.host}): wait "
                f"for it, or end it. If it is dead, {self._path} is taken over within {self._stale + self._watch:.0f} s"
            )
        grave = self._path.with_name(f".tmp-dead-{self._owner.token}")
        try:
            self._path.rename(grave)
        except FileNotFoundError:
            return
        moved = _read(grave)
        if moved is not None and (held is None or moved.token != held.token):
            # Somebody else was quicker, and this is the lock of the living.
            with suppress(FileExistsError):
                _put(grave, self._path)
        grave.unlink(missing_ok=True)

    def _settled(self) -> Owner | None:
        """The owner; a lock that is empty was taken an instant ago where there are no hard links, and is looked at again."""
        deadline = time.monotonic() + SETTLE
        while True:
            held = _read(self._path)
            try:
                empty = held is None and self._path.stat().st_size == 0
            except OSError:
                return None
            if not empty or time.monotonic() > deadline:
                return held
            time.sleep(0.1)

    def _lives(self, held: Owner) -> bool:
        if held.machine and held.machine == self._owner.machine:
            return _started(held.process) == held.started != ""
        if 0 <= self._age() <= self._stale:
            return True
        deadline = time.monotonic() + self._watch
        while time.monotonic() < deadline:
            time.sleep(min(self._beat, self._watch) / 4)
            seen = _read(self._path)
            if seen is None or (seen.token, seen.beat) != (held.token, held.beat):
                return seen is not None
        return False

    def _age(self) -> float:
        """Seconds since the last heartbeat, both ends by the clock of the file system."""
        probe = self._path.with_name(f".tmp-now-{self._owner.token}")
        try:
            probe.touch()
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            probe.unlink(missing_ok=True)

    def _keep(self) -> None:
        beat, failing = 0, 0.0
        while not self._end.wait(self._beat):
            try:
                held = _read(self._path)
                if held is None or held.token != self._owner.token:
                    gone = "is gone: was its disk unmounted?" if held is None else f"was taken over by {held.host}"
                    self.lost = f"the lock {self._path} {gone}"
                    return
                beat += 1
                _write(self._path, Owner(**{**asdict(self._owner), "beat": beat}))
                failing = 0.0
            except OSError as error:
                # A disk that is full for a moment is no reason to end a night's run; one that stays unwritable is.
                failing += self._beat
                if failing >= self._stale:
                    self.lost = f"the lock {self._path} cannot be renewed ({error.strerror})"
                    return


def _put(draft: Path, path: Path) -> None:
    """Let a complete file appear under another name, unless there is one; where there are no hard links, empty for an instant.

    Raises:
        FileExistsError: there is one.
    """
    try:
        os.link(draft, path)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno not in atomic.LACKING:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        shutil.copyfile(draft, draft.with_name(f"{draft.name}-copy"))
        draft.with_name(f"{draft.name}-copy").replace(path)


def _write(path: Path, owner: Owner) -> None:
    """Replace the file by one that is complete."""
    draft = path.with_name(f".tmp-beat-{owner.token}")
    try:
        draft.write_text(json.dumps(asdict(owner), sort_keys=True) + "\n", "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> Owner | None:
    """The owner that a lock names; None if there is no lock, or one that nobody can have written."""
    try:
        return Owner(**parse_json(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """Start time of a process in ticks; empty if there is none, or if it is dead and only not yet collected."""
    try:
        # The name in brackets may hold anything, brackets and spaces too.
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
