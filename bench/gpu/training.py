"""Steps a second of a training on the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from bench.gpu.case import Bench


def training(bench: Bench, *, batch: int) -> Iterator[None]:
    """The De-fake Face Generator of 112 px, by the benchmark of trainings; what it compiles is compiled before."""
    try:
        from bench.training import steps_a_second
    except ImportError:
        raise SystemExit("there is no benchmark of trainings in this version (bench/training.py)") from None
    steps_a_second(batch)
    yield
    steps = steps_a_second(batch)
    bench.say(batch=batch, steps_s=round(steps, 2), faces_s=round(steps * batch, 1))
