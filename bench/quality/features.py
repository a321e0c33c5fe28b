"""What the light probe sees of a picture: band energies of its DCT, energies on a coarse grid, colour statistics.

The very same features are taken of the face and of a residual, so that a comparison of the two, or of one with both, compares
what they hold and not how they are described. Nothing here is learned.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
Floats = NDArray[np.float32]

BANDS = 16
"""Rings of the DCT plane, a constant ratio of radii apart."""

CELLS = 4
"""Cells of the grid, each way."""

_CHUNK = 64

# ITU-R BT.601, full range, as JPEG has it; chroma without its offset, so that residuals transform as pictures do.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


@cache
def dct_matrix(size: int) -> Floats:
    """Orthonormal DCT-II as a matrix (size, size): ``matrix @ signal``."""
    k, x = np.mgrid[:size, :size]
    matrix = np.cos(np.pi * k * (2 * x + 1) / (2 * size)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    out: Floats = matrix.astype(np.float32)
    return out


@cache
def rings(size: int) -> NDArray[np.int64]:
    """Ring 0..BANDS - 1 of every DCT coefficient (size, size) by its radius; the mean, coefficient (0, 0), has ``BANDS``."""
    radius: NDArray[np.float64] = np.hypot(*np.mgrid[:size, :size])
    edges = np.geomspace(1, radius.max(), BANDS + 1)[1:-1]
    ring = np.asarray(np.searchsorted(edges, radius, "right"), np.int64)
    ring[0, 0] = BANDS
    return ring


def features(pictures: Pictures) -> Floats:
    """Features (N, F) of a stack (N, H, H, 3) of RGB pictures in 0..255, or of residuals in -255..255.

    Of each: logarithm of the mean energy in each ring of the DCT, for Y, Cb and Cr; logarithm of the energy of luma's
    differences in each cell of a 4 x 4 grid, relative to the whole; mean, deviation, skewness and kurtosis of R, G, B, Y, Cb,
    Cr, chroma and value; the mean direction of hue.

    Ratios of a residual's energies to the picture's need no features of their own: a linear probe on both finds them as
    differences of logarithms.
    """
    parts = [_features(pictures[i : i + _CHUNK].astype(np.float32)) for i in range(0, len(pictures), _CHUNK)]
    return np.concatenate(parts).astype(np.float32)


def _features(pictures: Floats) -> Floats:
    ycbcr = _to_ycbcr(pictures)
    energy = np.log(_ring_means(np.square(_dct(ycbcr))) + 1e-2)
    parts = [energy.reshape(len(pictures), -1), _grid(ycbcr[:, 0])]
    parts += [_moments(channel) for channel in np.concatenate([np.moveaxis(pictures, -1, 1), ycbcr], 1).swapaxes(0, 1)]
    chroma, value, hue = _hsv(pictures)
    return np.concatenate([*parts, _moments(chroma), _moments(value), hue], 1)


def _to_ycbcr(pictures: Floats) -> Floats:
    """(N, H, W, 3) to (N, 3, H, W)."""
    return np.ascontiguousarray(np.moveaxis(pictures @ _YCBCR.T, -1, 1))


def _dct(planes: Floats) -> Floats:
    """DCT-II of (..., H, H)."""
    matrix = dct_matrix(planes.shape[-1])
    return np.asarray(matrix @ planes @ matrix.T, np.float32)


def _ring_means(planes: Floats) -> Floats:
    """Means (N, C, BANDS) over the rings of (N, C, H, H); a ring without a coefficient has 0."""
    size = planes.shape[-1]
    member = np.eye(BANDS + 1, dtype=np.float32)[rings(size).ravel()][:, :BANDS]
    out: Floats = planes.reshape(*planes.shape[:2], -1) @ (member / member.sum(0).clip(1))
    return out


def _grid(luma: Floats) -> Floats:
    """Logarithm of the energy of differences in each cell, less that of the whole: (N, CELLS * CELLS)."""
    count, height, width = luma.shape
    energy = np.zeros_like(luma)
    energy[:, 1:] += np.square(np.diff(luma, axis=1))
    energy[:, :, 1:] += np.square(np.diff(luma, axis=2))
    rows, columns = height // CELLS * CELLS, width // CELLS * CELLS
    cells = energy[:, :rows, :columns].reshape(count, CELLS, rows // CELLS, CELLS, columns // CELLS).mean((2, 4))
    whole = cells.mean((1, 2), keepdims=True)
    out: Floats = (np.log(cells + 1e-2) - np.log(whole + 1e-2)).reshape(count, -1)
    return out


def _moments(planes: Floats) -> Floats:
    """Mean, logarithm of deviation, skewness and logarithm of kurtosis (N, 4) of (N, H, W)."""
    flat = planes.reshape(len(planes), -1)
    mean = flat.mean(1, keepdims=True)
    centred = flat - mean
    square = np.square(centred)
    variance = square.mean(1) + np.float32(1e-3)
    skewness = (square * centred).mean(1) / variance**1.5
    kurtosis = np.square(square).mean(1) / np.square(variance)
    return np.stack([mean[:, 0], np.log(variance) / 2, skewness, np.log(kurtosis + 1e-2)], 1)


def _hsv(pictures: Floats) -> tuple[Floats, Floats, Floats]:
    """Chroma and value (N, H, W) of the hexcone model, and hue's mean direction (N, 2) weighted by chroma.

    Chroma (max - min) stands for saturation: the quotient by value has no meaning where value may be negative, as in residuals.
    """
    value = pictures.max(-1)
    chroma = value - pictures.min(-1)
    red, green, blue = np.moveaxis(pictures, -1, 0)
    across, along = red - (green + blue) / 2, (green - blue) * np.float32(np.sqrt(3) / 2)
    weight = chroma.mean((1, 2)) + 1e-3
    return chroma, value, np.stack([across.mean((1, 2)) / weight, along.mean((1, 2)) / weight], 1)
