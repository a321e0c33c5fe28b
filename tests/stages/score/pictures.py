"""Pictures that a seed alone determines, for golden scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KINDS = ("noise", "soft_noise", "blurred", "gradient", "texture", "bordered", "grey", "tall")


def picture(kind: str, seed: int) -> NDArray[np.uint8]:
    """A picture of one kind: H x W x 3 uint8, whole-number arithmetic on Philox draws only, so equal on every machine."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    height, width = {"tall": (131, 88), "gradient": (96, 97)}.get(kind, (112, 112))
    noise = draw.integers(0, 256, (height, width, 3))
    y, x = np.indices((height, width))
    if kind == "noise":
        out = noise
    elif kind == "soft_noise":
        out = 96 + noise // 8
    elif kind in ("blurred", "tall"):
        out = noise
        for _ in range(2 + seed % 3):
            out = (np.roll(out, 1, 0) + 2 * out + np.roll(out, -1, 0)) // 4
            out = (np.roll(out, 1, 1) + 2 * out + np.roll(out, -1, 1)) // 4
    elif kind == "gradient":
        out = (x + 2 * y)[:, :, None] // 2 % 256 + noise // 32
    elif kind == "texture":
        out = (x * y // 16 % (61 + seed % 7))[:, :, None] * 3 + noise // 16
    elif kind == "bordered":
        out = noise // 4 + 64
        out[:20], out[:, -16:] = 0, 255
    else:
        out = np.broadcast_to(((x // 5 + y // 7) % 9 * 20)[:, :, None] + noise[:, :, :1] // 12, noise.shape)
    return np.clip(out, 0, 255).astype(np.uint8)
