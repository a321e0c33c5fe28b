"""From one face's geometry to another's (STDN+): landmarks, a triangulation, a dense offset, bilinear sampling.

Sampling needs the backward map: for each pixel of the target face, where to read in the source. So the *target's* points are
triangulated, with values ``source - target``; Eqs. 15 and 16 print the other direction.

A face mesh brings its triangles with it, which are true to the face where a turned head hides a part of it: what is seen of the
target, its nearest triangle, says where to read. Around it, and where the source hides what the target shows, the offset goes
on smoothly, down to none at the border.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.stages.facemesh.topology import five, topology
from fasgen.stages.stdn.raster import cover
from fasgen.stages.stdn.spread import spread

Points = NDArray[np.float64]
FIVE = 5

QUARTERS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_NEAR = 1e-3
"""Px; points nearer to another are left out."""
_LEAST = 0.25
"""Area in the source of what is seen in the target, of its area there, below which it is not read: the source hides it, or
shows it from the side, and few of its pixels would be smeared over many."""


def anchors(height: int, width: int) -> Points:
    """The 16 points of the border that stay where they are: corners first, then quarter points, (16, 2) x, y in px."""
    x, y = QUARTERS * (width - 1), QUARTERS * (height - 1)
    corners = [(x[0], y[0]), (x[-1], y[0]), (x[-1], y[-1]), (x[0], y[-1])]
    level = [(value, edge) for edge in (y[0], y[-1]) for value in x[1:-1]]
    upright = [(edge, value) for edge in (x[0], x[-1]) for value in y[1:-1]]
    return np.array(corners + level + upright)


def delaunay(points: Points) -> NDArray[np.int64]:
    """Delaunay's triangulation by inserting point after point (Bowyer 1981, Watson 1981).

    Points on one circle, as those of a border are, would leave a choice; each point's height on the paraboloid is therefore
    raised by less than 1e-9 of the side, differently for each, which decides it the same way everywhere.

    Args:
        points: (N, 2); the first four are the corners of a rectangle that holds all others, in order round it.

    Returns:
        (T, 3) indices; the triangles cover the rectangle and do not overlap.
    """
    shifted = points - points[0]
    side = np.abs(shifted).max()
    p = shifted / side
    lift = (p * p).sum(1) + 1e-9 * ((np.arange(len(p)) * 0.6180339887498949) % 1.0)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    for new in range(4, len(p)):
        a, b, c = (triangles[:, k] for k in range(3))
        bad = _above(p, lift, a, b, c, new) * np.sign(_area(p, a, b, c)) < 0
        hole = triangles[bad]
        edges = np.concatenate([hole[:, [0, 1]], hole[:, [1, 2]], hole[:, [2, 0]]])
        _, first, count = np.unique(edges.min(1) * len(p) + edges.max(1), return_index=True, return_counts=True)
        rim = edges[first[count == 1]]
        fan = np.column_stack([rim, np.full(len(rim), new)])
        fan = fan[np.abs(_area(p, fan[:, 0], fan[:, 1], fan[:, 2])) > 1e-12]
        triangles = np.concatenate([triangles[~bad], fan])
    return triangles


def _area(p: Points, a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.float64]:
    """Twice the signed area of triangles."""
    u, v = p[b] - p[a], p[c] - p[a]
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _above(
    p: Points, lift: NDArray[np.float64], a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64], new: int
) -> NDArray[np.float64]:
    """Volume under the lifted point ``new`` over the planes of the lifted triangles: of the triangle's sign if it is above."""
    u, v, w = (np.column_stack([p[k] - p[a], lift[k] - lift[a]]) for k in (b, c, np.full(len(a), new)))
    return np.asarray((np.cross(u, v) * w).sum(1))


def backward_offset(source: Points, target: Points, height: int, width: int) -> NDArray[np.float32]:
    """Where each pixel of the target reads in the source, less where it lies itself: piecewise linear over triangles.

    Args:
        source: landmarks of the face that is read, x, y in px: a mesh (468, 3), or any (N, 2).
        target: the same landmarks of the face that is made; points outside of the image are left out. Where one of both is a
            mesh and the other the five points of align, five are taken of both.
        height: of both, px.
        width: of both, px.

    Returns:
        (2, height, width): x and y offset, px; exactly 0 where the points agree, and on the border where no mesh reaches it.
    """
    if len(source) != len(target):
        source, target = (points if len(points) == FIVE else five(points) for points in (source, target))
    if target.shape[1] > 2:
        return _mesh_offset(source, target, height, width)
    border = anchors(height, width)
    inside = ((target > 0) & (target < (width - 1, height - 1)) & np.isfinite(target) & np.isfinite(source)).all(1)
    kept: list[int] = []
    for index in np.flatnonzero(inside):
        others = np.concatenate([border, target[kept]])
        if (np.abs(others - target[index]).max(1) > _NEAR).all():
            kept.append(int(index))
    values = np.concatenate([np.zeros_like(border), source[kept] - target[kept]])
    out = np.zeros((2, height, width), np.float32)
    if not kept or not values.any():
        return out
    points = np.concatenate([border, target[kept]])
    seen = cover(points, delaunay(points), np.zeros(len(points)), height, width)
    out.reshape(2, -1)[:, seen.pixels] = seen.of(values).T
    return out


def _mesh_offset(source: Points, target: Points, height: int, width: int) -> NDArray[np.float32]:
    """`backward_offset` of meshes."""
    moved = source[:, :2] - target[:, :2]
    if not moved.any():
        return np.zeros((2, height, width), np.float32)
    seen = cover(target[:, :2], topology().triangles, target[:, 2], height, width)
    there, here = (_area(points[:, :2], *seen.corners.T) for points in (source, target))
    read = there / here >= _LEAST
    out, known = np.zeros((2, height * width)), np.zeros(height * width, np.bool_)
    out[:, seen.pixels[read]] = seen.of(moved)[read].T
    known[seen.pixels[read]] = True
    return spread(out.reshape(2, height, width), known.reshape(height, width)).astype(np.float32)


def warp(x: Tensor, offset: Tensor) -> Tensor:
    """Bilinear sampling at each pixel's own place plus ``offset``; beyond the border, the border.

    Where offsets are whole numbers, values are copied bit for bit, so that no offset is no change.

    Args:
        x: (B, C, H, W).
        offset: (B, 2, H, W), px.
    """
    count, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=x.device, dtype=torch.float32)
    place_x = (columns + offset[:, 0].float()).clamp(0, width - 1)
    place_y = (rows + offset[:, 1].float()).clamp(0, height - 1)
    left, top = place_x.floor(), place_y.floor()
    share_x, share_y = (place_x - left)[:, None].to(x.dtype), (place_y - top)[:, None].to(x.dtype)
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    flat = x.reshape(count, channels, height * width)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).reshape(count, 1, -1).expand(-1, channels, -1)
        return flat.gather(2, index).reshape(count, channels, height, width)

    upper = at(top, left) * (1 - share_x) + at(top, right) * share_x
    lower = at(bottom, left) * (1 - share_x) + at(bottom, right) * share_x
    return upper * (1 - share_y) + lower * share_y


def offsets(sources: Sequence[Points], targets: Sequence[Points], height: int, width: int) -> Tensor:
    """`backward_offset` of pairs of faces: (B, 2, height, width)."""
    pairs = zip(sources, targets, strict=True)
    return torch.from_numpy(np.stack([backward_offset(source, target, height, width) for source, target in pairs]))
