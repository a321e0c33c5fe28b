"""Cases for the tests of how cases are conducted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.gpu.case import Bench


def fine(bench: Bench, *, mark: str = "") -> Iterator[None]:
    """Leaves a mark when it is ready, and says how many there are when it measures."""
    if mark:
        (bench.folder / mark).touch()
    print("this is no figure")
    yield
    bench.say(images_s=2.0, marks=len(list(Path(bench.folder).glob("mark*"))))


def early(bench: Bench) -> Iterator[None]:
    """Breaks before it is ready."""
    raise ValueError("nothing to prepare")
    yield


def late(bench: Bench) -> Iterator[None]:
    """Breaks when it has said something."""
    yield
    bench.say(images_s=1.0)
    raise ValueError("nothing to measure")


def never(bench: Bench) -> Iterator[None]:
    """Is never done."""
    yield
    time.sleep(600)
