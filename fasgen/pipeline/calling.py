"""Calling a stage so that one bad sample costs one sample: check what it returns, bisect what it throws."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from fasgen.errors import ConfigError, ResourceError, StoreError, WeightsError
from fasgen.manifests.schema import checked
from fasgen.records import Reason, Scalar
from fasgen.stages.stage import Product, Reject, Sample, Stage, StageConfig, StageSpec

Result = Product | Reject
"""What a stage makes of one sample."""

NO_SAMPLES_FAULT = (ConfigError, WeightsError, ResourceError)
"""Errors of a stage that end the unit."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_DETAIL = 200


class DeviceLostError(Exception):
    """The device context is broken: nothing that this process computes after it can be believed."""


class TooLargeError(Exception):
    """A batch does not fit into memory, and its unit can be made again in smaller ones."""


class StageError(Exception):
    """A stage broke its contract."""


def one_line(error: BaseException) -> str:
    """An error as a manifest detail: one short line, the same in every process (memory addresses are blanked)."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return _ADDRESS.sub("0x", f"{name}: {text}" if text else name)[:_DETAIL]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether host or device memory ran out; known by name, so that torch need not be imported."""
    text = str(error)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text


def is_poison(error: BaseException) -> bool:
    """Whether the CUDA context is lost: every later call would fail, whatever the sample."""
    return not is_out_of_memory(error) and (type(error).__name__ == "AcceleratorError" or "CUDA error:" in str(error))


def raise_if_lost(error: Exception) -> None:
    """Raise `DeviceLostError` for an error after which nothing can be believed."""
    if is_poison(error):
        raise DeviceLostError(one_line(error)) from error


def ladder(spec: StageSpec, config: StageConfig, batch: int) -> list[tuple[int, StageConfig]]:
    """The batch sizes that a unit is made in, one after the other while memory runs out, each with its configuration.

    The first is the plan's. Each of the next is the largest proper divisor of the one before (16, 8, 4, 2, 1), so that a
    sample's slot in the smaller batch is its slot in the larger one, counted anew: the unit has the bytes that a run with that
    batch gives. There is one rung only where the configuration has no ``batch`` that decides it.
    """
    rungs = [(batch, config)]
    if "batch" not in type(config).model_fields:
        return rungs
    while batch > 1:
        batch //= next((n for n in range(2, batch) if batch % n == 0), batch)
        smaller = config.model_copy(update={"batch": batch})
        if spec.batch(smaller) != batch:
            break
        rungs.append((batch, smaller))
    return rungs


def call(stage: Stage, spec: StageSpec, samples: Sequence[Sample], *, divisible: bool = False) -> list[Result]:
    """One outcome for each sample, in order, whatever the stage does.

    A batch that throws is halved, down to the samples that throw alone; slots stay, so the others' products are those of an
    undisturbed batch. A result of the wrong length rejects the whole batch: which sample belongs to which result is unknown.

    Args:
        stage: the stage.
        spec: its specification.
        samples: the samples.
        divisible: the unit can be made again in smaller batches; memory that runs out is then no sample's fault yet.

    Raises:
        DeviceLostError: the device is lost.
        TooLargeError: memory ran out, and the batch is ``divisible``.
    """
    if not samples:
        return []
    try:
        return checked_outcomes(spec, stage(samples), len(samples))
    except NO_SAMPLES_FAULT:
        raise
    except StageError as error:
        return [Reject(Reason.STAGE_ERROR, one_line(error))] * len(samples)
    except Exception as error:
        raise_if_lost(error)
        if is_out_of_memory(error):
            if divisible:
                raise TooLargeError(one_line(error)) from None
            release_memory()
        if len(samples) == 1:
            return [_reject(error)]
    half = len(samples) // 2
    return call(stage, spec, samples[:half], divisible=divisible) + call(stage, spec, samples[half:], divisible=divisible)


def _reject(error: Exception) -> Reject:
    if is_out_of_memory(error):
        # The message of an allocator names sizes of the moment; a manifest must not.
        return Reject(Reason.OUT_OF_MEMORY, "does not fit into memory, even alone")
    return Reject(Reason.STAGE_ERROR, one_line(error))


def release_memory() -> None:
    """Give back what nobody holds any more, on the device too."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def checked_outcomes(spec: StageSpec, returned: Iterable[object], count: int) -> list[Result]:
    """What a stage returned for ``count`` samples, each a product as declared, or a reject.

    Raises:
        StageError: they are not as many.
    """
    outcomes = list(returned)
    if len(outcomes) != count:
        raise StageError(f"{spec.name} returned {len(outcomes)} results for {count} samples")
    return [_check(spec, outcome) for outcome in outcomes]


def _check(spec: StageSpec, outcome: object) -> Result:
    if isinstance(outcome, Reject):
        return outcome
    if not isinstance(outcome, Product):
        return _broken(spec, f"returned a {type(outcome).__name__}, neither Product nor Reject")
    declared = {array.name: array.dtype for array in spec.arrays}
    for kind, given, known in (
        ("image", outcome.images, set(spec.images)),
        ("array", outcome.arrays, set(declared)),
        ("column", outcome.values, {column.name for column in spec.columns}),
    ):
        if unknown := sorted(set(given) - known):
            return _broken(spec, f"did not declare the {kind} {unknown[0]}")
    for name, image in outcome.images.items():
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            return _broken(spec, f"image {name} is {image.dtype} {image.shape}, not H x W x 3 uint8")
    for name, array in outcome.arrays.items():
        if array.dtype != np.dtype(declared[name]):
            return _broken(spec, f"array {name} is {array.dtype}, not {declared[name]} as declared")
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            return Reject(Reason.NOT_FINITE, f"{spec.name}: array {name}")
    columns = {column.name: column for column in spec.columns}
    for name, value in outcome.values.items():
        try:
            stored = checked(columns[name], value, spec.name)
        except StoreError as error:
            return Reject(Reason.STAGE_ERROR, one_line(error))
        if not _finite(stored):
            return Reject(Reason.NOT_FINITE, f"{spec.name}: {name}")
    return outcome


def _broken(spec: StageSpec, what: str) -> Reject:
    return Reject(Reason.STAGE_ERROR, f"{spec.name} {what}")


def _finite(value: Scalar) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return all(_finite(item) for item in value) if isinstance(value, list) else True
