"""DiffFAS at the size of its paper: the stage beside its bare loop."""

from __future__ import annotations

from collections.abc import Iterator

import bench.synth as plain
from bench.faces import pictures
from bench.gpu.case import Bench
from bench.gpu.stages import measured


def synth(bench: Bench, *, batch: int, compile: str, rounds: int, details: bool = False, guided: float = 1.0) -> Iterator[None]:
    """Twenty-five guided calls (DiffFAS 4.2), or two on a CPU.

    Args:
        bench: what all cases know.
        batch: faces a call.
        compile: as the stage's setting.
        rounds: how often each is timed.
        details: also a profile.
        guided: share of the calls that are guided; the bare loop guides all of them.
    """
    from fasgen.stages.synth.config import SynthConfig
    from fasgen.stages.synth.stage import Diffusion

    own = {"steps": 2 if bench.small else 25, "t": [250, 250], "gamma": [2, 2], "guided": guided}
    own |= {"weights": str(bench.folder / "difffas"), "batch": batch, "compile": compile}
    config = SynthConfig.model_validate(own)
    return measured(
        bench,
        lambda: Diffusion(config, bench.device),
        lambda stage: plain.batch_of(pictures(batch, bench.side), stage.model.styles[0]),
        lambda stage, samples: plain.loops(stage, samples)[0],
        rounds=rounds,
        details=(lambda stage: {}) if details else None,
    )
