"""One case in this process: ``python -m bench.gpu.case MODULE:FUNCTION SETTINGS``.

The function is a generator that yields once: what comes before is preparation, what comes after is measured. Between the two
it waits for a line on standard input. What it says are JSON objects, one a line, on standard output.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

READY = "ready"
"""Name of the figure that a case says last before it waits: seconds that its preparation took."""


@dataclass(frozen=True)
class Bench:
    """What a case is told.

    Attributes:
        folder: where networks with random weights lie.
        small: tiny networks, for a CPU.
    """

    folder: Path
    small: bool

    @property
    def side(self) -> int:
        """Side of the crops, px."""
        return 64 if self.small else 256

    @cached_property
    def device(self) -> Any:
        """CUDA where there is one, as the worker of a run has it."""
        import torch

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
            return torch.device("cpu")
        torch.backends.cudnn.deterministic = True
        return torch.device("cuda")

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object], rounds: int = 1) -> float:
        """Median seconds of ``call``, to its end on the device."""
        times = []
        for _ in range(rounds):
            self.sync()
            began = time.perf_counter()
            call()
            self.sync()
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    def say(self, **figures: Any) -> None:
        """Figures found so far."""
        print(json.dumps(figures), flush=True)


def main(target: str, settings: str) -> None:
    """Prepare, say so, wait, measure."""
    began = time.perf_counter()
    own: dict[str, Any] = json.loads(settings)
    bench = Bench(Path(own.pop("folder")), bool(own.pop("small")))
    module, _, function = target.partition(":")
    case = getattr(import_module(module), function)(bench, **own)
    next(case)
    if "torch" in sys.modules and bench.device.type == "cuda":
        import torch

        bench.sync()
        # The others need the memory meanwhile.
        torch.cuda.empty_cache()
    bench.say(**{READY: round(time.perf_counter() - began, 1)})
    if sys.stdin.readline():
        next(case, None)


if __name__ == "__main__":
    main(*sys.argv[1:])
