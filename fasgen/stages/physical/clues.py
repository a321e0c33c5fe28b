"""Simulated physical spoofing clues: colours bent as inks bend them, gratings as a camera leaves them of a screen.

Nothing is traced through inks, glass and sensor here: the two plain operations of Cai et al. 2024 ("Towards data-centric face
anti-spoofing", SPSC), colour jitter for prints and a moire pattern for replays, each with a blur of the second lens. What they
lack in likeness they have in breadth: a detector learns from them that colours and gratings vary, not which ones there are.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fasgen.stages.physical.randomness import stream
from fasgen.stages.physical.sheet import View
from fasgen.stages.physical.tone import Plane
from fasgen.stages.stage import RGB

CHANNELS = ("red", "green", "blue")


def jittered(image: RGB, p: Mapping[str, float]) -> RGB:
    """Exponent and gain of each channel, then colourfulness, then a narrower range of levels.

    Args:
        image: height x width x RGB.
        p: parameters named as in ``JitterConfig``.
    """
    levels = image.astype(np.float32) / 255
    levels **= np.array([1 + p[f"{name}_gamma"] for name in CHANNELS], np.float32)
    levels *= np.array([1 + p[f"{name}_gain"] for name in CHANNELS], np.float32)
    grey = levels.mean(-1, keepdims=True)
    levels = grey + (levels - grey) * np.float32(1 + p["colour"])
    low, high = p["black"], 1 - p["white"]
    return _finished(low + levels * (high - low), p)


def crossed(image: RGB, view: View, p: Mapping[str, float]) -> RGB:
    """The product of two gratings of nearly one pitch, the colours out of step, over the picture, and a cast.

    Args:
        image: height x width x RGB.
        view: its raster.
        p: parameters named as in ``MoireConfig``; ``texture``.
    """
    rng = stream(int(p["texture"]), "moire")
    y, x = np.mgrid[: view.height, : view.width].astype(np.float32)
    pattern = np.ones((view.height, view.width, 3), np.float32)
    for side in (-0.5, 0.5):
        angle = np.radians(p["moire_angle"] + side * p["moire_turn"])
        pitch = p["moire_pitch"] * (1 + side * p["moire_stretch"])
        along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        pattern *= np.sin(np.float32(2 * np.pi / pitch) * along[..., None] + rng.uniform(0, 2 * np.pi, 3).astype(np.float32))
    casts = np.array([1 + p[f"{name}_gain"] for name in CHANNELS], np.float32)
    return _finished(image.astype(np.float32) / 255 * (1 + np.float32(p["moire"]) * pattern) * casts, p)


def _finished(levels: Plane, p: Mapping[str, float]) -> RGB:
    """8-bit levels, blurred."""
    out = np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)
    return out if p["softness"] < 1 / 6 else np.asarray(cv2.GaussianBlur(out, (0, 0), p["softness"]), np.uint8)
