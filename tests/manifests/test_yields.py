"""Yield: what is too little, and how it is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fasgen.manifests.yields import FEW, LITTLE, Yield, warnings

REMEDY = {"no_face": "turn them", "": "label some"}


def of(stage: str, ok: int, planned: int, reason: str = "no_face", **more: object) -> Yield:
    reasons = {reason: planned - ok} if planned > ok else {}
    return Yield(stage, planned, ok, reasons, REMEDY, **more)  # type: ignore[arg-type]


def test_nothing_kept_is_said_with_the_remedy_of_its_reason() -> None:
    assert warnings([of("align", 0, 37)]) == ["align kept 0 of 37 (37 no_face): turn them"]
    (other,) = warnings([of("align", 0, 1, "corrupt")])
    assert other.startswith("align kept 0 of 1 (1 corrupt): fasgen show \"stage = 'align' and status != 'ok'\"")


def test_the_most_frequent_reason_decides_and_three_are_named() -> None:
    reasons = {"pose": 2, "no_face": 40, "blurred": 3, "corrupt": 1}
    (said,) = warnings([Yield("align", 50, 4, reasons, REMEDY)])
    assert said == "align kept 4 of 50 (40 no_face, 3 blurred, 2 pose): turn them"


def test_a_stage_that_draws_none_of_its_rows_says_what_it_draws_from() -> None:
    drawn = of("synth", 0, 0, draws=True, source=12)
    assert warnings([of("align", 12, 12), drawn]) == ["synth made nothing of 12 rows: label some"]
    assert not warnings([of("align", 0, 0), of("synth", 0, 0, draws=True, source=0)])


def test_stages_to_which_nothing_came_are_named_together() -> None:
    told = warnings([of("align", 9, 9), of("synth", 0, 4), of("identify", 0, 0), of("score", 9, 9), of("screen", 0, 0)])
    assert told == ["synth kept 0 of 4 (4 no_face): turn them", "so nothing came to identify, screen"]


def test_notes_come_first() -> None:
    told = warnings([of("align", 0, 20), of("synth", 5, 5, notes=("in other styles",))])
    assert told[0] == "synth: in other styles" and len(told) == 2


def test_a_probe_of_very_few_rows_says_nothing() -> None:
    assert not warnings([of("align", 0, 2, tried=True)])
    assert warnings([of("align", 0, 8, tried=True)]) == ["align kept 0 of the 8 that were tried (8 no_face): turn them"]


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_warning_is_for_nothing_or_for_little_of_enough(ok: int, lost: int) -> None:
    planned = ok + lost
    short = planned > 0 and (ok == 0 or (planned >= FEW and ok <= LITTLE * planned))
    assert bool(warnings([of("align", ok, planned)])) == short
