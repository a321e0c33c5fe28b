"""A stage may throw, lie or run out of memory: it costs the sample at fault, no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.pipeline.calling import DeviceLostError, call, one_line
from fasgen.records import Column, Reason
from fasgen.stages.stage import ArrayField, Product, Reject, Sample, StageConfig, StageSpec

SPEC = StageSpec(
    "toy",
    "test stage",
    1,
    (),
    StageConfig,
    "nowhere:nothing",
    columns=(Column("score", "float64", "a score"), Column("many", "list<float32>", "several")),
    images=("out",),
    arrays=(ArrayField("field", "float32", "an array"),),
)


def samples(count: int) -> list[Sample]:
    return [Sample(f"{number:016x}", number, number) for number in range(count)]


def answer(sample: Sample) -> Product:
    return Product(values={"score": float(sample.seed)})


@given(bad=st.sets(st.integers(0, 15)), count=st.integers(0, 16))
def test_only_those_that_throw_are_lost(bad: set[int], count: int) -> None:
    def stage(batch: Sequence[Sample]) -> list[Product | Reject]:
        if any(sample.seed in bad for sample in batch):
            raise ValueError("bad\nsample")
        return [answer(sample) for sample in batch]

    outcomes = call(stage, SPEC, samples(count))
    assert len(outcomes) == count
    for number, outcome in enumerate(outcomes):
        if number in bad:
            assert outcome == Reject(Reason.STAGE_ERROR, "ValueError: bad sample")
        else:
            assert isinstance(outcome, Product) and outcome.values["score"] == number


@pytest.mark.parametrize(
    ("product", "reason", "says"),
    [
        (Product(values={"score": float("nan")}), Reason.NOT_FINITE, "score"),
        (Product(values={"many": [1.0, float("inf")]}), Reason.NOT_FINITE, "many"),
        (Product(arrays={"field": np.array([1.0, np.nan], np.float32)}), Reason.NOT_FINITE, "field"),
        (Product(arrays={"field": np.zeros(2)}), Reason.STAGE_ERROR, "float64"),
        (Product(arrays={"other": np.zeros(2)}), Reason.STAGE_ERROR, "other"),
        (Product(values={"score": "high"}), Reason.STAGE_ERROR, "score"),
        (Product(values={"unknown": 1}), Reason.STAGE_ERROR, "unknown"),
        (Product(images={"out": np.zeros((2, 2), np.uint8)}), Reason.STAGE_ERROR, "out"),
        ("nonsense", Reason.STAGE_ERROR, "str"),
    ],
)
def test_a_product_that_breaks_its_declaration_is_rejected_alone(product: Any, reason: Reason, says: str) -> None:
    first, second = call(lambda batch: [product, answer(batch[1])], SPEC, samples(2))
    assert isinstance(first, Reject) and first.reason is reason and says in first.detail
    assert isinstance(second, Product)


def test_a_result_of_the_wrong_length_rejects_the_batch() -> None:
    outcomes = call(lambda batch: [answer(batch[0])], SPEC, samples(3))
    assert outcomes == [Reject(Reason.STAGE_ERROR, "StageError: toy returned 1 results for 3 samples")] * 3


def test_out_of_memory_is_bisected_and_named_without_figures() -> None:
    def stage(batch: Sequence[Sample]) -> list[Product | Reject]:
        if len(batch) > 2 or batch[0].seed == 0:
            raise MemoryError("tried to allocate 3.14 GiB")
        return [answer(sample) for sample in batch]

    outcomes = call(stage, SPEC, samples(4))
    assert [isinstance(outcome, Product) for outcome in outcomes] == [False, True, True, True]
    assert outcomes[0] == Reject(Reason.OUT_OF_MEMORY, "does not fit into memory, even alone")


@pytest.mark.parametrize("raise_", [lambda: RuntimeError("CUDA error: an illegal memory access was encountered")])
def test_a_lost_device_is_no_samples_fault(raise_: Callable[[], Exception]) -> None:
    def stage(batch: Sequence[Sample]) -> list[Product | Reject]:
        raise raise_()

    with pytest.raises(DeviceLostError):
        call(stage, SPEC, samples(4))


def test_details_are_the_same_in_every_process() -> None:
    assert one_line(ValueError("<object at 0x7f00deadbeef>\n  twice")) == "ValueError: <object at 0x> twice"
    assert len(one_line(ValueError("x" * 5000))) <= 200
