"""The camera that takes the attack: from light on the sensor to an 8-bit picture. Simulated.

Exposure and white balance scale the light; photon noise grows with its root, so that the whole noise is sqrt(read^2 +
shot^2 L); then come sRGB's curve, smoothing of colour, sharpening and JPEG, in the order in which a camera does it.
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
        if self.noise:
            deviation = np.sqrt(np.maximum(light, 0) * np.float32(1 - _READ**2) + np.float32(_READ**2))
            deviation *= grained(rng, light.shape, self.noise_grain)
            deviation *= np.float32(self.noise * 2 ** (self.exposure / -2))
            light += deviation
        image = encode(light)
        if self.chroma_blur >= 0.25:
            image = _smooth_chroma(image, self.chroma_blur)
        if self.sharpen:
            soft = cv2.GaussianBlur(image, (0, 0), 1.0)
            image = np.asarray(cv2.addWeighted(image, 1 + self.sharpen, soft, -self.sharpen, 0), np.uint8)
        return compressed(image, self.jpeg)


def _smooth_chroma(image: RGB, sigma: float) -> RGB:
    """Blur the colour differences and keep the luminance (BT.601, as JPEG has it)."""
    luminance, red, blue = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb))
    red, blue = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (red, blue))
    return np.asarray(cv2.cvtColor(cv2.merge([luminance, red, blue]), cv2.COLOR_YCrCb2RGB), np.uint8)
