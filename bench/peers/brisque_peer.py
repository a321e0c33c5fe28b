"""One BRISQUE of another maker, in its own process and environment: times and scores it when asked.

``python brisque_peer.py opencv|brisque|piq IMAGES.npy``; prints a line of JSON with the version, then for
each line read from standard input one with milliseconds an image and the scores. All run the 770 support vectors
of the package ``brisque``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Score = Callable[[Any], float]


def support_vectors() -> tuple[Any, Any, float]:
    """Coefficients (S,), vectors (S, 36) and rho of the package's model."""
    from brisque.models import MODEL_PATH

    head, _, body = Path(MODEL_PATH, "svm.txt").read_text("ascii").partition("SV\n")
    rows = [line.split() for line in body.splitlines()]
    vectors = np.array([[float(cell.split(":")[1]) for cell in row[1:]] for row in rows])
    rho = next(float(line.split()[1]) for line in head.splitlines() if line.startswith("rho"))
    return np.array([float(row[0]) for row in rows]), vectors, rho


def opencv() -> Score:
    """OpenCV contrib's C++, one thread; its model files are in no wheel, so that they are written from the same vectors."""
    import cv2
    from brisque.brisque import BRISQUE

    cv2.setNumThreads(1)
    coefficients, vectors, rho = support_vectors()
    ranges = BRISQUE(url=False).scale_params
    with tempfile.TemporaryDirectory() as name:
        model, limits = f"{name}/model.yml", f"{name}/range.yml"
        storage = cv2.FileStorage(limits, cv2.FILE_STORAGE_WRITE)
        storage.write("range", np.array([ranges["min_"], ranges["max_"]], np.float32))
        storage.release()
        rows = "".join(f"      - [ {', '.join(f'{v:.9e}' for v in row)} ]\n" for row in vectors)
        Path(model).write_text(
            "%YAML:1.0\n---\nopencv_ml_svm:\n   format: 3\n   svmType: EPS_SVR\n"
            "   kernel:\n      type: RBF\n      gamma: 0.05\n"
            "   C: 1024.\n   p: 0.1\n   term_criteria: { iterations:1000, epsilon:1.0e-3 }\n"
            "   var_count: 36\n   class_count: 0\n"
            f"   sv_total: {len(vectors)}\n   support_vectors:\n{rows}   decision_functions:\n      -\n"
            f"         sv_count: {len(vectors)}\n         rho: {rho}\n"
            f"         alpha: [ {', '.join(map(repr, coefficients.tolist()))} ]\n"
            f"         index: [ {', '.join(map(str, range(len(vectors))))} ]\n"
        )
        scorer = cv2.quality.QualityBRISQUE_create(model, limits)
    return lambda image: float(scorer.compute(image)[0])


def brisque() -> Score:
    """The PyPI package, with the one-element arrays among its features made numbers, as NumPy 2.4 wants them."""
    import cv2
    from brisque.brisque import BRISQUE

    cv2.setNumThreads(1)

    class Package(BRISQUE):  # type: ignore[misc]
        def calculate_brisque_features(self, *args: Any, **kwargs: Any) -> Any:
            return np.array([np.asarray(v, float).item() for v in super().calculate_brisque_features(*args, **kwargs)])

    scorer = Package(url=False)
    return lambda image: float(scorer.score(image))


def piq() -> Score:
    """piq on one thread, in float32 as it comes; it would download its vectors, so that it is handed the same ones."""
    import torch
    from torchvision_stub import install

    install()
    import piq

    torch.set_num_threads(1)
    coefficients, vectors, _ = support_vectors()
    module = sys.modules[piq.brisque.__module__]
    weights = torch.from_numpy(coefficients).float(), torch.from_numpy(vectors).float()
    vars(module)["load_url"] = lambda *args, **kwargs: (weights[0], weights[1].clone())

    def score(image: Any) -> float:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        return float(piq.brisque(x, data_range=255))

    return score


PEERS = {"opencv": (opencv, "opencv-contrib-python-headless"), "brisque": (brisque, "brisque"), "piq": (piq, "piq")}


def main(name: str, images: str) -> None:
    """Answer until standard input ends."""
    make, package = PEERS[name]
    pictures = np.load(images)
    if name == "opencv":
        pictures = np.ascontiguousarray(pictures[..., ::-1])  # it takes BGR
    score = make()
    score(pictures[0])
    print(json.dumps({"version": version(package)}), flush=True)
    for _ in sys.stdin:
        times, scores = [], []
        for picture in pictures:
            start = time.perf_counter()
            scores.append(score(picture))
            times.append(time.perf_counter() - start)
        print(json.dumps({"ms": 1e3 * float(np.median(times)), "scores": scores}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
