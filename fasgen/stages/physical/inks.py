"""Four process inks: what a printer can show of a colour. A simulated gamut, not a profile of any printer.

An ink of coverage a lets light of channel j pass as 1 - a alpha_j, alpha_j being its absorption where it is solid; inks printed
over each other multiply (Demichel's equations for independent screens, with Neugebauer primaries that are the products of their
inks). Ideal block dyes absorb one channel each; real ones absorb some of the others too, cyan most of all, which is why greens
and blues come out duller. Greys stay grey: for every grey the three coverages that print it are solved for, as a printer's
calibration does; what an ink of the three spreads more or less than it was calibrated for tints them (the midtone spread of
ISO 12647).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.stages.physical.tone import Plane

_BLOCK = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float64)
_PROCESS = np.array([[0.98, 0.66, 0.27], [0.22, 0.97, 0.79], [0.02, 0.16, 0.97], [0.985, 0.986, 0.987]], np.float64)
BLACK_SHARE = 0.7
"""How much of a colour's grey part black ink takes over at most."""
_NODES = 1024
_GAMUTS = 32


def absorption(gamut: float) -> NDArray[np.float64]:
    """Absorption of solid cyan, magenta, yellow, black (rows) in R, G, B (columns): block dyes at 0, process inks at 1."""
    return _BLOCK + gamut * (_PROCESS - _BLOCK)


def grey_curves(gamut: float) -> Plane:
    """Coverages of cyan, magenta and yellow that print a grey, 3 x 1024, over the square root of its reflectance.

    Solved at multiples of 1/32 of ``gamut`` and interpolated between them.
    """
    step = int(gamut * _GAMUTS)
    share = np.float32(gamut * _GAMUTS - step)
    return _solved(step) if not share else (1 - share) * _solved(step) + share * _solved(step + 1)


@cache
def _solved(step: int) -> Plane:
    """Cyclic substitution: each ink in turn is set so that its own channel comes out right with the others as they are."""
    alpha = absorption(step / _GAMUTS)
    grey = np.linspace(0, 1, _NODES) ** 2
    inks = np.repeat(1 - grey[None, :], 3, 0)
    for _ in range(30):
        for own in range(3):
            first, second = (other for other in range(3) if other != own)
            light = (1 - inks[first] * alpha[first, own]) * (1 - inks[second] * alpha[second, own])
            inks[own] = np.clip((1 - grey / np.maximum(light, 1e-6)) / alpha[own, own], 0, 1)
    return inks.astype(np.float32)


def separate(
    light: Plane, gamut: float, dot_gain: float, limit: float, casts: Sequence[float] = (0.0, 0.0, 0.0)
) -> list[Plane]:
    """Coverages of cyan, magenta, yellow and black, [0, 1].

    Args:
        light: linear reflectance wanted, height x width x RGB, [0, 1].
        gamut: 0 for block dyes, 1 for process inks.
        dot_gain: what a dot of one half gains, 0 to 0.25: a + 4 gain a (1 - a).
        limit: highest sum of the coverages.
        casts: what a dot of one half of cyan, magenta and yellow gains beyond that; the sum is kept within 0.25 of 0.
    """
    alpha = absorption(gamut)
    curves = grey_curves(gamut)
    wanted = [np.asarray(plane, np.float32) for plane in cv2.split(light)]
    lack = 1 - np.maximum(np.maximum(wanted[0], wanted[1]), wanted[2])
    black = lack * lack * np.float32(BLACK_SHARE)
    inks = []
    for channel, plane in enumerate(wanted):
        rest = plane / (1 - black * np.float32(alpha[3, channel]))
        np.sqrt(rest, out=rest)
        rest *= _NODES - 1
        rest += 0.5
        inks.append(np.take(curves[channel], rest.astype(np.int32), mode="clip"))
    inks.append(black)
    for ink, cast in zip(inks, (*casts, 0.0), strict=True):
        # Beyond a quarter the curve would leave [0, 1].
        if gain := min(max(dot_gain + cast, -0.25), 0.25):
            ink += np.float32(4 * gain) * ink * (1 - ink)
    if limit < 4:
        colour = inks[0] + inks[1] + inks[2]
        scale = np.minimum(1, (np.float32(limit) - inks[3]) / np.maximum(colour, np.float32(1e-6)))
        for ink in inks[:3]:
            ink *= scale
    return inks


def passed(inks: Sequence[Plane], absorbed: NDArray[np.float64]) -> Plane:
    """Light of one channel that coverages of the four inks let pass; ``absorbed`` is a column of `absorption`."""
    light = np.multiply(inks[0], np.float32(-absorbed[0]))
    light += 1
    for ink, share in zip(inks[1:], absorbed[1:], strict=True):
        if share:
            term = np.multiply(ink, np.float32(-share))
            term += 1
            light *= term
    return light


def printed(inks: Sequence[Plane], gamut: float) -> Plane:
    """Reflectance of white paper under the four coverages, height x width x RGB."""
    alpha = absorption(gamut)
    return np.asarray(cv2.merge([passed(inks, alpha[:, channel]) for channel in range(3)]), np.float32)
