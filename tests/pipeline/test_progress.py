"""The table: rates count working time only, and every view shows the same lines."""

from __future__ import annotations

import io

import pytest

from fasgen.manifests.unit import UnitSummary
from fasgen.pipeline.progress import Live, Plain, StageLine, StageStart, Total, Tracker, hms, progress_for, rejects, sentence


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def summary(rejected: int = 0) -> UnitSummary:
    reasons = {"no_face": rejected} if rejected else {}
    return UnitSummary(0, 10, 10 - rejected, rejected, 0, reasons, 0)


def test_rate_and_time_left() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    tracker.begin([StageStart("align", 5, 1, 40, {"no_face": 2}), StageStart("defake", 5, 0, 50, {})])
    tracker.show({"align": (1, 1, 3), "defake": (0, 0, 5)})
    clock.now += 5
    tracker.unit("align", summary(3))
    tracker.show({"align": (2, 0, 3), "defake": (0, 1, 4)})
    clock.now += 1000
    tracker.show({"align": (2, 1, 2), "defake": (0, 1, 4)})
    align, defake = tracker.lines()
    assert align == StageLine("align", 5, 2, 1, 2, 2.0, {"no_face": 5}, 15.0)
    assert defake.rate is None and defake.left is None


def test_words() -> None:
    assert [hms(seconds) for seconds in (None, 0, 61.4, 3723)] == ["-", "0:00", "1:01", "1:02:03"]
    assert rejects({"a": 1, "b": 3, "c": 3}) == "b 3, c 3, a 1"
    line = StageLine("align", 5, 2, 1, 2, 2.0, {}, 15.0)
    assert sentence(line) == "align: 2/5 units, 1 running, 2 waiting, 2.0 samples/s, rejects -, left 0:15"


def test_plain_lines_come_when_something_changed() -> None:
    stream = io.StringIO()
    plain = progress_for(stream)
    assert isinstance(plain, Plain)
    clock = plain.tracker.clock = Clock()
    with plain:
        plain.begin([StageStart("align", 2, 0, 20, {})])
        plain.show({"align": (0, 1, 1)})
        plain.show({"align": (1, 1, 0)})
        clock.now += 11
        plain.show({"align": (1, 1, 0)})
        clock.now += 11
        plain.show({"align": (1, 1, 0)})
        plain.say("worker 1 died")
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "align: 0/2 units",
        "in all: 0 % done",
        "align: 1/2 units",
        "in all: 50 % done",
        "worker 1 died",
    ]
    assert lines[3] == "in all: 50 % done, 0:11 elapsed, 0:11 left"


def test_the_run_as_a_whole_weighs_stages_by_what_is_foretold_of_them() -> None:
    clock = Clock()
    for seconds, share in (((10.0, 90.0), 0.1), ((10.0, None), 0.5)):
        tracker = Tracker(clock)
        tracker.begin([StageStart("align", 5, 1, 40, {}, seconds[0]), StageStart("defake", 5, 1, 40, {}, seconds[1])])
        assert tracker.total() == Total(0.0, 0.0, None)
        clock.now += 20
        tracker.show({"align": (5, 0, 0), "defake": (1, 1, 3)})
        total = tracker.total()
        assert total.elapsed == 20 and total.share == pytest.approx(share)
        assert total.left == pytest.approx(20 * (1 - share) / share)
    done = Tracker(clock)
    done.begin([StageStart("align", 5, 5, 0, {})])
    assert done.total() == Total(0.0, 1.0, 0.0)


def test_live_table_shows_stages_and_messages_as_they_are() -> None:
    stream = io.StringIO()
    with Live(stream) as live:
        live.begin([StageStart("align", 2, 0, 20, {})])
        live.show({"align": (0, 1, 1)})
        live.say("[not markup] died")
    assert "align" in stream.getvalue() and "[not markup] died" in stream.getvalue()


def test_what_is_not_computed_yet_is_said_and_is_no_working_time() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    tracker.begin([StageStart("defake", 5, 0, 50, {})])
    tracker.show({"defake": (0, 2, 3)}, {"defake": {"compiling": 2}})
    clock.now += 100
    (line,) = tracker.lines()
    assert sentence(line).startswith("defake: 0/5 units, 2 running (compiling), 3 waiting")
    tracker.show({"defake": (0, 2, 3)}, {"defake": {"starting": 1}})
    assert sentence(tracker.lines()[0]).startswith("defake: 0/5 units, 2 running (1 starting), 3 waiting")
    clock.now += 5
    tracker.unit("defake", summary())
    tracker.show({"defake": (1, 2, 2)}, {"defake": {}})
    (line,) = tracker.lines()
    assert line.rate == 2.0 and sentence(line).startswith("defake: 1/5 units, 2 running, 2 waiting")


def test_the_live_table_says_it_too() -> None:
    stream = io.StringIO()
    with Live(stream) as live:
        live.begin([StageStart("defake", 2, 0, 20, {})])
        live.show({"defake": (0, 1, 1)}, {"defake": {"compiling": 1}})
    assert "1 (compiling)" in stream.getvalue()


def test_plain_lines_come_when_compiling_has_ended() -> None:
    stream = io.StringIO()
    plain = Plain(stream)
    clock = plain.tracker.clock = Clock()
    with plain:
        plain.begin([StageStart("defake", 2, 0, 20, {})])
        plain.show({"defake": (0, 1, 1)}, {"defake": {"compiling": 1}})
        clock.now += 11
        plain.show({"defake": (0, 1, 1)}, {"defake": {"compiling": 1}})
        clock.now += 11
        plain.show({"defake": (0, 1, 1)})
    lines = [line for line in stream.getvalue().splitlines() if not line.startswith("in all")]
    assert ["compiling" in line for line in lines] == [True, False]
