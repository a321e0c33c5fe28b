"""`fasgen status`: what it calls stale, told from plans alone."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fasgen.commands.status import in_order, stale
from fasgen.manifests import plan_file


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose generations become current one second after another."""
    seconds = iter(range(60))

    class Clock:
        @staticmethod
        def now(zone: Any) -> datetime:
            return datetime(2026, 1, 1, 0, 0, next(seconds), tzinfo=zone)

    monkeypatch.setattr(plan_file, "datetime", Clock)
    return tmp_path


def make(store: Path, name: str, config: dict[str, Any], *upstream: str) -> str:
    """The plan of a generation, whose digest says what it is made with and of."""
    digest = hashlib.sha256(f"{name} {config} {upstream}".encode()).hexdigest()
    above = {each.rpartition("-")[0]: each.rpartition("-")[2].ljust(64, "0") for each in upstream}
    folder = store / f"{name}-{digest[:8]}"
    folder.mkdir(exist_ok=True)
    plan_file.write_plan(folder, {"stage": name, "version": 1, "config": config, "weights": {}, "upstream": above})
    return folder.name


def told(store: Path) -> list[str]:
    return list(stale(store, in_order(store)))


def test_what_was_made_together_is_not_stale(store: Path) -> None:
    align = make(store, "align", {"size": 112})
    spoofs = make(store, "synth", {"styles": 1}, align)
    make(store, "defake", {"t": 800, "batch": 32}, align)
    make(store, "synth_defake", {"t": 800, "batch": 6}, spoofs)
    assert told(store) == []


def test_what_was_made_of_another_generation_is_stale_and_what_follows_too(store: Path) -> None:
    align = make(store, "align", {"size": 112})
    known = make(store, "identify", {}, align)
    make(store, "score", {}, known)
    make(store, "align", {"size": 224})
    (line,) = told(store)
    assert line == (
        f"stale    identify: made of {align}, which is not current any more; score: made of these; "
        "fasgen run stage=identify,score, with the settings of the last run, makes them again"
    )


def test_other_settings_on_one_lane_make_the_others_stale_and_what_follows_them(store: Path) -> None:
    align = make(store, "align", {"size": 112})
    spoofs = make(store, "synth", {"styles": 1}, align)
    cues = make(store, "defake", {"t": 800}, align)
    of_spoofs = make(store, "synth_defake", {"t": 800}, spoofs)
    make(store, "screen", {}, of_spoofs)
    make(store, "score", {}, cues)
    new = make(store, "defake", {"t": 600}, align)
    (line,) = told(store)
    assert f"score: made of {cues}, which is not current any more; " in line
    assert "synth_defake: made with other settings than defake, which is newer; screen: made of these; " in line
    assert "fasgen run stage=score,synth_defake,screen, with" in line
    # The other way round: the spoofs' is the newer one.
    make(store, "synth_defake", {"t": 400}, spoofs)
    make(store, "score", {}, new)
    (line,) = told(store)
    assert "defake: made with other settings than synth_defake, which is newer" in line


def test_a_batch_of_another_size_is_no_other_setting(store: Path) -> None:
    align = make(store, "align", {"size": 112})
    make(store, "defake", {"t": 800, "batch": 4}, align)
    make(store, "synth_defake", {"t": 800, "batch": 8}, make(store, "synth", {}, align))
    assert told(store) == []
