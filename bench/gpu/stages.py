"""What is measured of any stage that is launched ahead: batch after batch, batch behind batch, and its bare loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.gpu.case import Bench
from bench.gpu.kernels import profile
from fasgen.stages.stage import Sample

BATCHES = 3
"""Batches that are launched one behind the other, as the worker launches them."""


def measured(
    bench: Bench,
    build: Callable[[], Any],
    samples: Callable[[Any], Sequence[Sample]],
    bare: Callable[[Any, Sequence[Sample]], Callable[[], None]],
    *,
    rounds: int,
    details: Callable[[Any], dict[str, Any]] | None,
) -> Iterator[None]:
    """Build the stage, run a batch and a bare loop; then time both.

    Args:
        bench: what all cases know.
        build: makes the stage.
        samples: a full batch of a stage.
        bare: the bare loop of a stage and a batch.
        rounds: how often each is timed.
        details: further figures of a stage; with them goes a profile of a batch.
    """
    import torch

    from fasgen.stages.compiled import compiling

    cuda = bench.device.type == "cuda"
    began = time.perf_counter()
    stage = build()
    loaded = time.perf_counter()
    batch = samples(stage)
    first = bench.seconds(lambda: stage(batch))
    in_stage = compiling().seconds
    loop = bare(stage, batch)
    loop()
    calls = getattr(stage, "calls", stage.config.steps)
    bench.say(load_s=round(loaded - began, 1), first_s=round(first, 1), compiling_s=round(in_stage, 1), calls=calls)
    yield

    # What memory has been given back is taken again before the clock starts.
    stage(batch)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    whole = bench.seconds(lambda: stage(batch), rounds)
    bench.say(batch=len(batch), images_s=round(len(batch) / whole, 2), batch_ms=round(whole * 1e3, 1))
    if cuda:
        bench.say(memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1))
    ahead = bench.seconds(lambda: _ahead(stage, batch))
    bench.say(ahead_images_s=round(BATCHES * len(batch) / ahead, 2))
    loop()
    least = bench.seconds(loop, rounds)
    bench.say(bare_images_s=round(len(batch) / least, 2), bare_ms=round(least * 1e3, 1))
    if details is not None:
        bench.say(**details(stage))
        bench.say(profile=profile(lambda: stage(batch), bench.sync, cuda=cuda))


def _ahead(stage: Any, batch: Sequence[Sample]) -> None:
    collect = stage.start(batch)
    for _ in range(BATCHES - 1):
        following = stage.start(batch)
        collect()
        collect = following
    collect()
