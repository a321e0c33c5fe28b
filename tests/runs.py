"""Runs through the command line, in processes of their own, and what they leave in a store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fasgen.manifests.unit import committed_units, unit_summary
from tests.soak import family, sweep

LIMIT = 900
"""Seconds after which a run has failed."""


def command(store: Path, *arguments: str) -> list[str]:
    """``fasgen run`` into ``store``."""
    return [sys.executable, "-m", "fasgen", "run", "--store", str(store), *arguments]


def run(store: Path, *arguments: str) -> str:
    """Run to the end; what it said."""
    done = subprocess.run(command(store, *arguments), capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def kill(store: Path, *arguments: str, when: str) -> None:
    """Run until a path in ``store`` matches the pattern ``when``, then kill the driver's process group, and Ray below it."""
    with (store.parent / "told").open("wb") as told:
        driver = subprocess.Popen(command(store, *arguments), stdout=told, stderr=told, start_new_session=True)
    known: set[int] = set()
    deadline = time.monotonic() + LIMIT
    while not any(store.glob(when)):
        assert driver.poll() is None and time.monotonic() < deadline, (store.parent / "told").read_text("utf-8", "replace")[
            -4000:
        ]
        known |= set(family(driver.pid))
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    sweep(known - {os.getpid()})


def ok_rows(store: Path, stages: Sequence[str]) -> dict[str, int]:
    """Rows that are ok, by stage."""
    return {
        stage: sum(unit_summary(made, unit).ok for made in store.glob(f"{stage}-????????") for unit in committed_units(made))
        for stage in stages
    }
