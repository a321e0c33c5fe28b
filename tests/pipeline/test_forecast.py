"""The forecast: known answers, and what no schedule can beat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.pipeline import forecast
from fasgen.pipeline.events import Kind
from fasgen.pipeline.forecast import Expected, makespan
from fasgen.pipeline.schedule import StageWork


def chain(*names: str, kind: Kind = "cpu") -> list[StageWork]:
    """Stages that each read the one before."""
    above = (None, *names)
    return [StageWork(name, kind, (read,) if read else (), frozenset()) for name, read in zip(names, above, strict=False)]


def each(seconds: float, units: int, build: float = 0.0) -> Expected:
    return Expected(build, dict.fromkeys(range(units), seconds))


def test_one_worker_makes_one_unit_after_the_other_and_builds_once_a_stage() -> None:
    expected = {"a": each(2.0, 3, build=5.0), "b": each(1.0, 3, build=1.0)}
    assert makespan(chain("a", "b"), range(3), ["cpu"], expected, start=4.0) == pytest.approx(4 + 5 + 6 + 1 + 3)


def test_more_workers_than_units_wait() -> None:
    expected = {"a": each(10.0, 1)}
    assert makespan(chain("a"), range(1), ["cpu"] * 8, expected) == 10.0
    # Two units of ten seconds on two workers, one in hand each: nobody waits.
    assert makespan(chain("a"), range(2), ["cpu"] * 2, {"a": each(10.0, 2)}, depth=1) == 10.0


def test_kinds_work_side_by_side() -> None:
    work = [StageWork("a", "cpu", (), frozenset()), StageWork("b", "accelerator", (), frozenset())]
    assert makespan(work, range(2), ["cpu", "accelerator"], {"a": each(3.0, 2), "b": each(5.0, 2)}) == 10.0


def test_committed_units_take_no_time() -> None:
    work = [StageWork("a", "cpu", (), frozenset({0, 1}))]
    assert makespan(work, range(3), ["cpu"], {"a": Expected(1.0, {2: 4.0})}) == 5.0


@given(st.lists(st.floats(0.1, 9.0), min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 4))
def test_no_schedule_beats_the_work_or_the_longest_way(seconds: list[float], units: int, workers: int) -> None:
    names = [f"s{number}" for number in range(len(seconds))]
    expected = {name: each(one, units) for name, one in zip(names, seconds, strict=True)}
    found = makespan(chain(*names), range(units), ["cpu"] * workers, expected)
    assert found >= max(sum(seconds), units * sum(seconds) / workers) - 1e-6
    assert found <= units * sum(seconds) + 1e-6


def test_of_very_many_units_only_the_sum_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"a": each(1.0, 400, build=2.0), "b": each(1.0, 400)}
    played = makespan(chain("a", "b"), range(400), ["cpu"] * 4, expected)
    monkeypatch.setattr(forecast, "MOST", 100)
    assert makespan(chain("a", "b"), range(400), ["cpu"] * 4, expected) == pytest.approx(played, rel=0.1)


def test_a_worker_that_has_had_a_model_builds_it_sooner() -> None:
    first = Expected(5.0, {0: 1.0}, "net", 0.5)
    second = Expected(5.0, {0: 1.0}, "net", 0.5)
    # One worker: five seconds for the first lane, half of one for the second.
    assert makespan(chain("a", "b"), range(1), ["cpu"], {"a": first, "b": second}) == pytest.approx(5 + 1 + 0.5 + 1)
    # Another model is built as for the first time, and so is one of which nothing else is known.
    other = Expected(5.0, {0: 1.0}, "else", 0.5)
    assert makespan(chain("a", "b"), range(1), ["cpu"], {"a": first, "b": other}) == pytest.approx(12)
    assert makespan(chain("a", "b"), range(1), ["cpu"], {"a": each(1.0, 1, 5.0), "b": each(1.0, 1, 5.0)}) == pytest.approx(12)
