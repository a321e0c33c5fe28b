"""How fast a stage is in batches of several sizes on one device, with made-up samples: in a process that is thrown away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from fasgen.errors import ResourceError
from fasgen.pipeline.calling import is_out_of_memory, one_line, release_memory
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.resources import gpu_names, worker_environment
from fasgen.stages.stage import StageConfig, StageSpec

if TYPE_CHECKING:
    import torch

SIZES = (16, 32, 64, 128)
"""Batches that are tried, each as long as it fits and the one before was worth it."""

GAIN = 1.03
"""Images a second over those of half the batch, below which a larger batch is not worth its memory."""

SECONDS, CALLS = 1.0, 3
"""A size is timed for so long, or for so many calls where those take longer; the fastest counts."""

LIMIT = 3600.0
"""Seconds after which a rehearsal is ended; what it has measured by then counts."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is rehearsed.

    Attributes:
        target: ``module:attribute`` of the stage's specification.
        config: the stage's configuration.
        side: side of the crops, px.
        threads: threads of every numerical library.
    """

    target: str
    config: StageConfig
    side: int
    threads: int = 1


def rates(job: Rehearsal, device: torch.device) -> Iterator[tuple[int, float]]:
    """Batch and images a second, the smallest batch first, until memory ends or a larger batch gains nothing.

    Raises:
        FasgenError: the stage cannot be built.
    """
    import torch

    torch.set_num_threads(job.threads)
    torch.backends.cudnn.deterministic = True
    spec: StageSpec = resolve(job.target)
    before = 0.0
    for batch in SIZES:
        try:
            rate = batch / _seconds(spec, job.config.model_copy(update={"batch": batch}), job.side, device)
        except Exception as error:
            if is_out_of_memory(error):
                return
            raise
        finally:
            release_memory()
        yield batch, rate
        if rate < GAIN * before:
            return
        before = rate


def _seconds(spec: StageSpec, config: StageConfig, side: int, device: torch.device) -> float:
    """Seconds that one full batch takes, once the stage is compiled."""
    stage, rehearse = spec.build(config, device), resolve(spec.rehearse)
    rehearse(stage, side)
    taken: list[float] = []
    while sum(taken) < SECONDS and len(taken) < CALLS:
        began = time.perf_counter()
        rehearse(stage, side)
        taken.append(time.perf_counter() - began)
    return min(taken)


def best(measured: dict[int, float]) -> int:
    """The largest batch that gained on the one before it; the smallest where none did."""
    sizes = sorted(measured)
    chosen = sizes[0]
    for before, size in pairwise(sizes):
        if measured[size] < GAIN * measured[before]:
            break
        chosen = size
    return chosen


def in_process(job: Rehearsal, name: str, *, device: str = "cuda") -> dict[int, float]:
    """Rehearse on this machine's first GPU called ``name``, in a process of its own; images a second by batch.

    Raises:
        ResourceError: not even the smallest batch could be measured.
    """
    environment = os.environ | worker_environment(job.threads)
    names = gpu_names()
    if name in names:
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        index = names.index(name)
        environment["CUDA_VISIBLE_DEVICES"] = str(index) if visible is None else visible.split(",")[index].strip()
    command = [sys.executable, "-m", __name__, device]
    try:
        done = subprocess.run(command, input=_encoded(job), capture_output=True, env=environment, timeout=LIMIT, check=False)
        told, why = done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        told, why = late.stdout or b"", f"took longer than {LIMIT:.0f} s".encode()
    # What a process said before it died holds.
    lines = [json.loads(line) for line in told.splitlines() if line.startswith(b"[") and line.endswith(b"]")]
    if not lines:
        last = why.decode("utf-8", "replace").strip().splitlines()[-1:] or ["not even the smallest batch fits into memory"]
        raise ResourceError(last[0])
    return {int(batch): float(rate) for batch, rate in lines}


def _encoded(job: Rehearsal) -> bytes:
    document = {"target": job.target, "config": job.config.model_dump(mode="json"), "side": job.side, "threads": job.threads}
    return json.dumps(document).encode()


def _decoded(data: bytes) -> Rehearsal:
    """The inverse of `_encoded`."""
    document = json.loads(data)
    config = resolve(document["target"]).config.model_validate(document.pop("config"))
    return Rehearsal(config=config, **document)


def main() -> None:
    """Read a `Rehearsal` from standard input and print a line for each batch."""
    import torch

    job = _decoded(sys.stdin.buffer.read())
    try:
        for batch, rate in rates(job, torch.device(sys.argv[1])):
            print(json.dumps([batch, rate]), flush=True)
    except Exception as error:
        sys.exit(one_line(error))


if __name__ == "__main__":
    main()
