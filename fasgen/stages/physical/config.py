"""What the simulation of presentation attacks can be told: the range of every parameter, by attack instrument.

A sample's parameters are drawn uniformly from these ranges. Strengths of zero leave the picture as it is. Lengths are in px of
the picture that is made, or in shares of its shorter side; a screen of pitch p therefore has side / p lines across the face
crop, whatever the size. Angles are in degrees, positive clockwise as the picture is seen.

Seven styles have ranges that were set by eye, and the embedded weights have learnt these. Those of the ``MEASURED`` ones follow
what real attacks change in light, colours, contrast, detail and raster (docs/carrying-over.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

STYLES: tuple[str, ...] = (
    "print",
    "print_glossy",
    "print_bent",
    "cut_out",
    "replay_phone",
    "replay_tablet",
    "replay_laptop",
    "print_inkjet",
    "print_poster",
    "replay_oled",
    "replay_monitor",
    "colour_jitter",
    "moire",
)
"""Attack instruments that can be simulated; the last two are plain clues of a print and of a replay (SPSC)."""

MEASURED = ("print_inkjet", "print_poster", "replay_oled", "replay_monitor")
"""Those whose ranges follow measurements of real attacks; a camera of their own takes them, ``recapture``."""

PLAIN = ("colour_jitter", "moire")
"""Those that are one operation on levels, without inks, glass or a camera."""

ATTACK_TYPE: dict[str, Literal["print", "cut_print", "replay"]] = {
    "print": "print",
    "print_glossy": "print",
    "print_bent": "print",
    "cut_out": "cut_print",
    "replay_phone": "replay",
    "replay_tablet": "replay",
    "replay_laptop": "replay",
    "print_inkjet": "print",
    "print_poster": "print",
    "replay_oled": "replay",
    "replay_monitor": "replay",
    "colour_jitter": "print",
    "moire": "replay",
}
"""Style to the family of attacks it belongs to."""

Share = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]
Angle = Annotated[float, Field(ge=-360, le=360)]
Tilt = Annotated[float, Field(ge=-45, le=45)]
Bend = Annotated[float, Field(ge=0, le=70)]
Fold = Annotated[float, Field(ge=0, le=60)]
Pitch = Annotated[float, Field(ge=0.2, le=16)]
Blur = Annotated[float, Field(ge=0, le=8)]
Gain = Annotated[float, Field(ge=0, le=0.25)]
Cast = Annotated[float, Field(ge=-0.25, le=0.25)]
Ink = Annotated[float, Field(ge=1, le=4)]
Periods = Annotated[float, Field(gt=0, le=64)]
Stops = Annotated[float, Field(ge=-6, le=3)]
Quality = Annotated[int, Field(ge=0, le=100)]
Size = Annotated[float, Field(gt=0, le=2)]
Place = Annotated[float, Field(ge=-1, le=2)]


class Section(BaseModel):
    """Ranges, each a pair of lowest and highest value; ``NAME_chance`` is the probability that NAME is not zero."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _ordered(self) -> Section:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: the lowest value {value[0]:g} is above the highest, {value[1]:g}; swap them")
        return self


class PaperConfig(Section):
    """A photograph printed on paper, and how the sheet is held and lit."""

    gamut: tuple[Share, Share] = Field(
        (0.35, 0.9), description="how far the inks are from ideal block dyes: 0 prints every colour, 1 has process inks"
    )
    print_gamma: tuple[Signed, Signed] = Field((0.0, 0.0), description="exponent of the print's tone curve above sRGB's 2.2")
    dot_gain: tuple[Gain, Gain] = Field((0.0, 0.07), description="coverage that a dot of one half gains")
    cyan: tuple[Cast, Cast] = Field((0.0, 0.0), description="what a cyan dot of one half gains beyond that, which tints greys")
    magenta: tuple[Cast, Cast] = Field((0.0, 0.0), description="the same of magenta")
    yellow: tuple[Cast, Cast] = Field((0.0, 0.0), description="the same of yellow")
    ink_limit: tuple[Ink, Ink] = Field((2.4, 3.2), description="highest sum of the four inks' coverages; 4 limits nothing")
    haze: tuple[Share, Share] = Field(
        (0.005, 0.03), description="light that the surface returns where it should be black, share of paper white"
    )
    screen: tuple[Share, Share] = Field(
        (0.35, 0.85), description="contrast of the halftone dots; 0 is continuous tone, 1 is ink or no ink"
    )
    screen_pitch: tuple[Pitch, Pitch] = Field((1.0, 2.2), description="distance of halftone dots, px")
    screen_angle: tuple[Angle, Angle] = Field(
        (-4.0, 4.0), description="turn of all four screens beyond 15 (C), 75 (M), 0 (Y) and 45 (K), degrees"
    )
    spread: tuple[Blur, Blur] = Field((0.1, 0.4), description="spread of ink in the paper, standard deviation, px")
    paper_tint: tuple[Signed, Signed] = Field((-0.5, 0.7), description="colour of the paper: -1 bluish, 0 white, 1 yellowish")
    paper_texture: tuple[Share, Share] = Field((0.01, 0.03), description="standard deviation of the paper's reflectance")
    tilt_x: tuple[Tilt, Tilt] = Field((-8.0, 8.0), description="turn of the sheet about its upright axis, degrees")
    tilt_y: tuple[Tilt, Tilt] = Field((-8.0, 8.0), description="turn of the sheet about its level axis, degrees")
    bend: tuple[Bend, Bend] = Field(
        (0.0, 10.0), description="angle by which the sheet's direction turns over the shorter side (a cylinder), degrees"
    )
    bend_axis: tuple[Angle, Angle] = Field(
        (60.0, 120.0), description="direction of the cylinder's axis; 90 is upright, degrees"
    )
    fold: tuple[Fold, Fold] = Field((5.0, 16.0), description="angle between the sheet's two halves at a crease, degrees")
    fold_chance: Share = Field(0.1, description="probability of a crease")
    fold_axis: tuple[Angle, Angle] = Field((0.0, 180.0), description="direction of the crease, degrees")
    fold_place: tuple[Signed, Signed] = Field((-0.3, 0.3), description="distance of the crease from the middle, share")
    waviness: tuple[Share, Share] = Field((0.005, 0.02), description="random slope of a sheet that is not quite flat")
    margin: tuple[Share, Share] = Field((0.02, 0.09), description="unprinted margin in view, share of the shorter side")
    margin_chance: Share = Field(0.15, description="probability that the photograph's edge is in view")
    margin_side: tuple[Share, Share] = Field((0.0, 1.0), description="which edge: left, top, right, bottom by quarters")
    shade: tuple[Share, Share] = Field((0.05, 0.3), description="fall of the light across the picture")
    light_angle: tuple[Angle, Angle] = Field((0.0, 360.0), description="where the light comes from, degrees")
    glare: tuple[Share, Share] = Field((0.0, 0.08), description="mirrored light at the highlight's middle, share of white")
    glare_size: tuple[Size, Size] = Field(
        (0.25, 0.6), description="standard deviation of the highlight on a flat sheet; bending narrows it; share"
    )
    glare_x: tuple[Place, Place] = Field((-0.2, 1.2), description="highlight from the left, share of the width")
    glare_y: tuple[Place, Place] = Field((-0.2, 1.0), description="highlight from the top, share of the height")


class CutConfig(Section):
    """How a photograph is cut out and what is seen around it."""

    cut_width: tuple[Size, Size] = Field((0.72, 0.98), description="width of the outline, share of the picture's width")
    cut_height: tuple[Size, Size] = Field((0.88, 1.15), description="height of the outline, share of the picture's height")
    cut_square: tuple[Share, Share] = Field((0.0, 0.35), description="0 cuts an ellipse, 1 nearly a rectangle")
    cut_rough: tuple[Share, Share] = Field((0.005, 0.025), description="how far cuts stray, share of the radius")
    cut_rim: tuple[Blur, Blur] = Field((0.0, 1.6), description="bright edge of the paper on the lamp's side, px")
    cut_shadow: tuple[Share, Share] = Field((0.15, 0.55), description="darkness of the shadow that the paper casts")
    cut_shadow_blur: tuple[Size, Size] = Field((0.006, 0.03), description="softness of that shadow, share")
    cut_shadow_shift: tuple[Share, Share] = Field((0.01, 0.05), description="distance of that shadow, share")
    wall: tuple[Share, Share] = Field((0.15, 0.8), description="reflectance of the wall behind")
    wearer: tuple[Share, Share] = Field((0.0, 1.0), description="how much of the wearer's hair and clothes is seen behind")


class DisplayConfig(Section):
    """A photograph or video shown on a screen."""

    layout: Literal["stripe", "pentile"] = Field(
        "stripe", description="subpixels: three upright stripes, or two greens to one red and one blue"
    )
    pitch: tuple[Pitch, Pitch] = Field((0.5, 0.9), description="distance of the screen's pixels, px")
    turn: tuple[Tilt, Tilt] = Field((-4.0, 4.0), description="turn of the screen's grid against the camera's, degrees")
    grid: tuple[Share, Share] = Field((0.5, 1.0), description="contrast of the pixel grid; 0 is a screen without pixels")
    display_gamma: tuple[Signed, Signed] = Field((-0.15, 0.35), description="exponent of the screen above sRGB's 2.2")
    leak: tuple[Share, Share] = Field((0.005, 0.03), description="light of a black pixel, share of white")
    ambient: tuple[Share, Share] = Field((0.0, 0.05), description="room light that the glass returns, share of white")
    temperature: tuple[Signed, Signed] = Field((0.0, 0.7), description="white point: -1 warm, 0 neutral, 1 cold")
    saturation: tuple[Signed, Signed] = Field((-0.2, 0.25), description="colourfulness less that of the photograph")
    falloff: tuple[Share, Share] = Field((0.02, 0.2), description="loss of light towards the far side")
    falloff_angle: tuple[Angle, Angle] = Field((0.0, 360.0), description="direction of the far side, degrees")
    wash: tuple[Share, Share] = Field((0.0, 0.1), description="loss of contrast with the viewing angle at the far side")
    band: tuple[Share, Share] = Field((0.03, 0.12), description="depth of the dark bands before the exposure averages them")
    band_chance: Share = Field(0.5, description="probability of bands")
    band_count: tuple[Periods, Periods] = Field((1.5, 8.0), description="periods of the backlight in the picture's height")
    band_duty: tuple[Share, Share] = Field((0.4, 0.8), description="share of a period in which the backlight is on")
    band_open: tuple[Size, Size] = Field((0.2, 0.8), description="exposure time of a row, share of a period")
    band_phase: tuple[Share, Share] = Field((0.0, 1.0), description="where the first band begins, share of a period")
    reflection: tuple[Share, Share] = Field((0.04, 0.25), description="brightness of what the glass mirrors, share of white")
    reflection_chance: Share = Field(0.5, description="probability of a mirrored window or lamp")
    reflection_size: tuple[Size, Size] = Field((0.2, 0.6), description="its width, share of the shorter side")
    reflection_blur: tuple[Size, Size] = Field((0.02, 0.08), description="its softness, share of the shorter side")
    reflection_x: tuple[Place, Place] = Field((0.0, 1.0), description="its middle from the left, share of the width")
    reflection_y: tuple[Place, Place] = Field((0.0, 1.0), description="its middle from the top, share of the height")
    reflection_angle: tuple[Angle, Angle] = Field((-30.0, 30.0), description="its turn, degrees")
    tilt_x: tuple[Tilt, Tilt] = Field((-10.0, 10.0), description="turn of the screen about its upright axis, degrees")
    tilt_y: tuple[Tilt, Tilt] = Field((-8.0, 8.0), description="turn of the screen about its level axis, degrees")
    bezel: tuple[Share, Share] = Field((0.03, 0.1), description="black frame in view, share of the shorter side")
    bezel_chance: Share = Field(0.0, description="probability that the screen's frame is in view")
    bezel_side: tuple[Share, Share] = Field((0.0, 1.0), description="which side: left, top, right, bottom by quarters")
    softness: tuple[Blur, Blur] = Field((0.0, 0.8), description="blur of the video that is shown, standard deviation, px")
    video_quality: tuple[Quality, Quality] = Field((55, 95), description="JPEG quality of what is shown; 0 is uncompressed")


class CameraConfig(Section):
    """The camera that takes the attack."""

    defocus: tuple[Blur, Blur] = Field((0.1, 0.45), description="blur of the lens, standard deviation, px")
    exposure: tuple[Stops, Stops] = Field((-0.8, 0.7), description="exposure beyond the right one, stops")
    warmth: tuple[Signed, Signed] = Field((-0.45, 0.45), description="white balance: -1 blue, 0 right, 1 orange")
    greenness: tuple[Signed, Signed] = Field((-0.25, 0.25), description="white balance: -1 magenta, 0 right, 1 green")
    noise: tuple[Share, Share] = Field((0.003, 0.015), description="standard deviation of the noise at white, share of white")
    noise_grain: tuple[Blur, Blur] = Field((0.3, 0.7), description="correlation of the noise, standard deviation, px")
    shake: tuple[Blur, Blur] = Field((0.8, 3.0), description="how far the hand moves during the exposure, px")
    shake_chance: Share = Field(0.0, description="probability that it moves")
    shake_angle: tuple[Angle, Angle] = Field((0.0, 180.0), description="direction in which it moves, degrees")
    contrast: tuple[Share, Share] = Field(
        (0.0, 0.0), description="how far the camera's tone curve bends to an S; the photograph has been through one already"
    )
    chroma_blur: tuple[Blur, Blur] = Field(
        (0.5, 1.8), description="smoothing of the colour differences, as cameras do against coloured noise and moire, px"
    )
    sharpen: tuple[Share, Share] = Field((0.0, 0.5), description="edge sharpening by the camera")
    jpeg: tuple[Quality, Quality] = Field((65, 96), description="JPEG quality; 0 is uncompressed")


class JitterConfig(Section):
    """Colours bent as prints bend them, without a printer: the colour jitter of simulated physical spoofing clues."""

    red_gamma: tuple[Signed, Signed] = Field((-0.3, 0.5), description="exponent of the red levels above 1")
    green_gamma: tuple[Signed, Signed] = Field((-0.3, 0.5), description="the same of green")
    blue_gamma: tuple[Signed, Signed] = Field((-0.3, 0.5), description="the same of blue")
    red_gain: tuple[Signed, Signed] = Field((-0.25, 0.1), description="what red levels gain, share")
    green_gain: tuple[Signed, Signed] = Field((-0.25, 0.1), description="the same of green")
    blue_gain: tuple[Signed, Signed] = Field((-0.25, 0.1), description="the same of blue")
    colour: tuple[Signed, Signed] = Field((-0.6, 0.3), description="colourfulness less that of the photograph")
    black: tuple[Share, Share] = Field((0.0, 0.15), description="level of what was black")
    white: tuple[Share, Share] = Field((0.0, 0.2), description="level that what was white loses")
    softness: tuple[Blur, Blur] = Field((0.2, 1.0), description="blur, standard deviation, px")


class MoireConfig(Section):
    """Gratings over the picture, without a screen: the moire pattern of simulated physical spoofing clues."""

    moire: tuple[Share, Share] = Field((0.04, 0.16), description="contrast of the pattern")
    moire_pitch: tuple[Pitch, Pitch] = Field((2.2, 6.0), description="period of the two gratings, px")
    moire_stretch: tuple[Share, Share] = Field(
        (0.0, 0.15), description="share by which one's period is longer than the other's"
    )
    moire_angle: tuple[Angle, Angle] = Field((0.0, 180.0), description="direction across the lines, degrees")
    moire_turn: tuple[Tilt, Tilt] = Field((-12.0, 12.0), description="turn of one grating against the other, degrees")
    red_gain: tuple[Signed, Signed] = Field((-0.15, 0.15), description="what red levels gain, share")
    green_gain: tuple[Signed, Signed] = Field((-0.15, 0.15), description="the same of green")
    blue_gain: tuple[Signed, Signed] = Field((-0.15, 0.15), description="the same of blue")
    softness: tuple[Blur, Blur] = Field((0.2, 1.0), description="blur, standard deviation, px")


def _paper(**ranges: object) -> PaperConfig:
    return PaperConfig.model_validate(ranges)


def _glossy() -> PaperConfig:
    return _paper(
        gamut=(0.3, 0.65), dot_gain=(0.0, 0.03), ink_limit=(3.0, 4.0), haze=(0.004, 0.02), screen=(0.0, 0.0),
        spread=(0.1, 0.4), paper_tint=(-0.5, 0.2), paper_texture=(0.0, 0.005), bend=(0.0, 20.0), fold_chance=0.0,
        waviness=(0.015, 0.05), glare=(0.3, 0.9), glare_size=(0.05, 0.16), glare_x=(0.1, 0.9), glare_y=(0.1, 0.85),
    )  # fmt: skip


def _bent() -> PaperConfig:
    return _paper(
        bend=(42.0, 68.0), fold_chance=0.25, waviness=(0.01, 0.04), shade=(0.3, 0.65), glare=(0.1, 0.4),
        glare_size=(0.1, 0.3), glare_x=(0.2, 0.8), screen=(0.1, 0.4),
    )  # fmt: skip


def _cut() -> PaperConfig:
    return _paper(bend=(5.0, 35.0), margin_chance=0.0, screen=(0.2, 0.7), glare=(0.0, 0.25), fold_chance=0.05)


def _display(**ranges: object) -> DisplayConfig:
    return DisplayConfig.model_validate(ranges)


def _phone() -> DisplayConfig:
    return _display(
        layout="pentile", pitch=(0.42, 0.58), grid=(0.4, 0.9), leak=(0.0, 0.004), ambient=(0.0, 0.03),
        display_gamma=(-0.1, 0.2), temperature=(0.2, 0.9), saturation=(0.05, 0.45), reflection_chance=0.6, band_chance=0.6,
    )  # fmt: skip


def _tablet() -> DisplayConfig:
    return _display(
        pitch=(0.75, 1.05), grid=(0.3, 0.75), leak=(0.01, 0.04), temperature=(-0.5, 0.3), ambient=(0.02, 0.08),
        reflection_chance=0.8, band_chance=0.25, falloff=(0.02, 0.12),
    )  # fmt: skip


def _laptop() -> DisplayConfig:
    return _display(
        pitch=(1.05, 2.1), grid=(0.25, 0.75), leak=(0.02, 0.07), temperature=(0.1, 0.8), saturation=(-0.4, 0.0),
        display_gamma=(-0.3, 0.2), falloff=(0.1, 0.45), wash=(0.05, 0.3), reflection_chance=0.15, band_chance=0.6,
    )  # fmt: skip


def _inkjet() -> PaperConfig:
    return _paper(
        gamut=(0.5, 1.0), print_gamma=(-0.2, 0.7), cyan=(-0.1, 0.1), magenta=(-0.1, 0.1), yellow=(-0.1, 0.1),
        ink_limit=(3.0, 3.8), haze=(0.0, 0.012), screen=(0.0, 0.5), screen_pitch=(0.6, 1.6), spread=(0.1, 0.8),
        glare=(0.0, 0.03),
    )  # fmt: skip


def _poster() -> PaperConfig:
    return _paper(
        gamut=(0.3, 0.65), print_gamma=(-0.2, 0.7), dot_gain=(0.0, 0.03), cyan=(-0.1, 0.1), magenta=(-0.1, 0.1),
        yellow=(-0.1, 0.1), ink_limit=(3.0, 4.0), haze=(0.0, 0.008), screen=(0.0, 0.0), spread=(0.1, 0.6),
        paper_tint=(-0.5, 0.2), paper_texture=(0.0, 0.005), bend=(0.0, 20.0), fold_chance=0.0, waviness=(0.015, 0.05),
        glare=(0.0, 0.3), glare_size=(0.05, 0.16), glare_x=(0.1, 0.9), glare_y=(0.1, 0.85),
    )  # fmt: skip


def _screen(**ranges: object) -> DisplayConfig:
    measured: dict[str, object] = {
        "display_gamma": (-0.2, 0.7), "wash": (0.0, 0.04), "reflection": (0.02, 0.15), "softness": (0.0, 1.4),
    }  # fmt: skip
    return _display(**measured | ranges)


def _oled() -> DisplayConfig:
    return _screen(
        layout="pentile", pitch=(0.3, 0.46), grid=(0.2, 0.7), leak=(0.0, 0.002), ambient=(0.0, 0.01), temperature=(0.2, 1.0),
        saturation=(-0.25, 0.25), reflection_chance=0.6, band_chance=0.6,
    )  # fmt: skip


def _monitor() -> DisplayConfig:
    return _screen(
        pitch=(0.45, 1.1), grid=(0.15, 0.55), leak=(0.0, 0.015), ambient=(0.0, 0.02), temperature=(0.0, 0.8),
        saturation=(-0.35, 0.05), falloff=(0.02, 0.3), reflection_chance=0.3,
    )  # fmt: skip


def _recapture() -> CameraConfig:
    return CameraConfig.model_validate(
        {
            "defocus": (0.0, 0.2), "exposure": (-1.4, 0.9), "warmth": (-1.0, 0.0), "greenness": (-0.4, 0.4),
            "noise": (0.002, 0.01), "shake_chance": 0.25, "contrast": (0.2, 1.0), "chroma_blur": (0.8, 3.0),
        }
    )  # fmt: skip


class PhysicalConfig(BaseModel):
    """Ranges of every parameter of the simulation, by attack instrument and for the camera."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    print: PaperConfig = Field(default_factory=_paper, description="photograph on office paper, laser printed, held flat")
    print_glossy: PaperConfig = Field(default_factory=_glossy, description="photograph on glossy photo paper")
    print_bent: PaperConfig = Field(default_factory=_bent, description="printed photograph bent round the face")
    cut_out: PaperConfig = Field(default_factory=_cut, description="the print that is cut out")
    cut: CutConfig = Field(default_factory=lambda: CutConfig.model_validate({}), description="how it is cut out")
    replay_phone: DisplayConfig = Field(default_factory=_phone, description="video on a phone: fine grid, deep black, glass")
    replay_tablet: DisplayConfig = Field(default_factory=_tablet, description="video on a tablet: reflections, warm white")
    replay_laptop: DisplayConfig = Field(
        default_factory=_laptop, description="video on a laptop: coarse grid, lifted black, viewing angle"
    )
    print_inkjet: PaperConfig = Field(
        default_factory=_inkjet, description="photograph on plain paper by an inkjet out of calibration"
    )
    print_poster: PaperConfig = Field(default_factory=_poster, description="photograph on a poster: no dots, a little gloss")
    replay_oled: DisplayConfig = Field(default_factory=_oled, description="video on a phone, cold white, moire")
    replay_monitor: DisplayConfig = Field(default_factory=_monitor, description="video on a monitor or tablet, moire")
    colour_jitter: JitterConfig = Field(
        default_factory=lambda: JitterConfig.model_validate({}), description="a print by its colours alone"
    )
    moire: MoireConfig = Field(
        default_factory=lambda: MoireConfig.model_validate({}), description="a replay by a moire pattern alone"
    )
    camera: CameraConfig = Field(
        default_factory=lambda: CameraConfig.model_validate({}), description="the camera that takes the attack"
    )
    recapture: CameraConfig = Field(
        default_factory=_recapture,
        description="the camera that takes print_inkjet, print_poster, replay_oled and replay_monitor",
    )

    @model_validator(mode="before")
    @classmethod
    def _over_the_instruments_own(cls, values: Any) -> Any:
        """Lay what is given for an instrument over that instrument's defaults, not over those of its class."""
        if not isinstance(values, Mapping):
            return values
        filled = dict(values)
        for name, given in values.items():
            if name in cls.model_fields and isinstance(given, Mapping):
                default: Section = cls.model_fields[name].get_default(call_default_factory=True)
                # JSON has lists; a validator's result must have tuples to pass as strict.
                own = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
                filled[name] = default.model_dump() | own
        return filled

    def sections(self, style: str) -> tuple[Section, ...]:
        """The sections whose parameters ``style`` has, in the order in which they are drawn."""
        own: Section = getattr(self, style)
        if style in PLAIN:
            return (own,)
        if style in MEASURED:
            return own, self.recapture
        return (own, self.cut, self.camera) if style == "cut_out" else (own, self.camera)
