"""History is appended line by line and survives a kill."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from fasgen.errors import StoreError
from fasgen.manifests.ledger import Ledger, read_ledger


def test_events_are_lines(tmp_path: Path) -> None:
    with Ledger(tmp_path, "r1") as ledger:
        ledger.event("unit", stage="align", path=Path("a"), detail="two\nlines")
    with Ledger(tmp_path, "r1") as again:
        again.event("end")
        again.summary({"ok": 3})
        again.summary({"ok": 4})
    again.event("late")
    events = read_ledger(tmp_path / "runs/r1")
    assert [event["event"] for event in events] == ["unit", "end"]
    assert events[0]["detail"] == "two\nlines" and events[0]["time"].endswith("+00:00")
    assert json.loads((tmp_path / "runs/r1/summary.json").read_text()) == {"ok": 4}


def test_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    with Ledger(tmp_path, "r1") as ledger:
        ledger.event("a")
    with (tmp_path / "runs/r1/ledger.jsonl").open("a") as stream:
        stream.write('{"event": "b')
    assert [event["event"] for event in read_ledger(tmp_path / "runs/r1")] == ["a"]


def test_threads_do_not_mix_lines(tmp_path: Path) -> None:
    with Ledger(tmp_path, "r1") as ledger:
        threads = [
            threading.Thread(target=lambda n=n: [ledger.event("e", number=n, pad="x" * 500) for _ in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(read_ledger(tmp_path / "runs/r1")) == 200


@pytest.mark.parametrize("run_id", ["", "..", "a/b"])
def test_ids_are_plain_names(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(StoreError, match="not a plain name"):
        Ledger(tmp_path, run_id)
