"""Pictures for the tests: real photographs where they are at hand, and noise with structure where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fasgen.stages.stage import RGB

PORTRAITS = Path(__file__).parents[3] / "examples" / "portraits"


def read(path: Path) -> RGB:
    """An RGB picture."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def photographs(count: int) -> list[RGB]:
    """Real photographs of all sizes, live and attacks: from FASGEN_DATA, else the portraits of the repository."""
    folder = Path(os.environ.get("FASGEN_DATA", "")).resolve() / "celeba_spoof_dev"
    if os.environ.get("FASGEN_DATA") and folder.is_dir():
        paths = [folder / kind / f"{i}.jpg" for i in range(1, 151) for kind in ("live", "spoof")]
        paths = [path for path in paths if path.is_file()]
    else:
        paths = sorted(path for path in PORTRAITS.glob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        pytest.skip("needs photographs of faces: set FASGEN_DATA, or keep examples/portraits")
    step = max(len(paths) // count, 1)
    images = [read(path) for path in paths[::step][:count]]
    return [image for image in images if max(image.shape) <= 1200]


def texture(height: int, width: int, seed: int = 0) -> RGB:
    """Smooth noise: no face, but something for every network to look at."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(height // 8, 2), max(width // 8, 2), 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
