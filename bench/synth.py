"""Synthesis beside the bare guided denoising loop, and both passes in one batch beside two passes one after the other.

The bare loop is the least that the method costs: what the guides have to say once, and as many calls of the (compiled) network
for both passes as the stage makes, at the same batch. It draws no noise and walks no grid.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.defake import pictures
from bench.harness import Row, alternate, median_ratio, table
from fasgen.stages.stage import Sample

ROUNDS, AIM, BATCH, STEPS = 3, 0.95, 8, 10


def batch_of(images: Sequence[np.ndarray[Any, Any]], style: str) -> list[Sample]:
    """A full batch as the stage receives it; each face's guide is its neighbour."""
    return [
        Sample(
            f"{slot:016x}",
            slot,
            slot,
            {"crop": image, "guide_crop": images[(slot + 1) % len(images)]},
            values={"style": style, "simulation": None, "guide_unit": 0, "guide_row": slot, "place": slot},
            variant=1,
        )
        for slot, image in enumerate(images)
    ]


def loops(stage: Any, samples: Sequence[Sample]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Features of the guides and the stage's number of calls: of both passes in one batch, and of one after the other.

    Inputs lie on the device before the clock starts. Networks are compiled as the stage's are.
    """
    import torch

    from fasgen.stages.batching import to_signed
    from fasgen.stages.compiled import compiled

    model, count = stage.model, len(samples)
    images = [np.stack([sample.images[name] for sample in samples]) for name in ("crop", "guide_crop")]
    live, guide = (to_signed(levels, stage.device) for levels in images)
    guide = guide.to(stage.dtype)
    condition, denoise = (compiled(f, stage.config.compile, stage.device) for f in (model.condition, model.denoiser.denoise))
    times = [torch.full((2 * count,), 200 - 10 * i, device=stage.device) for i in range(stage.config.steps)]

    @torch.no_grad()
    def together() -> None:
        twice, style = condition(live, guide, "both")
        for step in times:
            out = denoise(twice, twice, step, style).output
        out.float().cpu()

    @torch.no_grad()
    def apart() -> None:
        styles = [condition(live, guide, passes).style for passes in ("conditional", "null")]
        for step in times:
            out, without = (denoise(live, live, step[:count], style).output for style in styles)
        (out + without).float().cpu()

    return together, apart


def run(**changes: Any) -> list[Row]:
    """Samples a second of the stage beside both loops; rounds alternate.

    Args:
        changes: settings of synth other than its defaults.
    """
    import torch

    from fasgen.stages.synth.config import SynthConfig
    from fasgen.stages.synth.stage import Diffusion

    cuda = torch.cuda.is_available()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        config = SynthConfig.model_validate({"batch": BATCH, "steps": STEPS} | changes)
        stage = Diffusion(config, torch.device("cuda" if cuda else "cpu"))
        samples = batch_of(pictures(stage.batch), stage.model.styles[0])
        ours, bare, apart = alternate([lambda: stage(samples), *loops(stage, samples)], ROUNDS)
    finally:
        torch.set_num_threads(threads)
    on = torch.cuda.get_device_name() if cuda else "one CPU thread"
    what = f"DiffFAS of {config.weights}" if config.weights != "embedded" else "embedded DiffFAS"
    title = f"synth, {what}, batch {stage.batch}, {config.steps} guided calls, compile {config.compile}, {on}"
    torch_name = f"torch {torch.__version__}"
    figures = [stage.batch / statistics.median(times) for times in (ours, bare, apart)]
    return [
        Row(title, figures[0], figures[1], f"bare guided loop, {torch_name}", median_ratio(ours, bare), AIM, "samples/s"),
        Row(
            f"{title}: passes together",
            figures[0],
            figures[2],
            f"two separate passes, {torch_name}",
            median_ratio(ours, apart),
            None,
            "samples/s",
        ),
    ]


if __name__ == "__main__":
    print(table(run()))
