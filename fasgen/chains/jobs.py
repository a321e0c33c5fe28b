"""Commands of fasgen as processes, each on GPUs of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fasgen.errors import StoreError

POLL = 0.2
"""Seconds between two looks at what runs."""


class Job(Protocol):
    """A command that was begun."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


class Launch(Protocol):
    """Begins a command."""

    def __call__(self, arguments: Sequence[str], log: Path, devices: Sequence[str], held: int) -> Job:
        """Begin it.

        Args:
            arguments: of fasgen.
            log: what it says is added to this file.
            devices: GPUs that it may see, as ``CUDA_VISIBLE_DEVICES`` names them.
            held: a lock that it keeps while it lives, whatever becomes of this process.
        """


def process(arguments: Sequence[str], log: Path, devices: Sequence[str], held: int) -> subprocess.Popen[bytes]:
    """Begin a command in a process of its own."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ) | {"CUDA_VISIBLE_DEVICES": ",".join(devices)}
    with log.open("ab") as told:
        told.write(f"$ fasgen {' '.join(arguments)}\n".encode("utf-8", "surrogateescape"))
        told.flush()
        return subprocess.Popen(
            [sys.executable, "-m", "fasgen", *arguments], stdout=told, stderr=told, env=environment, pass_fds=(held,)
        )


class Held:
    """A lock of the kernel on a file, which a command that was begun with it keeps as well: it goes when both have gone."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def take(self) -> bool:
        """Whether it could be had at once."""
        try:
            fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def drop(self) -> None:
        """Let go of it here."""
        os.close(self.number)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """One chain at a time in a folder.

    Raises:
        StoreError: another one works there.
    """
    lock = Held(out / "chain.lock")
    try:
        if not lock.take():
            raise StoreError(f"{out}: another `fasgen paper` works here: wait for it, or give another out")
        yield
    finally:
        lock.drop()


def wait(jobs: Sequence[Job]) -> None:
    """Until all are over; a second interrupt does not wait."""
    with suppress(KeyboardInterrupt):
        while any(job.poll() is None for job in jobs):
            time.sleep(POLL)


def visible(count: int) -> list[str]:
    """The first GPUs that this process may see, as the environment names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [one.strip() for one in named.split(",")][:count] if named else [str(one) for one in range(count)]
