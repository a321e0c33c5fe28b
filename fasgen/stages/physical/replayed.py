"""A display before the camera: the chain of video, pixels, glass and rolling shutter. Simulated."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fasgen.stages.physical import sheet
from fasgen.stages.physical.banding import bands
from fasgen.stages.physical.display import emitted, shown
from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.randomness import stream
from fasgen.stages.physical.reflection import mirrored
from fasgen.stages.physical.subpixels import CELL, STEPS, grid
from fasgen.stages.physical.tone import Plane, blurred
from fasgen.stages.stage import RGB


def filmed_display(image: RGB, view: sheet.View, p: Mapping[str, float], layout: str) -> Plane:
    """Light that a display showing ``image`` sends to the sensor.

    Args:
        image: height x width x RGB.
        view: its raster.
        p: parameters named as in ``DisplayConfig``; ``defocus``; ``texture``.
        layout: ``stripe`` or ``pentile``.

    Returns:
        linear light, height x width x RGB; a white display has about 1.
    """
    texture = int(p["texture"])
    surface = sheet.Surface(view, sheet.Pose(tilt_x=p["tilt_x"], tilt_y=p["tilt_y"]))
    pixels = emitted(
        shown(image, p["pitch"] if p["grid"] else 0, p["softness"], int(p["video_quality"])),
        p["display_gamma"],
        p["temperature"],
        p["saturation"],
        p["leak"],
    )
    if p["bezel"]:
        strip = round(p["bezel"] * view.short)
        np.rot90(pixels, min(int(p["bezel_side"] * 4), 3))[:, :strip] = 0.004
    light = surface.carried(blurred(pixels, p["defocus"]))
    if p["grid"]:
        first, second = stream(texture, "grid").random(2)
        lattice = Lattice(p["pitch"] * CELL[layout], float(np.radians(p["turn"])), (float(first), float(second)), STEPS[layout])
        factors = grid(*surface.places, layout, lattice, p["grid"], p["defocus"])
        light = np.asarray(cv2.multiply(light, cv2.merge(factors)), np.float32)
    _through_glass(light, surface.nodes, view, p, texture)
    return light


def _through_glass(light: Plane, nodes: sheet.Nodes, view: sheet.View, p: Mapping[str, float], texture: int) -> None:
    """Viewing angle, backlight and what the glass adds, in place."""
    far = 0.5 + nodes.x * np.float32(np.cos(np.radians(p["falloff_angle"])))
    far += nodes.y * np.float32(np.sin(np.radians(p["falloff_angle"])))
    np.clip(far, 0, 1, out=far)
    added = np.full_like(far, p["ambient"])
    if p["wash"]:
        added += far * np.float32(p["wash"] * 0.5)
    if p["reflection"]:
        x, y = ((p[f"reflection_{axis}"] - 0.5) * side / view.short for axis, side in (("x", view.width), ("y", view.height)))
        size, blur, angle = p["reflection_size"], p["reflection_blur"], p["reflection_angle"]
        shape = mirrored(stream(texture, "reflection"), nodes, x=x, y=y, size=size, blur=blur, angle=angle)
        added += shape * np.float32(p["reflection"])
    factor = None
    if p["falloff"] or p["wash"]:
        factor = view.fine(1 - far * np.float32(p["falloff"]) - far * np.float32(p["wash"] * 0.5))
    if p["band"]:
        rows = bands(
            light.shape[0],
            depth=p["band"],
            count=p["band_count"],
            duty=p["band_duty"],
            opened=p["band_open"],
            phase=p["band_phase"],
        )[:, None]
        factor = np.broadcast_to(rows, light.shape[:2]) if factor is None else factor * rows
    if factor is not None:
        light *= factor[..., None]
    if added.any():
        light += view.fine(added)[..., None]
