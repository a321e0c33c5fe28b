"""The gate of float8 on a few real faces: it moves a reconstruction less than another noise draw does."""

from __future__ import annotations

from pathlib import Path

from bench.fp8 import faces, price


def test_eight_bits_cost_less_than_another_draw(data: Path) -> None:
    samples = faces(data / "london", 4)
    assert [sample.slot for sample in samples] == [0, 1, 2, 3]
    assert all(sample.arrays["identity_map"].shape == (512, 7, 7) for sample in samples)
    figures = price(samples, calls=4)
    print(figures)
    assert 0 < figures["bf16"] < figures["fp8"] < figures["another draw"]
    assert figures["faces that float8 moves more than the draw"] == 0
