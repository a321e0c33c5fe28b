"""What needs no knowledge of attacks: live faces whose colours are bent as prints bend them, or that are crossed by a moiré.

Baselines of synthetic spoofs, in the manner of the simulated spoofing cues (Cai et al. 2024: colour jitter for prints, moiré
for replays) and of augmentations for face anti-spoofing; the ranges are our own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def jittered(image: Image, rng: np.random.Generator) -> Image:
    """Gain, gamma and saturation of an ink: (H, W, 3) RGB in and out."""
    x = image.astype(np.float32) / 255
    gamma, gain = rng.uniform(0.7, 1.5, 3), rng.uniform(0.75, 1.1, 3)
    x = np.power(x, gamma.astype(np.float32)) * gain.astype(np.float32)
    grey = x.mean(-1, keepdims=True)
    x = grey + (x - grey) * np.float32(rng.uniform(0.4, 1.3))
    # Paper is no black and ink no light: the range of levels shrinks.
    low, high = rng.uniform(0, 0.15), rng.uniform(0.8, 1)
    return _levels(low + x * (high - low))


def moire(image: Image, rng: np.random.Generator) -> Image:
    """Two gratings of nearly one pitch over the picture, as a camera sees the lines of a screen: (H, W, 3) RGB in and out."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    pitch, angle = rng.uniform(2.2, 6), rng.uniform(0, np.pi)
    waves = []
    for _ in range(2):
        own_pitch, own_angle = pitch * rng.uniform(0.9, 1.1), angle + rng.uniform(-0.15, 0.15)
        along = x * np.cos(own_angle) + y * np.sin(own_angle)
        phase = rng.uniform(0, 2 * np.pi, 3)
        waves.append(np.sin(2 * np.pi * along[..., None] / own_pitch + phase))
    strength = rng.uniform(0.04, 0.16)
    cast = rng.uniform(0.85, 1.15, 3)
    return _levels(image.astype(np.float32) / 255 * (1 + strength * waves[0] * waves[1]) * cast)


def photometric(image: Image, seed: int) -> Image:
    """One of both by turns of the seed, and a blur of up to a pixel, as of a second camera."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    made = jittered(image, rng) if seed % 2 else moire(image, rng)
    blurred: Image = np.asarray(cv2.GaussianBlur(made, (0, 0), float(rng.uniform(0.2, 1.0))), np.uint8)
    return blurred


def _levels(x: NDArray[np.floating]) -> Image:
    out: Image = np.rint(x.clip(0, 1) * 255).astype(np.uint8)
    return out
