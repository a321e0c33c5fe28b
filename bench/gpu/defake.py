"""De-faking on Stable Diffusion 1.5's size: the stage beside its bare loop, the parts of a batch, where its time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from bench.defake import bare_loop
from bench.faces import batch_of, pictures
from bench.gpu.case import Bench
from bench.gpu.kernels import profile

BATCHES = 3
"""Batches that are launched one behind the other, as the worker launches them."""


def settings(bench: Bench, batch: int, compile: str, **more: Any) -> dict[str, Any]:
    """Of the stage: the paper's grid of 41 calls, or one of 5 on a CPU, unless another is among ``more``."""
    grid = {} if "calls" in more else {"steps": 5 if bench.small else 50, "draws": 1}
    return {"weights": str(bench.folder / "defake"), "batch": batch, "compile": compile, **grid, **more}


def defake(bench: Bench, *, batch: int, compile: str, rounds: int, details: bool = False, **more: Any) -> Iterator[None]:
    """The stage, its bare loop, and several batches launched ahead.

    Args:
        bench: what all cases know.
        batch: faces a call.
        compile: as the stage's setting.
        rounds: how often each is timed.
        details: also the parts of a batch, and a profile; the bare loop then calls the U-Net, else the stage's own step.
        more: further settings of the stage.
    """
    import torch

    from fasgen.stages.compiled import compiling
    from fasgen.stages.defake.config import DefakeConfig
    from fasgen.stages.defake.stage import Defake

    began = time.perf_counter()
    stage = Defake(DefakeConfig.model_validate(settings(bench, batch, compile, **more)), bench.device)
    loaded = time.perf_counter()
    samples = batch_of(pictures(batch, bench.side))
    first = bench.seconds(lambda: stage(samples))
    in_stage = compiling().seconds
    bare = bare_loop(stage, samples, own_step=not details)
    bare()
    bench.say(load_s=round(loaded - began, 1), first_s=round(first, 1), compiling_s=round(in_stage, 1), calls=stage.calls)
    yield

    # What memory has been given back is taken again before the clock starts.
    stage(samples)
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = bench.seconds(lambda: stage(samples), rounds)
    bench.say(batch=batch, images_s=round(batch / whole, 2), batch_ms=round(whole * 1e3, 1))
    if bench.device.type == "cuda":
        bench.say(memory_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1))

    def ahead() -> None:
        waiting = stage.start(samples)
        for _ in range(BATCHES - 1):
            following = stage.start(samples)
            waiting()
            waiting = following
        waiting()

    bench.say(ahead_images_s=round(BATCHES * batch / bench.seconds(ahead), 2))
    bare()
    loop = bench.seconds(bare, rounds)
    bench.say(bare_images_s=round(batch / loop, 2), bare_ms=round(loop * 1e3, 1))
    if details:
        bench.say(**_parts(bench, stage, batch))
        bench.say(profile=profile(lambda: stage(samples), bench.sync, cuda=bench.device.type == "cuda"))


def _parts(bench: Bench, stage: Any, batch: int) -> dict[str, float]:
    """Milliseconds of a call of each network, at the stage's own batch and dtype, and of what is left of a batch."""
    import torch

    from fasgen.stages.batching import in_slots
    from fasgen.stages.compiled import compiled

    dfg, device, like = stage.dfg, bench.device, {"device": bench.device, "dtype": stage.dtype}
    unet, encode, decode = (
        compiled(one, stage.config.compile, device) for one in (dfg.unet, dfg.latents.encode, dfg.latents.decode)
    )
    shape = (batch, int(dfg.unet.config.in_channels), bench.side // dfg.latents.factor, bench.side // dfg.latents.factor)
    z = torch.randn(shape, **like).contiguous(memory_format=torch.channels_last)
    image = torch.zeros(batch, 3, bench.side, bench.side, **like).contiguous(memory_format=torch.channels_last)
    known = dfg.tokens(torch.randn(batch, 49, 512, **like))
    t = torch.full((batch,), 500, device=device)
    samples = batch_of(pictures(batch, bench.side))
    with torch.no_grad():
        calls = {
            "unet_ms": lambda: unet(z, t, encoder_hidden_states=known, return_dict=False),
            "encode_ms": lambda: encode(image),
            "decode_ms": lambda: decode(z),
            # What the host draws for a batch before it can launch it.
            "noise_ms": lambda: in_slots(samples, batch, lambda sample: stage._noise(sample, shape[1:])),
        }
        times = {}
        for name, call in calls.items():
            call()
            times[name] = round(bench.seconds(call, 3) * 1e3, 2)
    return times
