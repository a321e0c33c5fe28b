"""A sheet before a camera: tilted, bent to a cylinder, folded, wavy. Where each px falls on it, and its light. Simulated.

Everything here is smooth, so it is computed on a grid of one node to 4 px and interpolated. Lengths are in shares of the
picture's shorter side, and the camera is `DISTANCE` of them away. A cylinder that turns by kappa over one unit has its point at
arc length s at sin(kappa s) / kappa to the side and (1 - cos(kappa s)) / kappa behind; the camera shrinks what is behind. That
is inverted by two steps of fixed-point iteration. Light: Lambert's law for the diffuse part; for gloss a Gaussian distribution
of slopes (P. Beckmann and A. Spizzichino, 1963) around the slope at which the sheet mirrors the lamp into the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from fasgen.stages.physical.tone import Plane

STEP = 4
DISTANCE = 3.0


@dataclass(frozen=True, slots=True)
class Pose:
    """How the instrument is held. Angles in degrees, lengths in shares of the shorter side."""

    tilt_x: float = 0.0
    tilt_y: float = 0.0
    bend: float = 0.0
    bend_axis: float = 90.0
    fold: float = 0.0
    fold_axis: float = 0.0
    fold_place: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether the instrument is parallel to the sensor, so that nothing moves."""
        return not (self.tilt_x or self.tilt_y or self.bend or self.fold)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The coarse grid: where its nodes are on the picture, on the sheet, and how the sheet leans there.

    Attributes:
        x: from the middle to the right, shares, as the camera sees it.
        y: from the middle downwards.
        u: the same on the sheet.
        v: the same on the sheet.
        slope_x: lean of the surface in x, tangent.
        slope_y: lean in y.
    """

    x: Plane
    y: Plane
    u: Plane
    v: Plane
    slope_x: Plane
    slope_y: Plane


@dataclass(frozen=True, slots=True)
class View:
    """The picture's raster."""

    height: int
    width: int

    @property
    def short(self) -> int:
        """Shorter side, px."""
        return min(self.height, self.width)

    @property
    def coarse(self) -> tuple[int, int]:
        """Nodes from top to bottom and from left to right, one beyond the border on each side."""
        return -(-self.height // STEP) + 2, -(-self.width // STEP) + 2

    def nodes(self) -> tuple[Plane, Plane]:
        """Places of the coarse nodes, in shares from the middle: x and y."""
        rows, columns = self.coarse
        y = ((np.arange(rows) - 0.5) * STEP - self.height / 2) / self.short
        x = ((np.arange(columns) - 0.5) * STEP - self.width / 2) / self.short
        wide = np.broadcast_to(x.astype(np.float32)[None, :], (rows, columns))
        return wide.copy(), np.broadcast_to(y.astype(np.float32)[:, None], (rows, columns)).copy()

    def fine(self, nodes: Plane) -> Plane:
        """A field of the coarse nodes at every px, interpolated linearly."""
        rows, columns = self.coarse
        large = cv2.resize(nodes, (columns * STEP, rows * STEP), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(large[STEP : STEP + self.height, STEP : STEP + self.width], np.float32)


def bent(view: View, pose: Pose) -> Nodes:
    """Trace the coarse nodes back to the sheet."""
    x, y = view.nodes()
    tan_x, tan_y = np.tan(np.radians(pose.tilt_x)), np.tan(np.radians(pose.tilt_y))
    # A plane z = tan_x u + tan_y v in front of a camera at DISTANCE: u = x (1 + z / DISTANCE), solved for z.
    depth = 1 / np.maximum(1 - (tan_x * x + tan_y * y) / DISTANCE, 0.2)
    cos_x, cos_y = np.cos(np.radians(pose.tilt_x)), np.cos(np.radians(pose.tilt_y))
    u, v = x * depth / np.float32(cos_x), y * depth / np.float32(cos_y)
    slope_x, slope_y = np.full_like(x, tan_x), np.full_like(y, tan_y)
    if pose.bend:
        along_x, along_y = np.cos(np.radians(pose.bend_axis)), np.sin(np.radians(pose.bend_axis))
        kappa = np.radians(pose.bend)
        across, along = -u * along_y + v * along_x, u * along_x + v * along_y
        nearer = np.ones_like(across)
        for _ in range(2):
            sine = np.clip(across * nearer * kappa, -0.98, 0.98)
            nearer = 1 + (1 - np.sqrt(1 - sine**2)) / kappa / DISTANCE
        sine = np.clip(across * nearer * kappa, -0.98, 0.98)
        arc, along = np.arcsin(sine) / kappa, along * nearer
        lean = sine / np.sqrt(1 - sine**2)
        u, v = along * along_x - arc * along_y, along * along_y + arc * along_x
        slope_x, slope_y = slope_x - lean * along_y, slope_y + lean * along_x
    if pose.fold:
        line_x, line_y = np.cos(np.radians(pose.fold_axis)), np.sin(np.radians(pose.fold_axis))
        half = np.radians(pose.fold) / 2
        off = -u * line_y + v * line_x - pose.fold_place
        stretch, lean = off * (1 / np.cos(half) - 1), np.tanh(off * 40) * np.tan(half)
        u, v = u - stretch * line_y, v + stretch * line_x
        slope_x, slope_y = slope_x - lean * line_y, slope_y + lean * line_x
    return Nodes(x, y, *(np.asarray(each, np.float32) for each in (u, v, slope_x, slope_y)))


class Surface:
    """What the camera looks at: a flat picture laid on a sheet, or on a display's glass."""

    def __init__(self, view: View, pose: Pose) -> None:
        self.view = view
        self.nodes = bent(view, pose)
        self._flat = pose.flat

    @cached_property
    def places(self) -> tuple[Plane, Plane]:
        """Where every px falls on the picture: x and y, px from the middle of its first pixel."""
        places, zoom = [], 1.0
        for nodes, side in ((self.nodes.u, self.view.width), (self.nodes.v, self.view.height)):
            place = self.view.fine(nodes * np.float32(self.view.short))
            border = max(float(np.abs(edge).max()) for edge in (place[0], place[-1], place[:, 0], place[:, -1]))
            places.append(place)
            zoom = min(zoom, (side - 1) / 2 / border)
        # The camera stands where the picture fills its view, so that nothing from beyond its border is needed.
        x, y = (place * np.float32(zoom) for place in places)
        x += np.float32((self.view.width - 1) / 2)
        y += np.float32((self.view.height - 1) / 2)
        return x, y

    def carried(self, plane: Plane) -> Plane:
        """A field over the picture as the camera sees it."""
        if self._flat:
            return plane
        x, y = self.places
        return np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.float32)


def waves(rng: np.random.Generator, shape: tuple[int, int], slope: float) -> tuple[Plane, Plane]:
    """Random slopes in x and y of a sheet with gentle waves, standard deviation ``slope``."""
    coarse = rng.standard_normal((5, 5, 2), np.float32) * np.float32(slope)
    fine = np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
    return fine[..., 0], fine[..., 1]


def diffuse(nodes: Nodes, angle: float, strength: float) -> Plane:
    """Light that falls on each node, 1 in the middle of a flat sheet: Lambert's cosine and the fall with the distance."""
    lamp_x, lamp_y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    # The stronger the fall, the lower the lamp stands beside the sheet.
    low = np.float32(0.3 + strength)
    length = np.sqrt(1 + nodes.slope_x**2 + nodes.slope_y**2)
    cosine = np.maximum(1 - low * (nodes.slope_x * lamp_x + nodes.slope_y * lamp_y), 0.05) / length
    near = 1 + np.float32(strength) * (nodes.x * lamp_x + nodes.y * lamp_y)
    return np.asarray(cosine * near, np.float32)


def gloss(nodes: Nodes, x: float, y: float, size: float) -> Plane:
    """Mirrored lamp at each node, 1 where the sheet mirrors it best.

    Args:
        nodes: the sheet.
        x: where a flat sheet would show the highlight, shares from the middle.
        y: the same downwards.
        size: standard deviation of the highlight on a flat sheet, shares.
    """
    fall = 1 / (2 * DISTANCE)
    across = nodes.slope_x + (nodes.x - np.float32(x)) * np.float32(fall)
    down = nodes.slope_y + (nodes.y - np.float32(y)) * np.float32(fall)
    across, down = across - np.float32(nodes.slope_x.mean()), down - np.float32(nodes.slope_y.mean())
    return np.asarray(np.exp(-(across**2 + down**2) / np.float32(2 * (size * fall) ** 2)), np.float32)
