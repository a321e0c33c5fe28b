"""What became of loaded rows, written into a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fasgen.errors import StoreError
from fasgen.manifests.shard import UnitWriter
from fasgen.pipeline.calling import Result, one_line
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.launching import Written
from fasgen.pipeline.loading import Loaded
from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject, StageSpec


def open_output(task: UnitTask, spec: StageSpec, micro_batch: int | None = None) -> UnitWriter:
    """The writer of a task's unit.

    Args:
        task: the task.
        spec: its stage's specification.
        micro_batch: samples a call, where it is not the plan's batch.
    """
    return UnitWriter(
        task.folder,
        task.key.unit,
        columns=spec.columns,
        arrays={array.name: array.dtype for array in spec.arrays},
        tar=spec.tar,
        plan_hash=task.plan_hash,
        weights=task.weights,
        synthetic=spec.synthetic(task.config),
        micro_batch=micro_batch,
        inputs=task.inputs,
        domain=task.domain,
    )


def write_row(writer: UnitWriter, loaded: Loaded, result: Result) -> None:
    """Store a row's product, or why it has none.

    Raises:
        StoreError: the disk takes no more.
    """
    if isinstance(result, Reject):
        writer.reject(loaded.row, result.reason, " ".join(result.detail.split()))
        return
    row = loaded.row
    if result.frame is not None:
        # What the data set ships for the requested frame does not hold for another.
        moved = {"frame": result.frame, "shipped_box": None, "shipped_eyes": None}
        row = replace(row, provenance={**(row.provenance or {}), **moved})
    try:
        writer.ok(row, images=result.images, arrays=result.arrays, files=result.files, values=result.values)
    except StoreError as error:
        if not writer.is_open:
            # The disk was at fault, not the sample.
            raise
        writer.reject(row, Reason.STAGE_ERROR, one_line(error))


def written_bytes(group: Sequence[Written]) -> int:
    """Bytes of memory that the products of a group take until they are written."""
    products = [result for _, result in group if isinstance(result, Product)]
    total = sum(array.nbytes for product in products for array in (*product.images.values(), *product.arrays.values()))
    return total + sum(len(data) for product in products for data in product.files.values())
