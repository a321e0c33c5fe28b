"""De-faking on Stable Diffusion 1.5's size: the stage beside its bare loop, the parts of a batch, where its time goes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.defake import bare_loop
from bench.faces import batch_of, pictures
from bench.gpu.case import Bench
from bench.gpu.stages import measured


def settings(bench: Bench, batch: int, compile: str, **more: Any) -> dict[str, Any]:
    """Of the stage: the paper's grid of 41 calls, or one of 5 on a CPU, unless another is among ``more``."""
    grid = {} if "calls" in more else {"steps": 5 if bench.small else 50, "draws": 1}
    return {"weights": str(bench.folder / "defake"), "batch": batch, "compile": compile, **grid, **more}


def defake(bench: Bench, *, batch: int, compile: str, rounds: int, details: bool = False, **more: Any) -> Iterator[None]:
    """The stage beside its bare loop.

    Args:
        bench: what all cases know.
        batch: faces a call.
        compile: as the stage's setting.
        rounds: how often each is timed.
        details: also the parts of a batch, and a profile; the bare loop then calls the U-Net, else the stage's own step.
        more: further settings of the stage.
    """
    from fasgen.stages.defake.config import DefakeConfig
    from fasgen.stages.defake.stage import Defake

    config = DefakeConfig.model_validate(settings(bench, batch, compile, **more))
    return measured(
        bench,
        lambda: Defake(config, bench.device),
        lambda stage: batch_of(pictures(batch, bench.side)),
        partial(bare_loop, own_step=not details),
        rounds=rounds,
        details=partial(_parts, bench) if details else None,
    )


def _parts(bench: Bench, stage: Any) -> dict[str, float]:
    """Milliseconds of a call of each network, at the stage's own batch and dtype, and of what is left of a batch."""
    import torch

    from fasgen.stages.batching import in_slots
    from fasgen.stages.compiled import compiled

    dfg, device, batch = stage.dfg, bench.device, stage.batch
    like = {"device": device, "dtype": stage.dtype}
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
