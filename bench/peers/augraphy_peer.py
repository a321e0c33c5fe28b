"""augraphy's nearest to a print and to a filmed display, in its own process and environment: times them when asked.

``python augraphy_peer.py PICTURE.npy``; prints a line of JSON with the version, then for each line read from standard input one
with processor milliseconds an image by kind. Its effects are made for documents and painted over the picture: the same names,
another chain.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
from augraphy.augmentations.dithering import Dithering
from augraphy.augmentations.folding import Folding
from augraphy.augmentations.jpeg import Jpeg
from augraphy.augmentations.lcdscreenpattern import LCDScreenPattern
from augraphy.augmentations.lightinggradient import LightingGradient
from augraphy.augmentations.moire import Moire
from augraphy.augmentations.reflectedlight import ReflectedLight
from augraphy.augmentations.subtlenoise import SubtleNoise

IMAGES = 2
CHAINS: dict[str, tuple[Any, ...]] = {
    "print": (Dithering(p=1), Folding(p=1), LightingGradient(p=1), SubtleNoise(p=1), Jpeg(p=1)),
    "replay": (LCDScreenPattern(p=1), Moire(p=1), ReflectedLight(p=1), SubtleNoise(p=1), Jpeg(p=1)),
}


def milliseconds(chain: tuple[Any, ...], picture: Any) -> float:
    """Processor milliseconds an image."""
    start = time.process_time()
    for _ in range(IMAGES):
        image = picture.copy()
        for effect in chain:
            image = effect(image)
    return (time.process_time() - start) / IMAGES * 1e3


def main() -> None:
    """Answer until standard input ends."""
    cv2.setNumThreads(1)
    picture = np.load(sys.argv[1])
    print(json.dumps({"version": version("augraphy")}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({kind: milliseconds(chain, picture) for kind, chain in CHAINS.items()}), flush=True)


if __name__ == "__main__":
    main()
