"""Simulated attacks a second on one core, by style, at 256 and at 112 px.

The figure is over the processor's time, not the clock's: what else the machine does must not count, and a worker has one core.
The aims are absolute; there is no peer, since no package is known to us that computes the same chain.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, table

AIMS = {256: 40.0, 112: 150.0}
"""Images a second and core, by side."""

SEEDS, ROUNDS = 12, 7


def picture(side: int) -> NDArray[np.uint8]:
    """A made-up picture with the smooth shapes and the grain of a photograph."""
    import cv2

    rng = np.random.default_rng(0)
    levels = [cv2.resize(rng.random((n, n, 3)), (side, side), interpolation=cv2.INTER_CUBIC) / n for n in (4, 12, 40)]
    image = np.sum(levels, 0)
    image = (image - image.min()) / np.ptp(image) * 235 + 10 + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def run() -> list[Row]:
    """One row a style and side; styles take turns, each round with other seeds."""
    import cv2

    from fasgen.stages.synth.physical.config import STYLES, PhysicalConfig
    from fasgen.stages.synth.physical.simulate import simulate

    cv2.setNumThreads(1)
    config, rows = PhysicalConfig(), []
    for side, aim in AIMS.items():
        image = picture(side)
        times: dict[str, list[float]] = {style: [] for style in STYLES}
        for turn in range(ROUNDS + 1):
            for style in STYLES:
                start = time.process_time()
                for seed in range(SEEDS):
                    simulate(image, style, turn * SEEDS + seed, config)
                times[style].append(time.process_time() - start)
        for style, each in times.items():
            rate = SEEDS / statistics.median(each[1:])
            rows.append(Row(f"simulation, {style}, {side} px, one core", rate, aim, "the aim", rate / aim, 1.0, "images/s"))
    return rows


if __name__ == "__main__":
    print(table(run()))
