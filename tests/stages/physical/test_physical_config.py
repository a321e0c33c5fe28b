from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from fasgen.stages.physical.config import (
    ATTACK_TYPE,
    PLAIN,
    STYLES,
    CameraConfig,
    DisplayConfig,
    JitterConfig,
    MoireConfig,
    PaperConfig,
    PhysicalConfig,
)


def test_every_style_has_a_section_and_a_family() -> None:
    config = PhysicalConfig()
    assert set(ATTACK_TYPE) == set(STYLES)
    assert set(ATTACK_TYPE.values()) == {"print", "cut_print", "replay"}
    assert {type(config.sections(style)[0]) for style in PLAIN} == {JitterConfig, MoireConfig}
    for style in set(STYLES) - set(PLAIN):
        kind = DisplayConfig if ATTACK_TYPE[style] == "replay" else PaperConfig
        assert isinstance(config.sections(style)[0], kind)
        assert isinstance(config.sections(style)[-1], CameraConfig)


@pytest.mark.parametrize("style", STYLES)
def test_no_parameter_of_a_style_has_two_meanings(style: str) -> None:
    names = [name for section in PhysicalConfig().sections(style) for name in type(section).model_fields]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"camera": {"jpeg": (90, 40)}}, "jpeg: the lowest value 90 is above the highest, 40"),
        ({"print": {"gamut": (0.5, 1.5)}}, "less than or equal to 1"),
        ({"print": {"bend": (0.0, 90.0)}}, "less than or equal to 70"),
        ({"replay_phone": {"pitch": (0.0, 1.0)}}, "greater than or equal to 0.2"),
        ({"replay_phone": {"layout": "delta"}}, "'stripe' or 'pentile'"),
        ({"cut_out": {"pitch": (1.0, 2.0)}}, "not permitted"),
        ({"mask": {}}, "not permitted"),
    ],
)
def test_what_is_out_of_range_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PhysicalConfig.model_validate(values)


def test_a_range_that_is_given_leaves_the_instruments_others_alone() -> None:
    text = '{"replay_phone": {"pitch": [0.5, 1]}, "camera": {"jpeg": [80, 90]}}'
    config = PhysicalConfig.model_validate_json(text, strict=True)
    assert config.replay_phone == PhysicalConfig().replay_phone.model_copy(update={"pitch": (0.5, 1.0)})
    assert config.replay_phone.layout == "pentile"
    assert config.camera.jpeg == (80, 90)
    assert PhysicalConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize("text", ['{"camera": {"jpeg": ["80", 90]}}', '{"camera": {"jpeg": [80]}}', '{"camera": 5}', "[]"])
def test_other_types_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        PhysicalConfig.model_validate_json(text, strict=True)


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PhysicalConfig().camera.jpeg = (1, 2)  # type: ignore[misc]


def test_every_field_is_described() -> None:
    for model in (PhysicalConfig, *(type(getattr(PhysicalConfig(), name)) for name in PhysicalConfig.model_fields)):
        assert all(field.description for field in model.model_fields.values())


def test_it_needs_nothing_heavy() -> None:
    code = "import fasgen.stages.physical.config, sys; print(*{'cv2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
