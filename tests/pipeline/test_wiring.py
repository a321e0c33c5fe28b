"""Lanes: which stages run on which samples, what they read there, and how what they make is called."""

from __future__ import annotations

from typing import Any

import pytest

from fasgen.errors import ConfigError
from fasgen.pipeline.wiring import Lanes, Wiring, wire, with_ancestors
from fasgen.stages.stage import PICTURE, ArrayField, Cue, Reads, Roster, StageConfig, StageSpec


def spec(name: str, *reads: str | Reads, **more: Any) -> StageSpec:
    given = tuple(Reads(read) if isinstance(read, str) else read for read in reads)
    return StageSpec(name, "", 1, given, StageConfig, "a:b", **more)


def roster(source: str = "align") -> Roster:
    return Roster(source, "a:b", (), lambda config: 1)


def house(*more: StageSpec, off: bool = False, **others: StageSpec) -> dict[str, StageSpec]:
    """Photographs, spoofs of them, what is made of both, and of either alone, and what takes all of it."""
    specs = (
        spec("align", picture="crop"),
        spec("identify", PICTURE),
        spec("defake", "identify", PICTURE, "align", arrays=(cue("residual"),)),
        spec("synth", "align", roster=roster(), picture="crop", off=lambda config: off),
        spec("score", "defake", lanes=("photographed",)),
        spec("screen", "defake", "synth", Reads("identify", prefix="live_", parent=True)),
        *more,
        spec("pack", Reads("score", lanes=("photographed",)), Reads("screen", lanes=("synth",)), PICTURE, "align", joins=True),
    )
    return {one.name: one for one in specs} | others


def cue(name: str) -> Cue:
    return Cue(name, "int16", "a cue", one=1.0, card="A cue.", columns=("size",))


def made(specs: dict[str, StageSpec]) -> dict[str, Wiring]:
    return wire(specs, lambda stage: None)


def told(wiring: Wiring) -> dict[str, list[str]]:
    """What is read in each lane; with a mark where it is of the photograph."""
    return {
        lane: [read.stage + ("^" if read.parent else "") for read in reads if not read.cue]
        for lane, reads in wiring.lanes.items()
    }


def test_order_follows_reads_whatever_the_dict_says() -> None:
    specs = {name: spec(name, *reads) for name, reads in {"pack": ("score", "align"), "score": ("align",), "align": ()}.items()}
    wired = made(specs)
    assert list(wired) == ["align", "score", "pack"]
    assert with_ancestors(wired, ["score"]) == ["align", "score"]
    assert wired["pack"].primaries == ("score",) and wired["align"].sets == ()
    assert told(wired["align"]) == {"photographed": []}


def test_a_stage_runs_on_each_lane_on_which_it_finds_what_it_reads() -> None:
    wired = made(house())
    assert list(wired) == ["align", "identify", "defake", "score", "synth", "synth_identify", "synth_defake", "screen", "pack"]
    assert told(wired["synth"]) == {"synth": ["align^"]}
    assert told(wired["identify"]) == {"photographed": ["align"]}
    assert told(wired["synth_identify"]) == {"synth": ["synth"]}
    assert told(wired["synth_defake"]) == {"synth": ["synth_identify", "synth", "align^"]}
    assert told(wired["screen"]) == {"synth": ["synth_defake", "synth", "identify^"]}
    assert told(wired["pack"]) == {"photographed": ["score", "align", "align"], "synth": ["screen", "synth", "align^"]}
    assert wired["synth_defake"].stage == "defake" and wired["pack"].primaries == ("score", "screen")


def test_the_place_of_a_drawn_sample_can_always_be_read() -> None:
    wired = made(house(spec("blur", "identify")))
    assert told(wired["synth_blur"]) == {"synth": ["synth_identify", "synth"]}
    assert told(wired["blur"]) == {"photographed": ["identify"]}


def test_a_stage_of_a_user_opens_a_lane_and_meets_all_that_runs_on_lanes() -> None:
    wired = made(house(mask=spec("mask", "align", roster=roster(), picture="crop")))
    assert {"mask", "mask_identify", "mask_defake"} <= set(wired) and "mask_score" not in wired and "mask_screen" not in wired
    assert told(wired["pack"])["mask"] == ["mask", "align^"]


def test_a_stage_that_is_off_takes_with_it_what_reads_it_and_its_lane() -> None:
    wired = made(house(off=True))
    assert list(wired) == ["align", "identify", "defake", "score", "pack"] and wired["pack"].primaries == ("score",)
    assert list(made(house(defake=spec("defake", PICTURE, off=lambda config: True)))) == [
        "align",
        "identify",
        "synth",
        "synth_identify",
    ]


def test_names_do_not_hang_on_what_is_on() -> None:
    assert Lanes(house(off=True)).makes == Lanes(house()).makes
    assert Lanes(house()).makes["synth_defake"] == ("defake", ("synth",))
    assert Lanes(house()).makes["pack"] == ("pack", ("photographed", "synth"))


def gathering(names: tuple[str, ...] | None, on: bool = True) -> dict[str, StageSpec]:
    return house(
        spec("map", PICTURE, arrays=(cue("map"), ArrayField("mask", "uint8", "no cue"))),
        spec("own", PICTURE, arrays=(cue("own"),), off=lambda config: not on, lanes=("photographed",)),
        pack=spec("pack", PICTURE, joins=True, gathers=lambda config: names),
    )


def gathered(wiring: Wiring) -> list[list[tuple[str, str]]]:
    return [[(read.stage, read.cue.name) for read in reads if read.cue] for reads in wiring.sets]


def test_each_lane_gathers_the_cues_that_are_made_of_its_samples() -> None:
    wired = made(gathering(None))
    photographs = [("defake", "residual"), ("map", "map"), ("own", "own")]
    assert gathered(wired["pack"]) == [photographs, [("synth_defake", "residual"), ("synth_map", "map")]]
    assert [one.name for one in wired["pack"].cues] == ["residual", "map", "own"]
    assert wired["pack"].sets[0][1].columns == ("size", "seed", "plan_hash", "weights")
    # Whatever the dict says, what is gathered comes first.
    assert list(wired).index("own") < list(wired).index("pack")


def test_what_is_off_is_not_gathered_and_names_choose() -> None:
    wired = made(gathering(None, on=False))
    assert gathered(wired["pack"])[0] == [("defake", "residual"), ("map", "map")] and "own" not in wired
    assert gathered(made(gathering(("map",)))["pack"]) == [[("map", "map")], [("synth_map", "map")]]
    assert gathered(made(gathering(()))["pack"]) == [[], []]


def test_cues_that_cannot_be_gathered_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"asks for the cue residul, .* did you mean residual\? There are residual, map"):
        made(gathering(("residul",)))
    with pytest.raises(ConfigError, match="pack asks for the cue own of own, which is switched off: switch own on"):
        made(gathering(("own",), on=False))
    with pytest.raises(ConfigError, match="pack gathers two cues called map, of map and of other"):
        made({**gathering(None), "other": spec("other", PICTURE, arrays=(cue("map"),))})


@pytest.mark.parametrize("name", ["image", "json", "two words", "a.b", "", "Residual"])
def test_a_cue_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="a cue cannot be called"):
        cue(name)


def test_guides_and_rosters_bar_until_their_stage_is_whole() -> None:
    specs = {"align": spec("align"), "synth": spec("synth", "align", roster=roster(), guides=(Reads("align"),))}
    assert made(specs)["synth"].whole == ("align",)


def test_rings_and_what_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="a -> b -> a"):
        made({"a": spec("a", "b"), "b": spec("b", "a")})
    with pytest.raises(ConfigError, match="reads none, which is none of a"):
        made({"a": spec("a", "none")})
    with pytest.raises(ConfigError, match="reads the picture of its samples, and no stage"):
        made({"a": spec("a"), "b": spec("b", PICTURE)})
    with pytest.raises(ConfigError, match="stage lost runs nowhere: synth and mask are not made of the same samples"):
        made(house(spec("lost", "synth", "mask"), mask=spec("mask", "align", roster=roster())))
    with pytest.raises(ConfigError, match="what stage defake makes of synth would be called synth_defake, as a stage is"):
        made(house(synth_defake=spec("synth_defake", PICTURE)))
