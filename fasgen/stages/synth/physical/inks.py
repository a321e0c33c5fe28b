"""Four process inks: what a printer can show of a colour. A simulated gamut, not a profile of any printer.

An ink of coverage a lets the light of colour channel j pass as 1 - a alpha_j, alpha_j being its absorption where it is solid; inks
printed over each other multiply (Demichel's equations for independent screens, with Neugebauer primaries that are the products of
their inks). Ideal block dyes absorb one channel each; real ones absorb some of the others too (cyan most of all), which is why greens
and blues come out duller. Greys stay grey: for every grey the three coverages that print it are solved for, as a printer's
calibration does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fasgen.stages.synth.physical.tone import Plane

_BLOCK = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float64)
_PROCESS = np.array([[0.98, 0.66, 0.27], [0.22, 0.97, 0.79], [0.02, 0.16, 0.97], [0.985, 0.986, 0.987]], np.float64)
BLACK_SHARE = 0.7
"""How much of a colour's grey part black ink takes over at most."""
_NODES = 1024


def absorption(gamut: float) -> NDArray[np.float64]:
    """Absorption of solid cyan, magenta, yellow, black (rows) in R, G, B (columns), from block dyes (0) to process inks (1)."""
    return _BLOCK + gamut * (_PROCESS - _BLOCK)


def grey_curves(alpha: NDArray[np.float64]) -> Plane:
    """Coverages of cyan, magenta and yellow that print a grey, 3 x 1024, over the square root of its reflectance.

    Solved by cyclic substitution: each ink in turn is set so that its own channel comes out right with the two others as they are.
    """
    grey = np.linspace(0, 1, _NODES) ** 2
    inks = np.repeat(1 - grey[None, :], 3, 0)
    for _ in range(12):
        for own in range(3):
            first, second = (other for other in range(3) if other != own)
            passed = (1 - inks[first] * alpha[first, own]) * (1 - inks[second] * alpha[second, own])
            inks[own] = np.clip((1 - grey / np.maximum(passed, 1e-6)) / alpha[own, own], 0, 1)
    return inks.astype(np.float32)


def separate(light: Plane, gamut: float, dot_gain: float, limit: float) -> Plane:
    """Coverages of the four inks.

    Args:
        light: linear reflectance wanted, height x width x RGB, [0, 1].
        gamut: 0 for block dyes, 1 for process inks.
        dot_gain: what a dot of one half gains; a + 4 gain a (1 - a).
        limit: highest sum of the coverages.

    Returns:
        height x width x CMYK, [0, 1].
    """
    alpha = absorption(gamut)
    curves = grey_curves(alpha)
    out = np.empty((*light.shape[:2], 4), np.float32)
    highest = light.max(2)
    black = (1 - highest) ** 2 * np.float32(BLACK_SHARE)
    out[..., 3] = black
    for channel in range(3):
        rest = light[..., channel] / (1 - black * np.float32(alpha[3, channel]))
        np.sqrt(rest, out=rest)
        rest *= _NODES - 1
        rest += 0.5
        out[..., channel] = np.take(curves[channel], rest.astype(np.int32), mode="clip")
    if dot_gain:
        out += np.float32(4 * dot_gain) * out * (1 - out)
    if limit < 4:
        colour = out[..., 0] + out[..., 1] + out[..., 2]
        scale = np.minimum(1, (np.float32(limit) - out[..., 3]) / np.maximum(colour, np.float32(1e-6)))
        out[..., :3] *= scale[..., None]
    return np.clip(out, 0, 1, out=out)


def printed(inks: list[Plane], gamut: float) -> Plane:
    """Reflectance of paper under four coverages, height x width x RGB; white paper has 1."""
    alpha = absorption(gamut).astype(np.float32)
    out = np.empty((*inks[0].shape, 3), np.float32)
    term = np.empty_like(inks[0])
    for channel in range(3):
        light = np.subtract(1, inks[0] * alpha[0, channel])
        for ink in (1, 2, 3):
            if alpha[ink, channel]:
                np.multiply(inks[ink], -alpha[ink, channel], out=term)
                term += 1
                light *= term
        out[..., channel] = light
    return out
