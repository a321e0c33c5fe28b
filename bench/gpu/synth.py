"""DiffFAS at the size of its paper: the stage beside its bare loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import bench.synth as plain
from bench.faces import pictures
from bench.gpu.case import Bench
from bench.gpu.kernels import profile


def synth(
    bench: Bench, *, batch: int, compile: str, rounds: int, details: bool = False, guided: float | None = None
) -> Iterator[None]:
    """Twenty-five guided calls (DiffFAS 4.2), or two on a CPU.

    Args:
        bench: what all cases know.
        batch: faces a call.
        compile: as the stage's setting.
        rounds: how often each is timed.
        details: also a profile.
        guided: share of the calls that are guided; None: the stage's default.
    """
    import torch

    from fasgen.stages.compiled import compiling
    from fasgen.stages.synth.config import SynthConfig
    from fasgen.stages.synth.stage import Diffusion

    own: dict[str, Any] = {"weights": str(bench.folder / "difffas"), "batch": batch, "compile": compile}
    own |= {"steps": 2 if bench.small else 25, "t": [250, 250], "gamma": [2, 2]}
    if guided is not None:
        if "guided" not in SynthConfig.model_fields:
            raise SystemExit("there is no setting synth.guided in this version")
        own["guided"] = guided
    began = time.perf_counter()
    stage = Diffusion(SynthConfig.model_validate(own), bench.device)
    loaded = time.perf_counter()
    samples = plain.batch_of(pictures(batch, bench.side), stage.model.styles[0])
    first = bench.seconds(lambda: stage(samples))
    in_stage = compiling().seconds
    bare = plain.loops(stage, samples)[0]
    bare()
    bench.say(
        load_s=round(loaded - began, 1), first_s=round(first, 1), compiling_s=round(in_stage, 1), calls=stage.config.steps
    )
    yield

    stage(samples)
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = bench.seconds(lambda: stage(samples), rounds)
    bench.say(batch=batch, images_s=round(batch / whole, 2), batch_ms=round(whole * 1e3, 1))
    if bench.device.type == "cuda":
        bench.say(memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1))
    bare()
    loop = bench.seconds(bare, rounds)
    bench.say(bare_images_s=round(batch / loop, 2), bare_ms=round(loop * 1e3, 1))
    if details:
        bench.say(profile=profile(lambda: stage(samples), bench.sync, cuda=bench.device.type == "cuda"))
