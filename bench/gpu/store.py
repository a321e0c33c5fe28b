"""De-faking from store to store, and how long one waits for its first unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.end_to_end import EndToEnd
from bench.gpu.case import Bench
from bench.gpu.defake import settings


def store(bench: Bench, *, batch: int, compile: str, units: int, rows: int) -> Iterator[None]:
    """Three runs: from a cold start, again by the local engine, and on Ray, whose worker finds compiled code on the disk.

    The cold start meets a cache of its own that is empty; the other cases load and compile beside it.
    """
    with TemporaryDirectory() as name:
        import os

        folder = Path(name)
        for variable, part in (("TORCHINDUCTOR_CACHE_DIR", "inductor"), ("TRITON_CACHE_DIR", "triton")):
            os.environ[variable] = str(folder / "cache" / part)
        from fasgen.pipeline.resources import Resources
        from fasgen.stages.compiled import compiling
        from fasgen.stages.defake.config import DefakeConfig

        gpus = int(bench.device.type == "cuda")
        config = DefakeConfig.model_validate(settings(bench, batch, compile))
        (folder / "runs").mkdir()
        way = EndToEnd(folder / "runs", config, Resources(gpus, 1), side=bench.side, units=units, rows=rows)
        cold = way("local")
        bench.say(batch=batch, first_s=round(cold.first, 1), compiling_s=round(compiling().seconds, 1))
        yield
        warm = way("local")
        bench.say(images_s=round(warm.rate, 2), again_first_s=round(warm.first, 1))
        ray = way("ray")
        bench.say(ray_images_s=round(ray.rate, 2), ray_first_s=round(ray.first, 1))
