"""The bench command: failures, missing peers and missed aims are said, and nothing stops the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.harness import Row, alternate, compare, median_ratio, table

MET = Row("pack", 1.0, 2.0, "tarfile 3", 2.0, 1.2, "us")
MISSED = Row("align", 1.0, 2.0, "facenet-pytorch 2", 2.0, 3.0, "ms")
ALONE = Row("brisque", 1.0, None, "piq: peer not installed", None, 3.0, "ms")
PLAIN = Row("memory", 5.0, None, "", None, None, "MiB")


def test_a_row_says_how_it_stands_to_its_aim() -> None:
    assert [row.verdict for row in (MET, MISSED, ALONE, PLAIN)] == ["met", "missed", "no peer", ""]
    lines = table([MET, MISSED]).splitlines()
    assert lines[1].endswith("met")
    assert lines[2].endswith("missed")


def test_one_that_fails_does_not_stop_the_others() -> None:
    given: dict[str, bench.Result] = {"a": [MET], "b": "ValueError: broken", "c": [MISSED, ALONE, PLAIN]}
    results = bench.run_all(list(given), given.__getitem__)
    assert list(results) == ["a", "b", "c"]
    text = bench.report(results)
    assert "b: failed: ValueError: broken" in text
    assert "align: missed: 2.00 of 3.00 against facenet-pytorch 2" in text
    assert "brisque: no peer: piq: peer not installed" in text
    assert text.splitlines()[-1] == "3 aims: 1 met, 1 missed, 1 without their peer"


def test_the_figures_are_written_and_the_code_tells_of_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BENCHES", ("good", "bad"))
    results: dict[str, bench.Result] = {"good": [MET], "bad": "it broke"}
    monkeypatch.setattr(bench, "run_all", lambda names: {name: results[name] for name in names})
    out = tmp_path / "deep" / "bench.json"
    assert bench.main(["--out", str(out)]) == 1
    written = json.loads(out.read_text())
    assert written["rows"]["good"][0]["verdict"] == "met"
    assert written["failed"] == {"bad": "it broke"}
    assert bench.main(["good", "--out", str(out)]) == 0


def test_a_benchmark_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["pakcing"])
    assert "packing" in capsys.readouterr().err


def test_a_module_that_cannot_be_run_is_a_failure_with_its_last_words() -> None:
    why = bench.measure("no_such_bench")
    assert isinstance(why, str)
    assert "no_such_bench" in why


def test_every_benchmark_is_a_module() -> None:
    assert all((bench.ROOT / "bench" / f"{name}.py").is_file() for name in bench.BENCHES)


def test_all_ways_run_equally_often_and_the_ratio_is_the_peer_over_ours() -> None:
    calls: list[str] = []
    times = alternate([lambda: calls.append("a"), lambda: calls.append("b")], rounds=4, warm=1)
    assert calls.count("a") == calls.count("b") == 5
    assert [len(each) for each in times] == [4, 4]
    assert median_ratio([1.0, 2.0, 4.0], [2.0, 2.0, 12.0]) == 2.0
    (row,) = compare("x", lambda: None, [("peer", lambda: None, 1.0)], rounds=2)
    assert row.peer is not None and row.ratio is not None
