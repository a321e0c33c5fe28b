"""Plan hash: what a stage's bytes depend on, and what they do not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from fasgen.errors import ConfigError
from fasgen.pipeline.graph import ascii_json, plain, plan_hash, resolve
from fasgen.stages.stage import Reads, StageConfig, StageSpec


class Mode(StrEnum):
    FAST = "fast"


class Config(StageConfig):
    t: int = 800
    mode: Mode = Mode.FAST
    bands: tuple[float, ...] = (0.1, 0.5)
    model: Path = Path("/models/dfg")


class SameConfig(StageConfig):
    model: Path = Path("/models/dfg")
    bands: list[float] = Field([0.1, 0.5])
    mode: str = "fast"
    t: int = 800


def spec(name: str, *reads: str, **more: Any) -> StageSpec:
    return StageSpec(name, "", 1, tuple(Reads(stage) for stage in reads), StageConfig, "a:b", **more)


def test_resolve_imports_what_the_target_names() -> None:
    assert resolve("fasgen.pipeline.graph:resolve") is resolve


DFG = spec("defake", "align", weights=lambda config: {"unet": config.model / "unet"})


def digest(config: StageConfig, stage: StageSpec = DFG, name: str = "defake", **changes: Any) -> str:
    values: dict[str, Any] = {"weights": {"unet": "00"}, "upstream": {"align": "11"}, "unit_rows": 128, "seed": 0, "batch": 16}
    return plan_hash(name, stage, config, **(values | changes))


def test_the_hash_is_of_values_not_of_classes() -> None:
    assert digest(Config()) == digest(SameConfig())


class Grown(Config):
    LATER: ClassVar[frozenset[str]] = frozenset({"weight"})

    weight: float = 1.0


def test_a_setting_that_came_later_is_no_part_of_the_hash_at_its_default() -> None:
    assert digest(Grown()) == digest(Config()) != digest(Grown(weight=2.0))


def test_where_weights_lie_is_no_part_of_the_hash_but_what_they_hold_is() -> None:
    assert digest(Config(model=Path("/elsewhere/dfg"))) == digest(Config())
    assert digest(Config(), weights={"unet": "01"}) != digest(Config())


@pytest.mark.parametrize(
    "change",
    [{"upstream": {"align": "12"}}, {"unit_rows": 256}, {"seed": 1}, {"batch": 8}],
)
def test_everything_else_is(change: dict[str, Any]) -> None:
    assert digest(Config(), **change) != digest(Config())


def test_settings_and_versions_are() -> None:
    newer = StageSpec("defake", "", 2, DFG.reads, StageConfig, "a:b", weights=DFG.weights)
    assert len({digest(Config()), digest(Config(t=400)), digest(Config(), newer), digest(Config(), name="synth_defake")}) == 4


def test_ascii_json_refuses_nan_and_keeps_undecodable_bytes() -> None:
    assert ascii_json({"b": 1, "a": "\udcff"}) == b'{"a":"\\udcff","b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        ascii_json(float("nan"))


def test_plain_refuses_what_has_no_canonical_form() -> None:
    assert plain({"x": frozenset({2, 1})}) == {"x": [1, 2]}
    with pytest.raises(ConfigError, match="bytes"):
        plain(b"raw")
