"""What a display makes of a picture before light leaves its pixels: video coding, transfer curve, colours, black. Simulated."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.tone import Plane, decode
from fasgen.stages.stage import RGB

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_COLD = np.array([-0.16, 0.0, 0.24])
_WARM = np.array([0.16, 0.0, -0.24])


def compressed(image: RGB, quality: int) -> RGB:
    """The picture after JPEG coding at ``quality``, 1 to 100; 0 leaves it as it is."""
    if quality == 0:
        return image
    done, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not done:
        raise ValueError(f"JPEG coding of {image.shape} failed")
    return np.asarray(cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def shown(image: RGB, pitch: float, softness: float, quality: int) -> RGB:
    """What the display has to show: coded, soft, and no more detail than it has pixels, where they are larger than the px."""
    image = compressed(image, quality)
    if softness > 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), softness), np.uint8)
    if pitch > 1:
        height, width = image.shape[:2]
        few = (max(round(width / pitch), 1), max(round(height / pitch), 1))
        image = np.asarray(
            cv2.resize(cv2.resize(image, few, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_LINEAR),
            np.uint8,
        )
    return image


def colours(temperature: float, saturation: float) -> NDArray[np.float64]:
    """Matrix from the picture's linear RGB to the display's: colourfulness 1 + saturation, white from -1 warm to 1 cold."""
    keep = 1 + saturation
    mix = keep * np.eye(3) + (1 - keep) * np.broadcast_to(_LUMINANCE, (3, 3))
    white = 1 + abs(temperature) * (_COLD if temperature > 0 else _WARM)
    return np.asarray(white[:, None] * mix / (white @ _LUMINANCE), np.float64)


def emitted(image: RGB, gamma: float, temperature: float, saturation: float, leak: float) -> Plane:
    """Light of each pixel, linear, a white one near 1; ``leak`` is what a black one lets through."""
    light = decode(image, gamma)
    if temperature or saturation:
        light = np.maximum(cv2.transform(light, colours(temperature, saturation)), 0).astype(np.float32)
    if leak:
        light *= np.float32(1 - leak)
        light += np.float32(leak)
    return light
