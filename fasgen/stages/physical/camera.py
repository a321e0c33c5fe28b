"""The camera that takes the attack: from light on the sensor to an 8-bit picture. Simulated.

Exposure and white balance scale the light, a hand that moves smears it; photon noise grows with its root, so that the whole
noise is sqrt(read^2 + shot^2 L); then come sRGB's curve, the camera's own S-shaped one over it, smoothing of colour, sharpening
and JPEG, in the order in which a camera does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.display import compressed
from fasgen.stages.physical.randomness import grained
from fasgen.stages.physical.tone import Plane, encode
from fasgen.stages.stage import RGB

_READ = 0.35
"""Noise in the dark, as a share of that at white."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Settings of one picture; the fields are those of ``CameraConfig``."""

    exposure: float
    warmth: float
    greenness: float
    noise: float
    noise_grain: float
    shake: float
    shake_angle: float
    contrast: float
    chroma_blur: float
    sharpen: float
    jpeg: int

    @property
    def gains(self) -> NDArray[np.float32]:
        """Factors of R, G and B; white balance leaves the luminance of grey as it is."""
        balance = np.array([1 + 0.28 * self.warmth, 1 + 0.2 * self.greenness, 1 - 0.28 * self.warmth])
        balance /= balance @ np.array([0.2126, 0.7152, 0.0722])
        return (2**self.exposure * balance).astype(np.float32)

    def take(self, light: Plane, rng: np.random.Generator) -> RGB:
        """Develop linear light, height x width x RGB, white at 1, to a picture of that size."""
        light = light * self.gains
        if self.shake:
            light = cv2.filter2D(light, -1, smear(self.shake, self.shake_angle), borderType=cv2.BORDER_REFLECT_101)
        if self.noise:
            deviation = np.sqrt(np.maximum(light, 0) * np.float32(1 - _READ**2) + np.float32(_READ**2))
            deviation *= grained(rng, light.shape, self.noise_grain)
            deviation *= np.float32(self.noise * 2 ** (self.exposure / -2))
            light += deviation
        image = encode(light)
        if self.contrast:
            image = np.asarray(cv2.LUT(image, s_curve(self.contrast)), np.uint8)
        if self.chroma_blur >= 0.25:
            image = _smooth_chroma(image, self.chroma_blur)
        if self.sharpen:
            soft = cv2.GaussianBlur(image, (0, 0), 1.0)
            image = np.asarray(cv2.addWeighted(image, 1 + self.sharpen, soft, -self.sharpen, 0), np.uint8)
        return compressed(image, self.jpeg)


def smear(length: float, angle: float) -> Plane:
    """Kernel of a straight movement of ``length`` px in the direction ``angle``, degrees: its sum is 1, its middle stays."""
    reach = int(length / 2) + 1
    steps = ((np.arange(16 * reach) + 0.5) / (16 * reach) - 0.5) * length
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for x, y in zip(steps * np.cos(np.radians(angle)) + reach, steps * np.sin(np.radians(angle)) + reach, strict=True):
        left, top = min(int(x), 2 * reach - 1), min(int(y), 2 * reach - 1)
        right, low = x - left, y - top
        kernel[top : top + 2, left : left + 2] += np.outer((1 - low, low), (1 - right, right))
    return np.asarray(kernel / kernel.sum(), np.float32)


def s_curve(strength: float) -> NDArray[np.uint8]:
    """Table of levels: x + strength (3 x^2 - 2 x^3 - x) on [0, 1], which keeps black, white and the middle."""
    x = np.arange(256) / 255
    return np.rint(255 * (x + strength * x * (1 - x) * (2 * x - 1))).astype(np.uint8)


def _smooth_chroma(image: RGB, sigma: float) -> RGB:
    """Blur the colour differences and keep the luminance (BT.601, as JPEG has it)."""
    luminance, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    red, blue = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (red, blue))
    return np.asarray(cv2.cvtColor(cv2.merge([luminance, red, blue]), cv2.COLOR_YCrCb2RGB), np.uint8)
