"""Face detection on one core beside facenet-pytorch: MTCNN with the same weights, pyramid and thresholds, same photographs.

The photographs are 32 of equal size, because the peer takes no others in one batch: attacks of FASGEN_DATA as they are
(600 x 450), else the portraits of ``examples/``, repeated and brought to 480 x 480. The row says whether both found the same
faces.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness import Row, alternate, compare, table

BATCH, ROUNDS, AIM = 32, 5, 3.0
PORTRAITS = Path(__file__).resolve().parent.parent / "examples" / "portraits"
UNIT = "ms an image"


def photographs() -> NDArray[np.uint8]:
    """(32, H, W, 3) RGB."""
    import cv2

    folder = Path(os.environ.get("FASGEN_DATA") or "/nowhere").resolve() / "celeba_spoof_dev" / "spoof"
    paths = sorted(folder.glob("*.jpg")) or sorted(p for p in PORTRAITS.glob("*") if p.suffix in {".jpg", ".jpeg", ".png"})
    images = [image for image in (cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths) if image is not None]
    equal = [image for image in images if image.shape == (600, 450, 3)]
    if len(equal) < BATCH:
        equal = [cv2.resize(images[i % len(images)], (480, 480), interpolation=cv2.INTER_AREA) for i in range(BATCH)]
    return np.stack(equal[:BATCH])[..., ::-1].copy()


def _peer() -> tuple[str, Any]:
    """facenet-pytorch's MTCNN on one thread, its NMS replaced by compiled code, as torchvision's is."""
    import torch

    from bench.facenet_reference import facenet_mtcnn
    from fasgen.stages.align.boxes import suppress

    def nms(boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float) -> torch.Tensor:
        return torch.from_numpy(suppress(boxes.numpy(), scores.numpy(), threshold, groups.numpy()))

    try:
        name = f"facenet-pytorch {version('facenet-pytorch')}"
        return name, facenet_mtcnn(nms, keep_all=True, select_largest=False, device=torch.device("cpu"))
    except (PackageNotFoundError, ImportError) as error:
        return f"facenet-pytorch: peer not installed ({error})", None


def run() -> list[Row]:
    """MTCNN beside facenet-pytorch, and RetinaFace on the same photographs; rounds alternate."""
    import cv2
    import torch

    from fasgen.stages.align.mtcnn import MTCNN, Cascade
    from fasgen.stages.align.retinaface import RetinaFace

    cpu = torch.device("cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        images = photographs()
        size = f"{images.shape[2]} x {images.shape[1]} px, one thread"
        title, small = f"MTCNN, batch {BATCH}, {size}", f"RetinaFace mobilenet0.25, {size}"
        mtcnn, retinaface = MTCNN(Cascade(), cpu), RetinaFace("mobilenet0.25", None, 0.6, 0.4, cpu)
        name, peer = _peer()
        if peer is None:
            (own,) = alternate([lambda: [mtcnn(image) for image in images]], ROUNDS)
            rows = [Row(title, float(np.median(own)) / BATCH * 1e3, None, name, None, AIM, UNIT)]
        else:
            call = (f"{name} ({_agreement(mtcnn, peer, images)})", lambda: peer.detect(images, landmarks=True), AIM)
            ours = [lambda: [mtcnn(image) for image in images], lambda: [retinaface(image) for image in images]]
            rows = [
                *compare(title, ours[0], [call], items=BATCH, unit=UNIT, scale=1e3, rounds=ROUNDS),
                *compare(small, ours[1], [(name, call[1], None)], items=BATCH, unit=UNIT, scale=1e3, rounds=3),
            ]
    finally:
        torch.set_num_threads(threads)
    return rows


def _agreement(mtcnn: Any, peer: Any, images: NDArray[np.uint8]) -> str:
    """Whether both find the same faces, and how far apart their corners lie."""
    boxes, scores = peer.detect(images)
    apart, ours, theirs = 0.0, 0, 0
    for image, box, score in zip(images, boxes, scores, strict=True):
        faces = mtcnn(image)
        count = 0 if box is None else len(box)
        ours, theirs = ours + len(faces), theirs + count
        if count == len(faces) and count:
            order = np.argsort(-score.astype(float), kind="stable")
            apart = max(apart, float(np.abs(faces.boxes - box[order].astype(float)).max()))
    return f"{ours} and {theirs} faces, {apart:.1g} px apart"


if __name__ == "__main__":
    print(table(run()))
