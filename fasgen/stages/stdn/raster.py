"""Triangles over pixels: which is nearest to the camera at each, and what is interpolated linearly over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_EDGE = 1e-9
"""How far beyond an edge, of its height, a pixel still belongs to a triangle: none is lost between two."""


class Cover(NamedTuple):
    """The pixels that triangles cover, N of them.

    Attributes:
        pixels: (N,) numbers of pixels, row by row; each once.
        corners: (N, 3) points of the triangle that is seen there.
        shares: (N, 3) of each of them in what is seen.
    """

    pixels: Indices
    corners: Indices
    shares: Floats

    def of(self, values: Floats) -> Floats:
        """Values of the points, (P, ...), at the pixels: (N, ...)."""
        first, second, third = (self.shares[:, k] for k in range(3))
        a, b, c = (values[self.corners[:, k]].T for k in range(3))
        return np.asarray((first * a + second * b + third * c).T)


def cover(points: Floats, triangles: Indices, depth: Floats, height: int, width: int) -> Cover:
    """What is seen of triangles in a picture: at each pixel the nearest one.

    Args:
        points: (P, 2) x, y in px; they may lie outside.
        triangles: (T, 3) numbers of points.
        depth: (P,), smaller nearer to the camera.
        height: of the picture, px.
        width: of the picture, px.
    """
    corners = points[triangles]
    sides = corners[:, 1:] - corners[:, :1]
    whole = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    low = np.maximum(np.ceil(corners.min(1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1)), (width - 1, height - 1)).astype(np.int64)
    columns, rows = np.clip(high - low + 1, 0, None).T
    count = np.where(whole == 0, 0, columns * rows)
    # The pixels of each triangle's box, one after the other, from its first corner.
    owner = np.repeat(np.arange(len(triangles)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    down = place // columns[owner]
    right = place - down * columns[owner]
    start = low - corners[:, 0]
    turned = np.stack([sides[:, ::-1, 1], -sides[:, ::-1, 0]], 1) * [1, -1] / np.where(whole == 0, 1, whole)[:, None, None]
    first = (start[:, :, None] * turned).sum(1)
    second, third = (first[owner, k] + right * turned[owner, 0, k] + down * turned[owner, 1, k] for k in range(2))
    inside = np.flatnonzero((second >= -_EDGE) & (third >= -_EDGE) & (second + third <= 1 + _EDGE))
    owner, second, third = owner[inside], second[inside], third[inside]
    pixels = (down[inside] + low[owner, 1]) * width + right[inside] + low[owner, 0]
    found = Cover(pixels, triangles[owner], np.column_stack([1 - second - third, second, third]))
    # Of several assignments to one pixel the last one stands.
    order = np.argsort(-found.of(depth), kind="stable")
    seen = np.full(height * width, -1)
    seen[found.pixels[order]] = order
    pixels = np.flatnonzero(seen >= 0)
    kept = seen[pixels]
    return Cover(pixels, found.corners[kept], found.shares[kept])
