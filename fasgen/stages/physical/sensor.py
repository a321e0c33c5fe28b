"""The camera's colour filter array: where on a px of the picture each colour is sampled. Simulated.

A px of the picture is one Bayer quad (B. E. Bayer, US patent 3971065): red, two greens and blue side by side, each a square
sensor pixel of half the px's side. What is coarser than the quad is the same for all four. A structure as fine as the quad
meets each site at another phase: the colours alias differently, which is why moire on a screen is magenta and green.
"""

from __future__ import annotations

from typing import NamedTuple

PIXEL = 0.5
"""Side of a sensor pixel, px of the picture."""


class Site(NamedTuple):
    """One pixel of the quad: its channel (0 red, 1 green, 2 blue) and its middle from the quad's middle, px of the picture."""

    channel: int
    x: float
    y: float


QUAD = (Site(0, -0.25, -0.25), Site(1, 0.25, -0.25), Site(1, -0.25, 0.25), Site(2, 0.25, 0.25))

WEIGHT = (1.0, 0.5, 1.0)
"""Weight of a site of each channel in the channel's value: there are two greens."""
