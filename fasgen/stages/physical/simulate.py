"""From a live photograph to a simulated presentation attack of the same person.

`simulate` draws parameters from a seed; `apply` is a pure function of picture, style and parameters. Nothing here was printed
or filmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from fasgen.errors import ConfigError
from fasgen.stages.physical.camera import Camera
from fasgen.stages.physical.clues import crossed, jittered
from fasgen.stages.physical.config import ATTACK_TYPE, PLAIN, STYLES, PhysicalConfig
from fasgen.stages.physical.printed import photographed_print
from fasgen.stages.physical.randomness import stream
from fasgen.stages.physical.replayed import filmed_display
from fasgen.stages.physical.sheet import View
from fasgen.stages.stage import RGB

Value = float | int | str
SMALLEST = 32
"""Shortest side that is accepted, px."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated attack.

    Attributes:
        image: the attack, of the live photograph's size.
        parameters: what `apply` makes it from again; numbers and text, JSON's.
    """

    image: RGB
    parameters: dict[str, Value]


def simulate(image: RGB, style: str, seed: int, config: PhysicalConfig) -> Simulated:
    """Simulate one attack.

    Args:
        image: the live photograph, height x width x 3, uint8, RGB, both sides at least 32 px.
        style: one of ``STYLES``.
        seed: 0 or more, below 2**128; the same seed gives the same bytes.
        config: ranges of the parameters.

    Raises:
        ConfigError: the style is unknown, the seed out of range or the picture not of that kind.
    """
    parameters = draw(style, seed, config)
    return Simulated(apply(image, style, parameters), parameters)


def draw(style: str, seed: int, config: PhysicalConfig) -> dict[str, Value]:
    """Draw the parameters of one attack, each uniformly from its range; see `simulate`."""
    _check_style(style)
    if not 0 <= seed < 2**128:
        raise ConfigError(f"seed {seed} of the simulation is out of range; take one from 0 to 2**128 - 1")
    rng = np.random.Generator(np.random.Philox(key=seed))
    values: dict[str, Value] = {"texture": int(rng.integers(0, 2**48))}
    fields = [(name, getattr(section, name)) for section in config.sections(style) for name in type(section).model_fields]
    for (name, given), at in zip(fields, rng.random(len(fields)).tolist(), strict=True):
        if isinstance(given, str):
            values[name] = given
        elif not isinstance(given, tuple):
            # A chance stands below the field that it is about.
            if at >= given:
                values[name.removesuffix("_chance")] = 0.0
        elif isinstance(given[0], int):
            values[name] = given[0] + int(at * (given[1] - given[0] + 1))
        else:
            values[name] = round(given[0] + at * (given[1] - given[0]), 6)
    return values


def apply(image: RGB, style: str, parameters: Mapping[str, Value]) -> RGB:
    """Make the attack that the parameters describe: the same bytes for the same arguments.

    Args:
        image: the live photograph, height x width x 3, uint8, RGB, both sides at least 32 px.
        style: one of ``STYLES``.
        parameters: as `simulate` returned them for that style.

    Returns:
        the attack, of the same size.

    Raises:
        ConfigError: the style is unknown, a parameter is missing or too many, or the picture is not of that kind.
    """
    _check_style(style)
    _check_names(style, parameters)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST:
        raise ConfigError(
            f"the simulation got {image.dtype} {'x'.join(map(str, image.shape))}; it takes RGB pictures of height x width x 3, "
            f"uint8, both sides {SMALLEST} px or more: raise the size of the crops"
        )
    view = View(*image.shape[:2])
    p = {name: float(value) for name, value in parameters.items() if not isinstance(value, str)}
    with _one_thread():
        image = np.ascontiguousarray(image)
        if style in PLAIN:
            return jittered(image, p) if style == "colour_jitter" else crossed(image, view, p)
        if ATTACK_TYPE[style] == "replay":
            light = filmed_display(image, view, p, str(parameters["layout"]))
        else:
            light = photographed_print(image, view, p, style == "cut_out")
        camera = Camera(
            p["exposure"],
            p["warmth"],
            p["greenness"],
            p["noise"],
            p["noise_grain"],
            p["shake"],
            p["shake_angle"],
            p["contrast"],
            p["chroma_blur"],
            p["sharpen"],
            int(p["jpeg"]),
        )
        return camera.take(light, stream(int(p["texture"]), "noise"))


def parameter_names(style: str) -> frozenset[str]:
    """Names of the parameters of ``style``."""
    fields = (name for section in PhysicalConfig().sections(style) for name in type(section).model_fields)
    return frozenset({"texture", *(name for name in fields if not name.endswith("_chance"))})


_NAMES = {style: parameter_names(style) for style in STYLES}


def _check_style(style: str) -> None:
    if style not in STYLES:
        raise ConfigError(f"there is no style {style!r} in the physical simulation; there are: {', '.join(STYLES)}")


def _check_names(style: str, parameters: Mapping[str, Value]) -> None:
    wrong = sorted(_NAMES[style] ^ parameters.keys())
    if wrong:
        what = "lack" if wrong[0] in _NAMES[style] else "have no business with"
        raise ConfigError(f"the parameters of style {style!r} {what} {wrong[0]!r}; pass on those that `simulate` returned")


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on the calling thread alone: workers share the cores, and 2 threads on such pictures cost more than they bring."""
    before = cv2.getNumThreads()
    if before == 1:
        yield
        return
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
