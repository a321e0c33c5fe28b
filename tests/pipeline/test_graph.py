"""Order and plan hash: what a stage's bytes depend on, and what they do not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from fasgen.errors import ConfigError
from fasgen.pipeline.graph import canonical_json, plain, plan_hash, resolve, wire, with_ancestors
from fasgen.stages.stage import Reads, Roster, StageConfig, StageSpec


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


def test_order_follows_reads_whatever_the_dict_says() -> None:
    specs = {name: spec(name, *reads) for name, reads in {"pack": ("score", "align"), "score": ("align",), "align": ()}.items()}
    wired = wire(specs, lambda section: None)
    assert list(wired) == ["align", "score", "pack"]
    assert with_ancestors(wired, ["score"]) == ["align", "score"]
    assert wired["pack"].primaries == ("score",) and wired["align"].lanes == ()


def test_a_stage_that_is_off_takes_with_it_what_reads_it_and_its_lane() -> None:
    specs = {
        "align": spec("align"),
        "synth": spec("synth", "align", off=lambda config: True),
        "screen": spec("screen", "synth", "align"),
        "pack": spec("pack", "align", also=(Reads("screen"), Reads("align"))),
    }
    assert list(wire(specs, lambda section: None)) == ["align", "pack"]
    assert wire(specs, lambda section: None)["pack"].primaries == ("align",)
    on = wire({**specs, "synth": spec("synth", "align")}, lambda section: None)
    assert list(on) == ["align", "synth", "screen", "pack"]
    assert on["pack"].primaries == ("align", "screen")


def cued(want: str, on: bool) -> dict[str, StageSpec]:
    reads = (Reads("align"), Reads("lgsc", arrays=("lgsc",), prefix="lgsc.", optional=True))
    return {
        "align": spec("align"),
        "lgsc": spec("lgsc", "align", off=lambda config: not on),
        "pack": StageSpec("pack", "", 1, reads, StageConfig, "a:b", wants=lambda config, read: want),  # type: ignore[arg-type, return-value]
    }


@pytest.mark.parametrize(
    ("want", "on", "read"),
    [("if_on", True, True), ("if_on", False, False), ("no", True, False), ("no", False, False), ("yes", True, True)],
)
def test_what_is_optional_is_read_where_it_is_wanted_and_made(want: str, on: bool, read: bool) -> None:
    wired = wire(cued(want, on), lambda section: None)
    assert wired["pack"].stages == (("align", "lgsc") if read else ("align",))
    assert ("lgsc" in wired) == on


def test_wanting_what_is_switched_off_is_refused() -> None:
    with pytest.raises(ConfigError, match="pack asks for what lgsc makes, which is switched off"):
        wire(cued("yes", False), lambda section: None)


def test_guides_and_rosters_bar_until_their_stage_is_whole() -> None:
    roster = Roster("align", "a:b", (), lambda config: 1)
    specs = {"align": spec("align"), "synth": spec("synth", "align", roster=roster, guides=(Reads("align"),))}
    assert wire(specs, lambda section: None)["synth"].whole == ("align",)


def test_rings_and_unknown_stages_are_refused() -> None:
    with pytest.raises(ConfigError, match="a -> b -> a"):
        wire({"a": spec("a", "b"), "b": spec("b", "a")}, lambda section: None)
    with pytest.raises(ConfigError, match="reads none, which is none of a"):
        wire({"a": spec("a", "none")}, lambda section: None)


def test_resolve_imports_what_the_target_names() -> None:
    assert resolve("fasgen.pipeline.graph:resolve") is resolve


DFG = spec("defake", "align", weights=lambda config: {"unet": config.model / "unet"})


def digest(config: StageConfig, stage: StageSpec = DFG, **changes: Any) -> str:
    values: dict[str, Any] = {"weights": {"unet": "00"}, "upstream": {"align": "11"}, "unit_rows": 128, "seed": 0, "batch": 16}
    return plan_hash(stage, config, **(values | changes))


def test_the_hash_is_of_values_not_of_classes() -> None:
    assert digest(Config()) == digest(SameConfig())


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
    assert len({digest(Config()), digest(Config(t=400)), digest(Config(), newer)}) == 3


def test_canonical_json_refuses_nan_and_keeps_undecodable_bytes() -> None:
    assert canonical_json({"b": 1, "a": "\udcff"}) == b'{"a":"\\udcff","b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


def test_plain_refuses_what_has_no_canonical_form() -> None:
    assert plain({"x": frozenset({2, 1})}) == {"x": [1, 2]}
    with pytest.raises(ConfigError, match="bytes"):
        plain(b"raw")
