"""A photograph cut out along the face, held before the wearer's own: outline, paper edge, shadow, what is behind. Simulated.

The outline is a superellipse |x / a|^n + |y / b|^n = 1, narrower towards the chin, which scissors follow in straight cuts. The
light catches the paper's edge on its own side, the shadow falls to the other. Behind are a wall and the wearer's hair and
clothes, as shapes out of focus.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.randomness import white
from fasgen.stages.physical.sheet import View
from fasgen.stages.physical.tone import Plane, blurred

_HAIR = np.array([[0.012, 0.009, 0.008], [0.035, 0.022, 0.014], [0.10, 0.065, 0.035], [0.16, 0.12, 0.09]], np.float32)
_CLOTHES = np.array(
    [[0.02, 0.02, 0.025], [0.05, 0.06, 0.12], [0.25, 0.24, 0.23], [0.22, 0.05, 0.05], [0.55, 0.55, 0.53]], np.float32
)


@dataclass(frozen=True, slots=True)
class Outline:
    """Where the scissors went: corners of a closed line, n x 2, px from the middle of the first px."""

    points: NDArray[np.float64]
    view: View

    def filled(self, shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.uint8]:
        """Share of each px inside the line moved by ``shift`` px, 0 to 255."""
        mask = np.zeros((self.view.height, self.view.width), np.uint8)
        # Four fractional bits: corners lie between the px.
        cv2.fillPoly(mask, [np.rint((self.points + shift) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return mask


def outline(rng: np.random.Generator, view: View, width: float, height: float, square: float, rough: float) -> Outline:
    """Draw the outline.

    Args:
        rng: stream of the scissors.
        view: the picture's raster.
        width: its width, share of the picture's.
        height: its height, share of the picture's.
        square: 0 for an ellipse, 1 for a superellipse of exponent 6.
        rough: how far the cuts stray, standard deviation, share of the radius.
    """
    size = np.array([view.width, view.height])
    cuts = int(rng.integers(14, 40))
    turns = 2 * np.pi * (np.arange(cuts) + rng.uniform(-0.35, 0.35, cuts)) / cuts
    unit, exponent = np.stack([np.cos(turns), np.sin(turns)], 1), 2 + 4 * square
    semi = np.array([width, height]) * size / 2
    radius = (np.abs(unit / semi) ** exponent).sum(1) ** (-1 / exponent)
    points = unit * (radius * (1 + rough * rng.standard_normal(cuts)))[:, None]
    points[:, 0] *= 1 - rng.uniform(0, 0.22) * points[:, 1] / semi[1]
    return Outline(points + (size - 1) / 2 + rng.normal(0, 0.012, 2) * size, view)


def behind(rng: np.random.Generator, view: View, wall: float, wearer: float) -> Plane:
    """What is seen round the photograph: linear reflectance, height x width x RGB.

    Args:
        rng: stream of the surroundings.
        view: the picture's raster.
        wall: reflectance of the wall.
        wearer: how much the wearer's hair and clothes hide of it.
    """
    height, width = -(-view.height // 2), -(-view.width // 2)
    tint = 1 + 0.07 * rng.standard_normal(3)
    patches = cv2.resize(1 + 0.2 * rng.standard_normal((3, 4)), (width, height), interpolation=cv2.INTER_CUBIC)
    scene = np.asarray(wall * tint * np.clip(patches[..., None], 0.4, 1.5), np.float32)
    hair, clothes = _HAIR[rng.integers(len(_HAIR))], _CLOTHES[rng.integers(len(_CLOTHES))]
    off_x, off_y, wide, tall, drop = rng.uniform([-0.07, -0.08, 0.38, 0.36, 0.72], [0.07, 0.04, 0.56, 0.5, 0.92])
    blur = max(min(height, width) * float(rng.uniform(0.004, 0.025)), 0.4)
    head = (int(width * (0.5 + off_x)), int(height * (0.42 + off_y)))
    _lay(scene, head, (int(width * wide), int(height * tall)), hair, wearer, blur)
    _lay(scene, (head[0], int(height * (drop + 0.4))), (int(width * 0.85), int(height * 0.45)), clothes, wearer, blur)
    scene *= 1 + np.float32(0.07) * cv2.GaussianBlur(white(rng, (height, width)), (0, 0), 0.7)[..., None]
    return np.asarray(cv2.resize(scene, (view.width, view.height), interpolation=cv2.INTER_LINEAR), np.float32)


def _lay(scene: Plane, middle: tuple[int, int], axes: tuple[int, int], colour: Plane, strength: float, blur: float) -> None:
    """Lay a soft ellipse over the scene, in place."""
    mask = np.zeros(scene.shape[:2], np.uint8)
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    share = cv2.GaussianBlur(mask, (0, 0), blur).astype(np.float32) * np.float32(strength / 255)
    scene += share[..., None] * (colour - scene)


def shadow(line: Outline, darkness: float, blur: float, shift: float, angle: float) -> Plane:
    """Factor of the light behind the photograph, height x width.

    Args:
        line: the outline that throws the shadow.
        darkness: share of the light that the shadow takes.
        blur: its softness, standard deviation, shares of the shorter side.
        shift: how far it falls, shares.
        angle: where the lamp is, degrees; the shadow falls away from it.
    """
    short, lamp = line.view.short, np.radians(angle)
    mask = line.filled((-float(np.cos(lamp)) * shift * short, -float(np.sin(lamp)) * shift * short))
    soft = cv2.GaussianBlur(mask, (0, 0), max(blur * short, 0.3))
    return np.asarray(1 - soft.astype(np.float32) * np.float32(darkness / 255), np.float32)


def pasted(light: Plane, scene: Plane, line: Outline, rim: float, edge: Plane, angle: float, blur: float) -> Plane:
    """The photograph within its outline, the scene around it.

    Args:
        light: the whole photograph, height x width x RGB.
        scene: what is behind.
        line: the outline.
        rim: width of the paper's edge on the side of the light, px.
        edge: light of that edge, R, G, B.
        angle: where the lamp is, degrees.
        blur: standard deviation of the lens' blur, px.
    """
    lamp = np.radians(angle)
    outer = line.filled()
    inner = np.minimum(outer, line.filled((-float(np.cos(lamp)) * rim, -float(np.sin(lamp)) * rim)))
    around, printed = (blurred(mask.astype(np.float32) * np.float32(1 / 255), blur)[..., None] for mask in (outer, inner))
    out = scene + (light - scene) * printed
    out += (around - printed) * (edge - scene)
    return np.asarray(out, np.float32)
