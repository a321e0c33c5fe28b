"""Paper, scissors, display, glass and camera, one by one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from fasgen.stages.physical import cut, paper
from fasgen.stages.physical.camera import Camera, s_curve, smear
from fasgen.stages.physical.display import colours, compressed, emitted, shown
from fasgen.stages.physical.randomness import STREAMS, grained, stream, white
from fasgen.stages.physical.reflection import mirrored
from fasgen.stages.physical.sheet import Pose, View, bent
from fasgen.stages.physical.tone import decode, encode
from tests.stages.physical.pictures import picture


def camera(**values: float) -> Camera:
    nothing = dict.fromkeys((field.name for field in fields(Camera)), 0.0)
    return Camera(**{**nothing, **values})  # type: ignore[arg-type]


def test_levels_survive_linear_light() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    assert np.array_equal(encode(decode(levels)), levels)
    assert decode(levels)[11, 12, 0] == pytest.approx(0.5029, abs=1e-4)  # level 188


def test_levels_beyond_the_ends_are_clipped() -> None:
    assert encode(np.array([[[-0.5, 0.0, 7.0]]], np.float32)).tolist() == [[[0, 0, 255]]]


def test_quick_noise_is_normal() -> None:
    noise = white(stream(1, "noise"), (300, 300))
    assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(noise) < 1) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.2])
def test_grain_keeps_the_variance(sigma: float) -> None:
    assert grained(stream(1, "noise"), (200, 200, 3), sigma).std() == pytest.approx(1, abs=0.03)


def test_streams_are_apart() -> None:
    firsts = {float(stream(texture, effect).random()) for texture in (0, 1) for effect in STREAMS}
    assert len(firsts) == 2 * len(STREAMS)


def test_fibres_have_the_deviation_asked() -> None:
    factor = paper.fibres(stream(2, "paper"), (200, 200), 0.03)
    assert factor.mean() == pytest.approx(1, abs=0.005) and factor.std() == pytest.approx(0.03, rel=0.15)


def test_paper_is_yellowish_or_bluish() -> None:
    assert np.array_equal(paper.paper_white(0.0), np.ones(3, np.float32))
    assert paper.paper_white(1.0)[2] < paper.paper_white(1.0)[0] and paper.paper_white(-1.0)[0] < paper.paper_white(-1.0)[2]


@pytest.mark.parametrize(("side", "strip"), [(0.1, np.s_[:, :6]), (0.3, np.s_[:6]), (0.6, np.s_[:, -6:]), (0.9, np.s_[-6:])])
def test_a_margin_has_no_ink(side: float, strip: tuple[slice, ...]) -> None:
    inks = [np.ones((60, 80), np.float32) for _ in range(4)]
    paper.keep_margin(inks, 0.1, side)
    assert not inks[0][strip].any()
    assert inks[3].sum() == 60 * 80 - inks[3][strip].size


def test_a_crease_wears_ink_off_along_a_line() -> None:
    inks = [np.ones((65, 65), np.float32) for _ in range(4)]
    paper.crease(inks, 0.0, 0.0, 30.0)
    assert inks[0].min(1).argmin() == pytest.approx(32, abs=1)
    assert inks[0][32].min() < 0.8 and inks[0][:28].min() == 1


def test_an_outline_has_the_size_asked() -> None:
    view = View(200, 160)
    mask = cut.outline(stream(3, "cut"), view, 0.8, 0.9, 0.0, 0.0).filled() > 127
    assert mask.any(1).sum() == pytest.approx(180, abs=5)
    assert mask.sum() == pytest.approx(np.pi / 4 * 128 * 180, rel=0.06)


def test_what_is_outside_the_outline_is_the_scene() -> None:
    view = View(64, 64)
    line = cut.outline(stream(3, "cut"), view, 0.6, 0.6, 0.0, 0.01)
    light, scene = np.full((64, 64, 3), 0.7, np.float32), np.full((64, 64, 3), 0.1, np.float32)
    seen = cut.pasted(light, scene, line, 1.0, np.ones(3, np.float32), 0.0, 0.4)
    assert seen[2, 2] == pytest.approx(0.1) and seen[32, 32] == pytest.approx(0.7)
    # The paper's edge shows on the lamp's side, which is the right.
    assert seen[32].max() > 0.75 and seen[32, :32].max() < 0.75


def test_a_shadow_falls_away_from_the_lamp() -> None:
    view = View(64, 64)
    line = cut.outline(stream(3, "cut"), view, 0.5, 0.5, 0.0, 0.0)
    factor = cut.shadow(line, 0.6, 0.02, 0.1, 0.0)
    assert factor[32, 10] < factor[32, 53] and factor.min() == pytest.approx(0.4, abs=0.02)


def test_a_display_without_faults_shows_the_picture() -> None:
    live = picture(40, 40)
    assert np.array_equal(shown(live, 0.0, 0.0, 0), live)
    assert np.array_equal(emitted(live, 0.0, 0.0, 0.0, 0.0), decode(live))


def test_black_pixels_leak_and_white_stays() -> None:
    light = emitted(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), 0.0, 0.0, 0.0, 0.05)
    assert light[0, 0] == pytest.approx(0.05) and light[0, 1] == pytest.approx(1)


def test_display_colours() -> None:
    grey = np.array([0.4, 0.4, 0.4])
    assert colours(0.0, -0.5) @ grey == pytest.approx(grey)
    cold, warm = colours(1.0, 0.0) @ grey, colours(-1.0, 0.0) @ grey
    assert cold[2] > cold[0] and warm[0] > warm[2]
    red = np.array([1.0, 0, 0])
    assert np.ptp(colours(0.0, -0.5) @ red) == pytest.approx(0.5)


def test_few_pixels_show_few_details() -> None:
    checks = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert shown(checks, 4.0, 0.0, 0).std() < 0.1 * checks.std()


def test_jpeg_of_zero_is_none() -> None:
    live = picture(40, 40)
    assert compressed(live, 0) is live
    assert not np.array_equal(compressed(live, 30), live)


def test_a_mirrored_lamp_lies_where_it_is_put() -> None:
    nodes = bent(View(64, 64), Pose())
    for seed in range(12):
        shape = mirrored(stream(seed, "reflection"), nodes, x=0.2, y=-0.1, size=0.3, blur=0.03, angle=20.0)
        assert shape.min() >= 0 and shape.max() <= 1 and shape.max() > 0.3
        assert np.average(nodes.x, weights=shape) == pytest.approx(0.2, abs=0.03)
        assert np.average(nodes.y, weights=shape) == pytest.approx(-0.1, abs=0.03)


def test_a_stop_doubles_the_light() -> None:
    light = np.full((8, 8, 3), 0.2, np.float32)
    once, twice = (decode(camera(exposure=stops).take(light, stream(0, "noise")))[0, 0, 0] for stops in (0.0, 1.0))
    assert twice / once == pytest.approx(2, rel=0.02)


def test_white_balance_keeps_the_luminance() -> None:
    for warmth, greenness in ((1.0, 0.0), (-0.7, 0.4)):
        assert camera(warmth=warmth, greenness=greenness).gains @ np.array([0.2126, 0.7152, 0.0722]) == pytest.approx(1)
    assert camera(warmth=1.0).gains[0] > camera(warmth=1.0).gains[2]


def test_noise_grows_with_the_light() -> None:
    def deviation(level: float) -> float:
        light = np.full((128, 128, 3), level, np.float32)
        return float(decode(camera(noise=0.05).take(light, stream(0, "noise"))).std())

    assert deviation(0.5) == pytest.approx(0.05 * np.sqrt(0.5 * (1 - 0.35**2) + 0.35**2), rel=0.05)
    assert deviation(0.2) < deviation(0.5)


@pytest.mark.parametrize("length", [0.4, 1.0, 3.0, 7.9])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_a_hand_that_moves_smears_along_its_way(length: float, angle: float) -> None:
    kernel = smear(length, angle)
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    across = y * np.cos(np.radians(angle)) - x * np.sin(np.radians(angle))
    assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * along).sum() == pytest.approx(0, abs=1e-5) and (kernel * across).sum() == pytest.approx(0, abs=1e-5)
    # An even movement has the variance of its length squared over 12; the grid of the kernel adds less than a quarter.
    assert -0.02 < (kernel * along**2).sum() - length**2 / 12 < 0.26 and (kernel * across**2).sum() < 0.26
    light = np.full((32, 32, 3), 0.3, np.float32)
    moved = camera(shake=length, shake_angle=angle).take(light, stream(0, "noise"))
    assert np.array_equal(moved, camera().take(light, stream(0, "noise")))


def test_a_tone_curve_bends_to_an_s() -> None:
    curve = s_curve(0.8).astype(int)
    assert (curve[0], curve[255]) == (0, 255) and abs(curve[128] - 128) <= 1 and (np.diff(curve) >= 0).all()
    # The slope in the middle is 1 + strength / 2.
    assert (curve[138] - curve[118]) / 20 == pytest.approx(1.4, abs=0.06)
    assert np.array_equal(s_curve(0.0), np.arange(256))


def test_colour_is_smoothed_and_luminance_kept() -> None:
    live = picture(64, 64)
    light = decode(live)
    plain, smooth = (camera(chroma_blur=blur).take(light, stream(0, "noise")) for blur in (0.0, 2.0))
    weights = np.array([0.299, 0.587, 0.114])
    # Where a colour leaves the cube, clipping moves its luminance.
    assert np.median(np.abs((plain - smooth.astype(float)) @ weights)) < 1.5
    assert (
        np.diff(smooth[..., 0].astype(float) - smooth[..., 1], axis=1).std()
        < np.diff(plain[..., 0].astype(float) - plain[..., 1], axis=1).std()
    )
