"""De-faking beside the bare denoising loop: what the stage, and then the whole way from store to store, add to the network.

The bare loop is the least that the method costs: encode, as many U-Net calls as the stage makes, at the same batch and with
the same (compiled) networks, decode. It draws no noise, walks no step, and makes no residual.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench.end_to_end import EndToEnd
from bench.faces import SIDE, batch_of, pictures
from bench.harness import Row, alternate, median_ratio, seconds, table
from fasgen.pipeline.resources import Resources
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.stage import Sample

ROUNDS, UNITS = 3, 3
AIM, STORE_AIM = 0.95, 0.9


def bare_loop(stage: Any, samples: Sequence[Sample], *, own_step: bool = False) -> Callable[[], None]:
    """Encode, the stage's number of U-Net calls, decode; inputs lie on the device before the clock starts.

    Args:
        stage: a `fasgen.stages.defake.stage.Defake`.
        samples: a full batch.
        own_step: call the stage's own step, which moves the latents as well, rather than the U-Net: where compiling another
            graph is not worth it. A move is five multiplications of the latents.
    """
    import torch

    from fasgen.stages.batching import to_signed
    from fasgen.stages.compiled import compiled
    from fasgen.stages.defake.tokens import identity_tokens

    dfg, draws = stage.dfg, stage.config.draws
    compile_it: Callable[[Any], Any] = partial(compiled, setting=stage.config.compile, device=stage.device)
    encode, decode = compile_it(dfg.latents.encode), compile_it(dfg.latents.decode)
    unet, step = compile_it(dfg.unet), compile_it(dfg.step)
    x = to_signed(np.stack([sample.images["crop"] for sample in samples]), stage.device, stage.dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    known = torch.from_numpy(np.stack([sample.arrays["identity_map"] for sample in samples])).to(stage.device, stage.dtype)
    times = [torch.full((len(samples) * draws,), point, device=stage.device) for point in stage.points]
    weights = torch.ones(5, device=stage.device)

    @torch.no_grad()
    def loop() -> None:
        condition = dfg.tokens(identity_tokens(known)).repeat_interleave(draws, 0)
        z = encode(x).repeat_interleave(draws, 0).contiguous(memory_format=torch.channels_last)
        wide = z.float()
        for t in times:
            if own_step:
                step(wide, wide, t, condition, weights)
            else:
                unet(z, t, encoder_hidden_states=condition, return_dict=False)
        decode(z).float().cpu()

    return loop


def measure(settings: dict[str, Any]) -> list[Row]:
    """Samples a second of the stage and of the whole way, each beside the bare loop; rounds alternate.

    Args:
        settings: of defake, other than its defaults.
    """
    import torch

    from fasgen.stages.compiled import resolve
    from fasgen.stages.defake.stage import Defake

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    stage = Defake(DefakeConfig.model_validate(settings), device)
    batch, samples = stage.batch, batch_of(pictures(stage.batch))
    bare = bare_loop(stage, samples)
    ours, loop = alternate([lambda: stage(samples), bare], ROUNDS)
    ends, beside = [], []
    with tempfile.TemporaryDirectory() as name:
        config = stage.config.model_copy(update={"batch": batch})
        # A CPU takes seconds a batch, so its units have one; a unit's own cost then weighs more than it does in practice.
        rows = 256 if cuda else batch
        whole = EndToEnd(Path(name), config, Resources(int(cuda), 1), side=SIDE, units=UNITS, rows=rows)
        for _ in range(ROUNDS):
            ends.append(1 / whole().rate)
            beside.append(seconds(bare) / batch)
    on = torch.cuda.get_device_name() if cuda else "one CPU thread"
    how = "eager" if resolve(stage.config.compile, device) == "off" else "compiled"
    title = f"defake, embedded generator, {how}, batch {batch}, {stage.calls} calls, {on}"
    peer = f"bare loop, {how}, diffusers {version('diffusers')}, torch {torch.__version__}"
    rates = [batch / statistics.median(times) for times in (ours, loop)]
    store = [1 / statistics.median(times) for times in (ends, beside)]
    return [
        Row(title, *rates, peer, median_ratio(ours, loop), AIM, "samples/s"),
        Row(
            f"{title}: store to store, local engine",
            *store,
            peer,
            median_ratio(ends, beside),
            STORE_AIM,
            "samples/s",
        ),
    ]


def run() -> list[Row]:
    """Without and with compiled networks."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for setting in ("off", "on") for row in measure({"compile": setting})]
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    print(table(run()))
