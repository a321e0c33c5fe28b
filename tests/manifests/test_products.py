"""What a plan says of products is believed as far as it is said properly, and found again by what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fasgen.manifests.plan_file import read_plan, write_plan
from fasgen.manifests.products import CueFacts, Products, cutter, maker_of, products, units_of

CUE = {"name": "map", "doc": "a map", "one": 32767, "card": "A map.", "drawn": "magnitude", "leaves": "rest"}
PLAN: dict[str, Any] = {
    "lanes": ["photographed"],
    "primaries": ["cut"],
    "roster": False,
    "picture": "face",
    "arrays": ["map", "embedding"],
    "cues": [CUE],
    "scores": [["z", "live"], ["a", "worse"]],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
    max_leaves=6,
)


def test_a_plan_is_read_in_the_order_in_which_it_was_said(tmp_path: Path) -> None:
    write_plan(tmp_path, PLAN)
    made = products(read_plan(tmp_path))
    assert made.cues == {"map": CueFacts("map", "a map", 32767.0, "A map.", "magnitude", "rest")}
    assert list(made.scores.items()) == [("z", "live"), ("a", "worse")]
    assert made.primaries == ("cut",) and made.arrays == ("map", "embedding") and not made.draws and not made.cuts
    assert products({}) == Products()


@given(st.dictionaries(st.sampled_from([*sorted(PLAN), "gathers"]), JSON))
def test_whatever_a_plan_holds_it_is_read(plan: dict[str, Any]) -> None:
    made = products(plan)
    assert all(isinstance(cue.one, float) and cue.one > 0 for cue in (*made.cues.values(), *made.gathers.values()))
    assert all(isinstance(word, str) for word in (*made.arrays, *made.primaries, *made.scores, *made.scores.values()))


def test_generations_are_found_by_what_they_hold(tmp_path: Path) -> None:
    assert cutter(tmp_path) is None and maker_of(tmp_path, "embedding") is None and units_of(None) == []
    write_plan(tmp_path / "who-00000000", PLAN)
    write_plan(tmp_path / "a_who-00000000", PLAN | {"lanes": ["made"]})
    write_plan(tmp_path / "cut-00000000", {"lanes": ["photographed"], "picture": "face"})
    cut, who = cutter(tmp_path), maker_of(tmp_path, "embedding")
    assert cut and who and (cut.stage, who.stage) == ("cut", "who") and units_of(cut) == []
