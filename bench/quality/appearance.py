"""How attacks look beside live faces of the same people: light, colours, contrast, detail, raster; real and simulated.

The ranges of the simulation's ``MEASURED`` styles (`fasgen.stages.physical.config`) are set by these statistics.
Real attacks are compared with the live faces of the same person, mean with mean, so that the place where both were taken counts
and the person does not; a simulated one with the very face that it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.quality.live import live_faces
from bench.quality.strangers import Strangers, strangers
from fasgen.seeds import sample_seed
from fasgen.stages.physical.config import STYLES, PhysicalConfig
from fasgen.stages.physical.simulate import simulate
from fasgen.stages.physical.tone import decode

Images = NDArray[np.uint8]
Values = NDArray[np.float64]

TRAITS = ("light", "red", "blue", "colour", "black", "white", "contrast", "middle", "fine", "raster", "coloured raster")
"""What is measured of a crop, in order:

* light: of the mean of linear luminance; red, blue: of the means of these against green; contrast, middle, fine: of the
  standard deviation of the logarithm of luminance, blurred by 11 px, between 2.8 and 5.6, finer than 0.7: octaves (stops);
* colour: mean distance of the largest from the smallest channel, share of the mean level;
* black, white: levels of luminance that 2 % lie below or above, [0, 1];
* raster, coloured raster: highest peak of the spectrum over the median of its ring, octaves, of luminance, of red less green.
"""

COUNT = 140
"""Live faces of strangers that are spoofed in each style."""

QUANTILES = (5, 50, 95)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLOOR = 0.02


def traits(images: Images) -> Values:
    """``TRAITS`` (N, T) of crops (N, H, W, 3), of their middle: seven tenths of the height and of the width."""
    height, width = images.shape[1:3]
    top, left = round(0.15 * height), round(0.15 * width)
    return np.array([_traits(one[top : height - top, left : width - left]) for one in images])


def _traits(image: Images) -> list[float]:
    light = decode(image).reshape(-1, 3).mean(0)
    levels = image.reshape(-1, 3).astype(np.float32) / 255
    luma = image.astype(np.float32) @ _LUMA / 255
    depth = np.log2(luma + _FLOOR)
    blurred = {sigma: cv2.GaussianBlur(depth, (0, 0), sigma) for sigma in (0.7, 2.8, 5.6, 11.2)}
    detail = (blurred[11.2], blurred[2.8] - blurred[5.6], depth - blurred[0.7])
    opponent = image[..., 0].astype(np.float32) - image[..., 1].astype(np.float32)
    return [
        _octaves(light @ _LUMA),
        _octaves(light[0]) - _octaves(light[1]),
        _octaves(light[2]) - _octaves(light[1]),
        float((levels.max(1) - levels.min(1)).mean() / max(levels.mean(), 1e-3)),
        *np.percentile(luma, (2, 98)).tolist(),
        *(_octaves(part.std()) for part in detail),
        raster(luma),
        raster(opponent / 255),
    ]


def raster(plane: NDArray[np.float32]) -> float:
    """Octaves by which the highest peak of the spectrum (H, W), from 0.12 periods a px on, stands over the median of its ring.

    What lies along the axes is left out: edges of blocks and of the picture itself stand there.
    """
    high = plane - cv2.GaussianBlur(plane, (0, 0), 3)
    window = np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))
    power = np.fft.fftshift(np.abs(np.fft.fft2(high * window)) ** 2)
    # Neighbours are averaged: of so many frequencies of noise alone, some one stands high.
    power = cv2.GaussianBlur(power, (0, 0), 0.8)
    y = np.fft.fftshift(np.fft.fftfreq(plane.shape[0]))[:, None]
    x = np.fft.fftshift(np.fft.fftfreq(plane.shape[1]))[None, :]
    radius = np.hypot(y, x)
    ring = np.rint(radius * min(plane.shape) / 4).astype(int)
    median = np.array([np.median(power[ring == k]) if (ring == k).any() else 1.0 for k in range(ring.max() + 1)])
    wanted = (radius > 0.12) & (radius < 0.5) & (np.abs(y) > 0.03) & (np.abs(x) > 0.03)
    ratio = power / np.maximum(median[ring], 1e-9)
    return _octaves(ratio[wanted].max())


def by_person(values: Values, faces: Strangers, chosen: NDArray[np.bool_]) -> Values:
    """Mean of a person's attacks less the mean of the live faces, (people, T); people with both, of the faces chosen."""
    found = []
    for person in np.unique(faces.people[chosen]):
        own = faces.people == person
        attacks, live = values[own & faces.spoof], values[own & ~faces.spoof]
        if len(attacks) and len(live):
            found.append(attacks.mean(0) - live.mean(0))
    return np.array(found)


def measure(data: Path, out: Path, config: PhysicalConfig, device: str = "cpu") -> dict[str, Any]:
    """Quantiles of what attacks change, write ``appearance.json`` to ``out``, and return them.

    Args:
        data: folder of the data sets.
        out: folder to write to; it holds crops.
        config: ranges of the simulation.
        device: torch's name of the device that cuts the crops.

    Raises:
        SourceError: a data set is missing.
    """
    faces = strangers(data, out, device)
    real = traits(faces.images)
    changes = {f"attacks, {name}": by_person(real, faces, faces.sets == name) for name in np.unique(faces.sets).tolist()}
    found = live_faces("wild", data, out, subjects=(), limit=COUNT)
    before = traits(found.crops)
    for name in STYLES:
        pairs = zip(found.crops, found.names, strict=True)
        made = [simulate(one, name, sample_seed(0, name, who), config).image for one, who in pairs]
        changes[name] = traits(np.stack(made)) - before
    report = {
        name: dict(zip(TRAITS, np.percentile(change, QUANTILES, axis=0).T.tolist(), strict=True))
        for name, change in changes.items()
    }
    (out / "appearance.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def text(report: Mapping[str, Mapping[str, Any]]) -> str:
    """The report as a Markdown table: lowest, median and highest (5, 50, 95 %) change of every trait."""
    return "\n".join(_lines(report))


def _lines(report: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"| change by | {' | '.join(TRAITS)} |"
    yield f"| --- |{' --- |' * len(TRAITS)}"
    for name, row in report.items():
        cells = [f"{row[trait][1]:+.2f} ({row[trait][0]:+.2f} to {row[trait][2]:+.2f})" for trait in TRAITS]
        yield f"| {name} | {' | '.join(cells)} |"


def _octaves(value: float) -> float:
    return float(np.log2(max(value, 1e-6)))
