"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# The suite is deterministic, and a shared machine's pauses are no failures.
settings.register_profile("fasgen", deadline=None, derandomize=True)
settings.load_profile("fasgen")


def pytest_collection_finish() -> None:
    """Spare the collector what was imported: a worker asks it before it builds a stage, which was most of a toy run."""
    gc.collect()
    gc.freeze()
    # The tracer of torch makes containers by the million, few of them in circles.
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session", autouse=True)
def unflushed() -> Iterator[None]:
    """Nothing waits for the disk: what was flushed shows after a loss of power alone, and that is played by `tests.disk`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real faces and real attacks; tests that need it are skipped, by name, where it is absent."""
    folder = os.environ.get("FASGEN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real faces: set FASGEN_DATA to their folder")
    return Path(folder).resolve()
