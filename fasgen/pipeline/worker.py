"""One unit, from its inputs to its commit. The same code runs in every engine."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from fasgen.errors import StoreError
from fasgen.manifests.shard import UnitWriter
from fasgen.pipeline.calling import Outcome, call, one_line
from fasgen.pipeline.channel import Ahead, Behind
from fasgen.pipeline.crumbs import CrumbFile
from fasgen.pipeline.engine import UnitReport, UnitTask
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.loading import Loaded, batches, loaded_bytes, open_input
from fasgen.pipeline.resources import peak_rss
from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject, Sample, Stage, StageSpec

AHEAD_BYTES = 256 << 20
"""Loaded samples that may wait for the stage, and products that may wait to be written, for each unit in flight."""

Written = tuple[Loaded, Outcome]


class Clock:
    """Seconds spent in named phases, added up over threads."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to ``name``; one thread at a time has a phase."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - began

    def running(self, name: str, items: Iterator[list[Loaded]]) -> Iterator[list[Loaded]]:
        """``items``, with the time it takes to make each added to ``name``."""
        while True:
            with self.phase(name):
                item = next(items, None)
            if item is None:
                return
            yield item

    def seconds(self) -> dict[str, float]:
        """All phases, and ``wall`` since the clock was made."""
        phases = {name: self._seconds[name] for name in ("load", "build", "compute", "write")}
        return phases | {"wall": time.perf_counter() - self._began}


class Worker:
    """Holds one stage at a time and runs units of it.

    Several threads may call :meth:`run` at once: one computes while others load and write.

    Args:
        accelerator: whether this worker has a GPU to itself.
        threads: threads of every numerical library.
    """

    def __init__(self, *, accelerator: bool = False, threads: int = 1) -> None:
        self._accelerator, self._threads = accelerator, threads
        self._compute = threading.Lock()
        self._held: tuple[str, Stage] | None = None

    def run(self, task: UnitTask) -> UnitReport:
        """Make and commit one unit.

        Raises:
            FasgenError, OSError: the unit cannot be made for a reason that is no sample's fault; nothing is committed.
            DeviceLostError: the device is lost; this worker must not be used again.
        """
        clock = Clock()
        spec: StageSpec = resolve(task.target)
        crumb = CrumbFile(task.crumb) if task.crumb else None
        unit = open_input(task, spec)
        arrays = {array.name: array.dtype for array in spec.arrays}
        writer = UnitWriter(
            task.folder,
            task.key.unit,
            columns=spec.columns,
            arrays=arrays,
            tar=spec.tar,
            plan_hash=task.plan_hash,
            weights=task.weights,
        )
        try:
            with writer:
                loading = clock.running("load", batches(unit, task.batch, frozenset(task.excluded), crumb))

                def write(group: Sequence[Written]) -> None:
                    with clock.phase("write"):
                        for loaded, outcome in group:
                            _write(writer, loaded, outcome)

                ahead: AbstractContextManager[Iterator[list[Loaded]]]
                # In quarantine nothing overlaps, so that the rows in hand are the rows at fault.
                ahead = nullcontext(loading) if crumb else Ahead(loading, loaded_bytes, AHEAD_BYTES)
                behind = None if crumb else Behind(write, _written_bytes, AHEAD_BYTES)
                with behind or nullcontext(), ahead as groups, self._compute:
                    put = behind.put if behind else write
                    stage: Stage | None = None
                    for group in groups:
                        if stage is None:
                            with clock.phase("build"):
                                stage = self._hold(task, spec)
                        with clock.phase("compute"):
                            outcomes = _outcomes(stage, spec, group, frozenset(task.suspects), crumb)
                        put(list(zip(group, outcomes, strict=True)))
                summary = writer.commit(len(unit.rows), clock.seconds())
        finally:
            unit.close()
        if task.crumb:
            task.crumb.unlink(missing_ok=True)
        return UnitReport(task.key, summary, clock.seconds(), peak_rss())

    def _hold(self, task: UnitTask, spec: StageSpec) -> Stage:
        """The stage of ``task``, built now unless it is the one held."""
        if self._held is None or self._held[0] != task.plan_hash:
            import torch

            self._held = None
            gc.collect()
            if self._accelerator:
                torch.cuda.empty_cache()
                torch.backends.cudnn.deterministic = True
            _limit_threads(self._threads)
            device = torch.device("cuda" if self._accelerator and task.accelerator else "cpu")
            self._held = (task.plan_hash, spec.build(task.config, device))
        return self._held[1]


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(threads)


def _outcomes(
    stage: Stage, spec: StageSpec, group: Sequence[Loaded], suspects: frozenset[int], crumb: CrumbFile | None
) -> list[Outcome]:
    """One outcome a row: the batch in one call, but suspects each in a call of its own."""
    outcomes: dict[int, Outcome] = {}
    together: list[int] = []
    alone: list[list[int]] = []
    for index, loaded in enumerate(group):
        if isinstance(loaded.sample, Reject):
            outcomes[index] = loaded.sample
        elif loaded.row.row in suspects:
            alone.append([index])
        else:
            together.append(index)
    for indices in [together, *alone]:
        if crumb and indices:
            crumb([group[index].row.row for index in indices])
        samples = [sample for index in indices if isinstance(sample := group[index].sample, Sample)]
        outcomes.update(zip(indices, call(stage, spec, samples), strict=True))
    return [outcomes[index] for index in range(len(group))]


def _write(writer: UnitWriter, loaded: Loaded, outcome: Outcome) -> None:
    if isinstance(outcome, Reject):
        writer.reject(loaded.row, outcome.reason, " ".join(outcome.detail.split()))
    else:
        row = loaded.row
        if outcome.frame is not None:
            row = replace(row, provenance={**(row.provenance or {}), "frame": outcome.frame})
        try:
            writer.ok(row, images=outcome.images, arrays=outcome.arrays, files=outcome.files, values=outcome.values)
        except StoreError as error:
            writer.reject(row, Reason.STAGE_ERROR, one_line(error))


def _written_bytes(group: Sequence[Written]) -> int:
    products = [outcome for _, outcome in group if isinstance(outcome, Product)]
    total = sum(array.nbytes for product in products for array in (*product.images.values(), *product.arrays.values()))
    return total + sum(len(data) for product in products for data in product.files.values())
