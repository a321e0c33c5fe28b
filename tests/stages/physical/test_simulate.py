from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.errors import ConfigError
from fasgen.stages.physical.config import STYLES, PhysicalConfig
from fasgen.stages.physical.simulate import apply, draw, parameter_names, simulate
from tests.stages.physical.pictures import neutral, picture

CONFIG = PhysicalConfig()
EVERYTHING = PhysicalConfig.model_validate(
    {
        "print": {"fold_chance": 1.0, "margin_chance": 1.0},
        "print_bent": {"fold_chance": 1.0, "bend": (70.0, 70.0), "tilt_x": (45.0, 45.0), "tilt_y": (-45.0, -45.0)},
        "replay_phone": {"bezel_chance": 1.0, "reflection_chance": 1.0, "band_chance": 1.0},
    }
)


@settings(max_examples=60)
@given(
    style=st.sampled_from(STYLES),
    seed=st.integers(0, 2**63 - 1),
    height=st.integers(32, 97),
    width=st.integers(32, 97),
    config=st.sampled_from([CONFIG, EVERYTHING]),
)
def test_parameters_that_went_through_json_make_the_same_bytes(
    style: str, seed: int, height: int, width: int, config: PhysicalConfig
) -> None:
    live = picture(height, width, seed % 7)
    before = live.copy()
    attack = simulate(live, style, seed, config)
    assert attack.image.shape == live.shape and attack.image.dtype == np.uint8
    assert set(attack.parameters) == parameter_names(style)
    again = apply(live, style, json.loads(json.dumps(attack.parameters)))
    assert np.array_equal(again, attack.image)
    assert np.array_equal(live, before)


@pytest.mark.parametrize("style", STYLES)
def test_the_seed_alone_decides(style: str) -> None:
    live = picture(64, 56)
    first, again, other = (simulate(live, style, seed, CONFIG) for seed in (5, 5, 6))
    assert first.parameters == again.parameters and np.array_equal(first.image, again.image)
    assert first.parameters != other.parameters and not np.array_equal(first.image, other.image)
    assert not np.array_equal(first.image, live)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(64, 64), (51, 77)])
def test_zero_strengths_leave_the_picture_as_it_is(style: str, size: tuple[int, int]) -> None:
    live = picture(*size)
    attack = simulate(live, style, 3, neutral()).image
    assert np.abs(attack.astype(int) - live).max() <= 1


@settings(max_examples=30)
@given(style=st.sampled_from(STYLES), seed=st.integers(0, 2**128 - 1))
def test_parameters_lie_in_their_ranges(style: str, seed: int) -> None:
    values = draw(style, seed, CONFIG)
    for section in CONFIG.sections(style):
        for name in type(section).model_fields:
            limits = getattr(section, name)
            if isinstance(limits, tuple):
                may_be_off = hasattr(section, f"{name}_chance") and values[name] == 0
                assert may_be_off or limits[0] <= values[name] <= limits[1]


def test_a_chance_of_one_half_is_taken_half_the_time() -> None:
    config = PhysicalConfig.model_validate(
        {"replay_phone": {"band_chance": 0.5, "bezel_chance": 1.0, "reflection_chance": 0.0}}
    )
    drawn = [draw("replay_phone", seed, config) for seed in range(400)]
    assert 0.42 < np.mean([values["band"] != 0 for values in drawn]) < 0.58
    assert all(values["bezel"] for values in drawn) and not any(values["reflection"] for values in drawn)


def test_every_end_of_a_whole_range_is_drawn() -> None:
    config = PhysicalConfig.model_validate({"camera": {"jpeg": (70, 72)}})
    drawn = [draw("print", seed, config)["jpeg"] for seed in range(60)]
    assert set(drawn) == {70, 71, 72} and all(isinstance(quality, int) for quality in drawn)


@pytest.mark.parametrize("style", STYLES)
def test_who_is_on_it_stays_where_it_was(style: str) -> None:
    live = cv2.GaussianBlur(picture(96, 96, 2), (0, 0), 3)
    middle = np.s_[24:72, 24:72]
    likeness = []
    for seed in range(6):
        attack = cv2.GaussianBlur(simulate(live, style, seed, CONFIG).image, (0, 0), 3)
        likeness.append(np.corrcoef(attack[middle].mean(2).ravel(), live[middle].mean(2).ravel())[0, 1])
    assert np.median(likeness) > 0.75


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_opencv_are_as_before(threads: int) -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(threads)
        simulate(picture(32, 32), "print", 0, CONFIG)
        assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)


def test_a_view_into_a_larger_picture_is_taken() -> None:
    large = picture(80, 80)
    part = large[8:72, 8:72]
    assert np.array_equal(simulate(part, "print", 1, CONFIG).image, simulate(part.copy(), "print", 1, CONFIG).image)


@pytest.mark.parametrize(
    "image",
    [np.zeros((31, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))],
)
def test_other_pictures_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="32 px or more"):
        simulate(image, "print", 0, CONFIG)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no style 'mask'.*replay_laptop"):
        simulate(picture(32, 32), "mask", 0, CONFIG)
    with pytest.raises(ConfigError, match="seed -1"):
        simulate(picture(32, 32), "print", -1, CONFIG)


def test_parameters_of_another_style_are_refused() -> None:
    live = picture(32, 32)
    values = draw("print", 0, CONFIG)
    with pytest.raises(ConfigError, match="lack 'haze'"):
        apply(live, "print", {name: value for name, value in values.items() if name != "haze"})
    with pytest.raises(ConfigError, match="have no business with 'pixels'"):
        apply(live, "print", {**values, "pixels": 1})
