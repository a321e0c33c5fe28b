"""Simulated attacks a second on one core, by style, at 256 and at 112 px; at 256 px also beside augraphy's nearest effects.

Figures are over the processor's time, not the clock's: what else the machine does must not count, and a worker has one core.
The aims in images a second are absolute. augraphy paints effects of the same names for documents: a measure, not the same work.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.brisque import peer_python
from bench.harness import Row, median_ratio, table
from bench.peer import Peer

AIMS = {256: 40.0, 112: 150.0}
"""Images a second and core, by side."""

NEAREST = {"print": "print", "replay_tablet": "replay"}
"""Style to the peer's chain that comes nearest."""

SEEDS, ROUNDS, UNIT = 12, 7, "images/s"


def picture(side: int) -> NDArray[np.uint8]:
    """A made-up picture with the smooth shapes and the grain of a photograph."""
    import cv2

    rng = np.random.default_rng(0)
    levels = [cv2.resize(rng.random((n, n, 3)), (side, side), interpolation=cv2.INTER_CUBIC) / n for n in (4, 12, 40)]
    image = np.sum(levels, 0)
    image = (image - image.min()) / np.ptp(image) * 235 + 10 + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


class Ours:
    """fasgen's simulation, one thread."""

    def __init__(self) -> None:
        import cv2

        from fasgen.stages.physical.config import STYLES, PhysicalConfig
        from fasgen.stages.physical.simulate import simulate

        cv2.setNumThreads(1)
        self.styles, self._config, self._simulate, self._seed = STYLES, PhysicalConfig(), simulate, 0

    def __call__(self, image: NDArray[np.uint8], style: str) -> float:
        """Processor milliseconds an image, over seeds not used before."""
        start = time.process_time()
        for _ in range(SEEDS):
            self._simulate(image, style, self._seed, self._config)
            self._seed += 1
        return (time.process_time() - start) / SEEDS * 1e3


def run() -> list[Row]:
    """One row a style and side, then one a chain of the peer; in each round all take turns."""
    ours, rows = Ours(), []
    for side, aim in AIMS.items():
        image = picture(side)
        rounds = [{style: ours(image, style) for style in ours.styles} for _ in range(ROUNDS + 1)][1:]
        for style in ours.styles:
            rate = 1e3 / statistics.median(each[style] for each in rounds)
            rows.append(Row(f"simulation, {style}, {side} px, one core", rate, aim, "the aim", rate / aim, 1.0, UNIT))
    return rows + _beside(ours, picture(256))


def _beside(ours: Ours, image: NDArray[np.uint8]) -> list[Row]:
    titles = {style: f"simulation, {style}, 256 px, one core" for style in NEAREST}
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "picture.npy"
        np.save(stored, image)
        python = peer_python()
        try:
            if python is None:
                raise ChildProcessError("no .venv-bench and no FASGEN_BENCH_PYTHON")
            peer = Peer(python, "augraphy_peer.py", stored)
            peer()
        except ChildProcessError as error:
            missing = f"augraphy: peer not installed ({error})"
            return [Row(title, 1e3 / ours(image, style), None, missing, None, None, UNIT) for style, title in titles.items()]
        rounds = [({style: ours(image, style) for style in NEAREST}, peer()) for _ in range(ROUNDS)]
        peer.close()
    rows = []
    for style, kind in NEAREST.items():
        mine, theirs = [own[style] for own, _ in rounds], [other[kind] for _, other in rounds]
        name, ratio = f"augraphy {peer.version}, {kind}", median_ratio(mine, theirs)
        rows.append(Row(titles[style], 1e3 / statistics.median(mine), 1e3 / statistics.median(theirs), name, ratio, None, UNIT))
    return rows


if __name__ == "__main__":
    print(table(run()))
