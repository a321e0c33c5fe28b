"""A photograph cut out along the face, held before the wearer's own: outline, rim of the paper, shadow, what is behind. Simulated.

The outline is a superellipse |x / a|^n + |y / b|^n = 1 whose radius the scissors change by a few low harmonics. What is behind is out
of the plane of focus: a wall, the wearer's hair and clothes, as blurred shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.synth.physical.sheet import STEP, View
from fasgen.stages.synth.physical.tone import Plane

_HAIR = np.array([[0.012, 0.009, 0.008], [0.035, 0.022, 0.014], [0.10, 0.065, 0.035], [0.16, 0.12, 0.09]], np.float32)
_CLOTHES = np.array(
    [[0.02, 0.02, 0.025], [0.05, 0.06, 0.12], [0.25, 0.24, 0.23], [0.22, 0.05, 0.05], [0.55, 0.55, 0.53]], np.float32
)


@dataclass(frozen=True, slots=True)
class Outline:
    """Where the scissors went: corners of a closed line, camera pixels from the middle of the first."""

    points: NDArray[np.float64]
    view: View

    def filled(self, inset: float = 0.0, divide: int = 1) -> NDArray[np.uint8]:
        """Share of each pixel inside the line, 0 to 255.

        Args:
            inset: how far the line is drawn inwards, camera pixels.
            divide: side of the raster's pixels, in camera pixels.
        """
        height, width = (-(-side * self.view.scale // divide) for side in (self.view.height, self.view.width))
        middle = self.points.mean(0)
        arms = self.points - middle
        arms *= 1 - inset / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1)
        mask = np.zeros((height, width), np.uint8)
        corners = ((middle + arms + 0.5) / divide - 0.5) * 16
        cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return mask


def outline(rng: np.random.Generator, view: View, width: float, height: float, square: float, rough: float) -> Outline:
    """Draw the outline.

    Args:
        rng: stream of the scissors.
        view: the camera's raster.
        width: its width, share of the picture's.
        height: its height, share of the picture's.
        square: 0 for an ellipse, 1 for a superellipse of exponent 6.
        rough: standard deviation of the radius, share of it.
    """
    size = np.array([view.width, view.height]) * view.scale
    turns = np.linspace(-np.pi, np.pi, 241)[:-1]
    unit, exponent = np.stack([np.cos(turns), np.sin(turns)], 1), 2 + 4 * square
    semi = np.array([width, height]) * size / 2
    radius = (np.abs(unit / semi) ** exponent).sum(1) ** (-1 / exponent)
    orders = np.arange(2, 14)
    amounts, phases = rng.standard_normal(12) / orders, rng.random(12) * 2 * np.pi
    radius *= 1 + rough * 1.5 * (amounts[:, None] * np.cos(orders[:, None] * turns[None, :] + phases[:, None])).sum(0)
    return Outline(unit * radius[:, None] + (size - 1) / 2, view)


def behind(rng: np.random.Generator, view: View, wall: float, wearer: float) -> Plane:
    """What is seen round the photograph, at an eighth of the camera's resolution: linear reflectance, RGB.

    Args:
        rng: stream of the surroundings.
        view: the camera's raster.
        wall: reflectance of the wall.
        wearer: how much the wearer's hair and clothes hide of it.
    """
    height, width = (-(-side * view.scale // STEP) for side in (view.height, view.width))
    tint = 1 + 0.06 * rng.standard_normal(3)
    patches = cv2.resize(1 + 0.25 * rng.standard_normal((3, 4, 1)), (width, height), interpolation=cv2.INTER_CUBIC)
    scene = np.asarray(wall * tint * np.clip(patches[..., None], 0.3, 1.6), np.float32)
    hair, clothes = _HAIR[rng.integers(len(_HAIR))], _CLOTHES[rng.integers(len(_CLOTHES))]
    where, drop = rng.normal(0, 0.03, 2), rng.uniform(0.8, 0.95)
    mask = np.zeros((height, width), np.uint8)
    middle = (int(width * (0.5 + where[0])), int(height * (0.38 + where[1])))
    cv2.ellipse(mask, middle, (int(width * 0.52), int(height * 0.5)), 0, 0, 360, 255, -1)
    scene = _laid(scene, mask, hair, wearer)
    mask[:] = 0
    shoulders = (int(width * 0.5), int(height * (drop + 0.3)))
    cv2.ellipse(mask, shoulders, (int(width * 0.8), int(height * 0.36)), 0, 0, 360, 255, -1)
    return _laid(scene, mask, clothes, wearer)


def _laid(scene: Plane, mask: NDArray[np.uint8], colour: Plane, strength: float) -> Plane:
    soft = cv2.GaussianBlur(mask, (0, 0), max(min(mask.shape) / 28, 0.5)).astype(np.float32) * np.float32(strength / 255)
    return np.asarray(scene + soft[..., None] * (colour - scene), np.float32)


def shadow(line: Outline, darkness: float, blur: float, shift: float, angle: float) -> Plane:
    """Factor of the light behind the photograph, at an eighth of the camera's resolution.

    Args:
        line: the outline that throws the shadow.
        darkness: share of the light that the shadow takes.
        blur: its softness, standard deviation, shares of the shorter side.
        shift: how far it falls, shares.
        angle: where the lamp is, degrees; the shadow falls away from it.
    """
    short = line.view.short * line.view.scale / STEP
    lamp = np.radians(angle)
    move = np.array([[1, 0, -np.cos(lamp) * shift * short], [0, 1, -np.sin(lamp) * shift * short]])
    mask = line.filled(divide=STEP)
    moved = cv2.warpAffine(mask, move, mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), max(blur * short, 0.3))
    return 1 - soft.astype(np.float32) * np.float32(darkness / 255)


def pasted(light: Plane, scene: Plane, line: Outline, rim: float, edge: Plane, blur: float) -> Plane:
    """The photograph within its outline, the scene around it.

    Args:
        light: the whole photograph, camera raster.
        scene: what is behind, camera raster.
        line: the outline.
        rim: width of the cut edge that shows the paper's white, camera pixels.
        edge: light of that edge, R, G, B.
        blur: standard deviation of the lens' blur, camera pixels.
    """
    outer, inner = (_soft(line.filled(inset), blur) for inset in (0.0, rim))
    out = scene + (light - scene) * inner[..., None]
    band = outer - inner
    out += band[..., None] * (edge - scene)
    return np.asarray(out, np.float32)


def _soft(mask: NDArray[np.uint8], blur: float) -> Plane:
    if blur > 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), blur), np.uint8)
    return mask.astype(np.float32) * np.float32(1 / 255)
