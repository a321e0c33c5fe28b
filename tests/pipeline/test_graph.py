"""Order and plan hash: what a stage's bytes depend on, and what they do not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from fasgen.errors import ConfigError
from fasgen.pipeline.graph import Wiring, canonical_json, plain, plan_hash, resolve, wire, with_ancestors
from fasgen.stages.stage import ArrayField, Cue, Reads, Roster, StageConfig, StageSpec


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


def cue(name: str) -> Cue:
    return Cue(name, "int16", "a cue", one=1.0, card="A cue.", columns=("size",))


def cued(names: tuple[str, ...] | None, on: bool = True) -> dict[str, StageSpec]:
    """Photographs and spoofs of them; a cue of both, one of each under one name by twins, and one of photographs alone."""
    roster = Roster("align", "a:b", (), lambda config: 1)
    return {
        "align": spec("align"),
        "synth": spec("synth", "align", roster=roster),
        "residual": spec("residual", "align", arrays=(cue("residual"),)),
        "synth_residual": spec("synth_residual", "synth", arrays=(cue("residual"),)),
        "both": spec("both", "align", also=(Reads("synth"),), arrays=(cue("map"), ArrayField("mask", "uint8", "no cue"))),
        "pack": spec("pack", "align", also=(Reads("synth"),), gathers=lambda config: names),
        "own": spec("own", "align", arrays=(cue("own"),), off=lambda config: not on),
    }


def gathered(wiring: Wiring) -> list[list[tuple[str, str]]]:
    return [[(read.stage, read.cue.name) for read in lane if read.cue] for lane in wiring.lanes]


def test_each_lane_gathers_the_cues_that_are_made_of_its_samples() -> None:
    wired = wire(cued(None), lambda section: None)
    photographs = [("residual", "residual"), ("both", "map"), ("own", "own")]
    assert gathered(wired["pack"]) == [photographs, [("synth_residual", "residual"), ("both", "map")]]
    assert [one.name for one in wired["pack"].cues] == ["residual", "map", "own"]
    assert wired["pack"].lanes[0][1].columns == ("size", "seed", "plan_hash", "weights")
    assert wired["both"].samples == {"photographed", "synthesised"} and wired["synth"].samples == {"synthesised"}
    # Whatever the dict says, what is gathered comes first.
    assert list(wired).index("own") < list(wired).index("pack")


def test_what_is_off_is_not_gathered_and_names_choose() -> None:
    wired = wire(cued(None, on=False), lambda section: None)
    assert gathered(wired["pack"])[0] == [("residual", "residual"), ("both", "map")] and "own" not in wired
    assert gathered(wire(cued(("map",)), lambda section: None)["pack"]) == [[("both", "map")]] * 2
    assert gathered(wire(cued(()), lambda section: None)["pack"]) == [[], []]


def test_cues_that_cannot_be_gathered_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"asks for the cue residul, .* did you mean residual\? There are residual, map"):
        wire(cued(("residul",)), lambda section: None)
    with pytest.raises(ConfigError, match="pack asks for the cue own of own, which is switched off: switch own on"):
        wire(cued(("own",), on=False), lambda section: None)
    with pytest.raises(ConfigError, match="pack gathers two cues called map, of both and of other"):
        wire({**cued(None), "other": spec("other", "align", arrays=(cue("map"),))}, lambda section: None)


@pytest.mark.parametrize("name", ["image", "json", "two words", "a.b", "", "Residual"])
def test_a_cue_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="a cue cannot be called"):
        cue(name)


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
