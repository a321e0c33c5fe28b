"""BRISQUE on one core beside OpenCV contrib's C++, the package ``brisque`` and piq: same pictures, same vectors."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, median_ratio, table
from bench.peer import Peer

SIDE, PICTURES, ROUNDS = 224, 16, 5
NAME, UNIT = f"BRISQUE, {SIDE} px, one thread", "ms an image"
AIMS = {"opencv": 1.0, "brisque": 6.0, "piq": 3.0}
NAMES = {"opencv": "OpenCV contrib QualityBRISQUE", "brisque": "brisque", "piq": "piq"}


def peer_python() -> Path | None:
    """The interpreter of the peers' environment: FASGEN_BENCH_PYTHON, else ``.venv-bench`` in the project."""
    named = os.environ.get("FASGEN_BENCH_PYTHON")
    path = Path(named) if named else Path(__file__).resolve().parent.parent / ".venv-bench" / "bin" / "python"
    return path if path.is_file() else None


def pictures() -> NDArray[np.uint8]:
    """Made-up pictures with the smooth shapes, grain and blur of photographs."""
    import cv2

    rng = np.random.default_rng(0)
    out = []
    for number in range(PICTURES):
        levels = [
            cv2.resize(rng.random((side, side, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) / side
            for side in (4, 12, 40, 112)
        ]
        image = np.sum(levels, 0)
        image = cv2.GaussianBlur((image - image.min()) / np.ptp(image) * 235 + 10, (0, 0), 0.4 + number % 4 * 0.3)
        out.append(np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))
    return np.stack(out)


class Ours:
    """fasgen's scorer on the CPU, one thread."""

    def __init__(self) -> None:
        import cv2
        import torch

        from fasgen.stages.score.brisque import Brisque
        from fasgen.stages.score.config import brisque_folder
        from fasgen.stages.score.support_vectors import load

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._brisque = Brisque(load(brisque_folder("embedded")), torch.device("cpu"))

    def __call__(self, images: NDArray[np.uint8]) -> tuple[float, list[float]]:
        """Median milliseconds an image, and the scores."""
        import torch

        times, scores = [], []
        for image in torch.split(torch.from_numpy(images), 1):
            start = time.perf_counter()
            scores.append(self._brisque(image).item())
            times.append(time.perf_counter() - start)
        return 1e3 * float(np.median(times)), scores


def run() -> list[Row]:
    """fasgen beside each peer; rounds alternate, so that a busy machine slows both."""
    images, python = pictures(), peer_python()
    ours = Ours()
    ours(images)
    out = []
    with tempfile.TemporaryDirectory() as temporary:
        stored = Path(temporary) / "pictures.npy"
        np.save(stored, images)
        for name, aim in AIMS.items():
            out.append(_beside(ours, images, python, name, aim, stored))
    return out


def _beside(ours: Ours, images: NDArray[np.uint8], python: Path | None, name: str, aim: float, stored: Path) -> Row:
    try:
        if python is None:
            raise ChildProcessError("no .venv-bench and no FASGEN_BENCH_PYTHON")
        peer = Peer(python, "brisque_peer.py", name, stored)
    except ChildProcessError as error:
        return Row(NAME, ours(images)[0], None, f"{NAMES[name]}: peer not installed ({error})", None, aim, UNIT)
    rounds = [(ours(images), peer()) for _ in range(ROUNDS)]
    peer.close()
    mine, theirs = [own[0] for own, _ in rounds], [other["ms"] for _, other in rounds]
    apart = float(np.median(np.abs(np.subtract(rounds[0][0][1], rounds[0][1]["scores"]))))
    title = f"{NAMES[name]} {peer.version} (scores {apart:.2g} apart)"
    return Row(NAME, float(np.median(mine)), float(np.median(theirs)), title, median_ratio(mine, theirs), aim, UNIT)


if __name__ == "__main__":
    print(table(run()))
