"""A printed photograph before the camera: the chain of inks, paper, sheet and light. Simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import hypot

import cv2
import numpy as np

from fasgen.stages.physical import cut, paper, sheet
from fasgen.stages.physical.inks import absorption, passed, printed, separate
from fasgen.stages.physical.lattice import Lattice
from fasgen.stages.physical.randomness import stream
from fasgen.stages.physical.screen import ANGLES, STEPS, Screen
from fasgen.stages.physical.sensor import QUAD
from fasgen.stages.physical.tone import Plane, blurred, decode
from fasgen.stages.stage import RGB


def photographed_print(image: RGB, view: sheet.View, p: Mapping[str, float], cut_out: bool) -> Plane:
    """Light that a print of ``image`` sends to the sensor.

    Args:
        image: height x width x RGB.
        view: its raster.
        p: parameters named as in ``PaperConfig``, and ``CutConfig`` if cut out; ``defocus``; ``texture``.
        cut_out: whether the photograph is cut out.

    Returns:
        linear light, height x width x RGB; evenly lit paper has about 1.
    """
    texture = int(p["texture"])
    surface = sheet.Surface(view, sheet.Pose(**{name: p[name] for name in sheet.Pose.__dataclass_fields__}))
    light = _reflectance(image, surface, p, texture)
    white = paper.paper_white(p["paper_tint"])
    haze = p["haze"]
    if haze or p["paper_tint"]:
        light = cv2.transform(light, np.column_stack([np.diag(white * (1 - haze)), white * haze]))
    nodes = surface.nodes
    if p["waviness"]:
        wave_x, wave_y = sheet.waves(stream(texture, "waves"), nodes.x.shape, p["waviness"])
        nodes = replace(nodes, slope_x=nodes.slope_x + wave_x, slope_y=nodes.slope_y + wave_y)
    factor = view.fine(sheet.diffuse(nodes, p["light_angle"], p["shade"]))
    if p["paper_texture"]:
        factor *= paper.fibres(stream(texture, "paper"), factor.shape, p["paper_texture"])
    light *= factor[..., None]
    if p["glare"]:
        x, y = ((p["glare_x"] - 0.5) * view.width / view.short, (p["glare_y"] - 0.5) * view.height / view.short)
        light += view.fine(sheet.gloss(nodes, x, y, p["glare_size"]) * np.float32(p["glare"]))[..., None]
    return _cut_out(light, view, p, texture, white) if cut_out else np.asarray(light, np.float32)


def _reflectance(image: RGB, surface: sheet.Surface, p: Mapping[str, float], texture: int) -> Plane:
    """What inks leave of white light at every px."""
    wanted, casts = decode(image, p["print_gamma"]), (p["cyan"], p["magenta"], p["yellow"])
    inks = separate(wanted, p["gamut"], p["dot_gain"], p["ink_limit"], casts)
    if p["margin"]:
        paper.keep_margin(inks, p["margin"], p["margin_side"])
    if p["fold"]:
        paper.crease(inks, p["fold_axis"], p["fold_place"], p["fold"])
    blur = hypot(p["spread"], p["defocus"])
    if not p["screen"]:
        return surface.carried(blurred(printed(inks, p["gamut"]), blur))
    planes = cv2.split(surface.carried(blurred(np.asarray(cv2.merge(inks), np.float32), blur)))
    screens = []
    for plane, angle, shift in zip(planes, ANGLES, stream(texture, "screen").random((4, 2)), strict=True):
        turn = float(np.radians(angle + p["screen_angle"]))
        lattice = Lattice(p["screen_pitch"], turn, (float(shift[0]), float(shift[1])), STEPS)
        screens.append(Screen(np.asarray(plane, np.float32), *surface.places, lattice, p["screen"], blur))
    alpha = absorption(p["gamut"])
    seen = [passed([screen.inked(site) for screen in screens], alpha[:, site.channel]) for site in QUAD]
    return np.asarray(cv2.merge([seen[0], (seen[1] + seen[2]) * np.float32(0.5), seen[3]]), np.float32)


def _cut_out(light: Plane, view: sheet.View, p: Mapping[str, float], texture: int, white: Plane) -> Plane:
    line = cut.outline(stream(texture, "cut"), view, p["cut_width"], p["cut_height"], p["cut_square"], p["cut_rough"])
    scene = cut.behind(stream(texture, "wall"), view, p["wall"], p["wearer"])
    scene *= cut.shadow(line, p["cut_shadow"], p["cut_shadow_blur"], p["cut_shadow_shift"], p["light_angle"])[..., None]
    return cut.pasted(light, scene, line, p["cut_rim"], 0.85 * white, p["light_angle"], p["defocus"])
