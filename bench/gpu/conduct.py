"""Running cases: side by side until each is ready, then one after the other."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu.case import READY

ROOT = Path(__file__).resolve().parents[2]

Say = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """One process's work.

    Attributes:
        name: in tables.
        part: by which it is asked for.
        target: ``module:function``; see `bench.gpu.case`.
        settings: keyword arguments of the function.
        seconds: what it may take once it has the device to itself.
    """

    name: str
    part: str
    target: str
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 60.0


class Child:
    """A case at work.

    Args:
        case: which.
        common: settings that all cases share.
        say: told every figure.
    """

    def __init__(self, case: Case, common: dict[str, Any], say: Say) -> None:
        self.case, self._say = case, say
        self.figures: dict[str, Any] = {}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._said: queue.Queue[dict[str, Any] | None] = queue.Queue()
        environment = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", **os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.gpu.case", case.target, json.dumps(common | case.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment,
            # A group of its own, so that what it starts ends with it.
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                figures = json.loads(line)
            except ValueError:
                continue
            if isinstance(figures, dict):
                self._say(case=self.case.name, **figures)
                self._said.put(figures)
        self._said.put(None)

    def until(self, name: str | None, deadline: float) -> bool:
        """Take in what it says, up to the figure ``name`` or to its end; whether that came.

        A case that ends too early, badly, or not before ``deadline`` has failed, and is over.
        """
        while True:
            try:
                figures = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return self._fail("took longer than it may")
            if figures is None:
                code = self._process.wait()
                if code or name is not None:
                    return self._fail(self._last_words(code))
                self.close()
                return True
            self.figures |= figures
            if name is not None and name in figures:
                return True

    def go(self) -> None:
        """Let it measure."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            # It is over; why is found where its end is awaited.
            return

    def close(self) -> None:
        """End it, and what it has started."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._errors.close()

    def _fail(self, why: str) -> bool:
        self.figures["failed"] = why
        self._say(case=self.case.name, failed=why)
        self.close()
        return False

    def _last_words(self, code: int) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        return " | ".join(lines[-3:]) if lines else f"ended with code {code} and without a word"


def conduct(
    cases: Sequence[Case], common: dict[str, Any], say: Say, *, abreast: int, preparing: float, limit: float
) -> dict[str, dict[str, Any]]:
    """All figures by case.

    Args:
        cases: in the order in which they shall measure.
        common: settings that all share.
        say: told every figure as it comes.
        abreast: cases that prepare at once.
        preparing: seconds that the preparation of so many may take.
        limit: seconds for all together; what has not been measured by then is left out, and named.
    """
    end = time.monotonic() + limit
    found: dict[str, dict[str, Any]] = {}
    for first in range(0, len(cases), abreast):
        group = cases[first : first + abreast]
        if time.monotonic() >= end:
            found |= {case.name: {"failed": "no time was left"} for case in group}
            continue
        children = [Child(case, common, say) for case in group]
        try:
            deadline = min(end, time.monotonic() + preparing)
            ready = [child for child in children if child.until(READY, deadline)]
            for child in ready:
                child.go()
                child.until(None, min(end, time.monotonic() + child.case.seconds))
        finally:
            for child in children:
                child.close()
                found[child.case.name] = child.figures
    return found
