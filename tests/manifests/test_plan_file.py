"""Plans are one text for one content; generations are told apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fasgen.errors import StoreError
from fasgen.manifests.atomic import leftovers
from fasgen.manifests.plan_file import forget, generations, latest, read_current, read_plan, write_plan


def test_one_content_one_text(tmp_path: Path) -> None:
    write_plan(tmp_path / "a", {"b": 1, "a": {"y": [1.5, None], "x": "ü"}})
    write_plan(tmp_path / "b", {"a": {"x": "ü", "y": [1.5, None]}, "b": 1})
    assert (tmp_path / "a/plan.json").read_bytes() == (tmp_path / "b/plan.json").read_bytes()
    assert read_plan(tmp_path / "a") == {"a": {"x": "ü", "y": [1.5, None]}, "b": 1}
    assert leftovers(tmp_path / "a") == []


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_is_not_json_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(StoreError, match="not plain JSON"):
        write_plan(tmp_path, {"a": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_plans_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(StoreError, match=r"plan\.json: is damaged"):
        read_plan(tmp_path)
    with pytest.raises(StoreError, match="not a stage's output"):
        read_plan(tmp_path / "none")


def test_generations(tmp_path: Path) -> None:
    for name in ("align-00000001", "align-00000002", "score-00000003", "two-words-00000004"):
        write_plan(tmp_path / name, {})
    for name in ("runs", "align-xyz", "score-0000000a"):
        (tmp_path / name).mkdir()
    write_plan(tmp_path / "align-00000001", {})
    os.utime(tmp_path / "align-00000001" / "plan.json", (1, 1))
    assert [each.folder.name[-1] for each in generations(tmp_path)] == ["1", "2", "3", "4"]
    assert {each.stage: each.folder.name[-1] for each in latest(tmp_path)} == {"align": "1", "score": "3", "two-words": "4"}
    assert generations(tmp_path / "none") == []
    align = read_current(tmp_path)["align"]
    assert [one.folder for one in align] == ["align-00000001", "align-00000002"] and align[0].since >= align[1].since
    forget(tmp_path, ["align-00000001"])
    assert [each.folder.name for each in latest(tmp_path) if each.stage == "align"] == ["align-00000002"]
    (tmp_path / "current.json").write_text("{")
    with pytest.raises(StoreError, match=r"current\.json: is damaged"):
        latest(tmp_path)
    (tmp_path / "current.json").write_text('{"format": "fasgen/1", "stages": {}}')
    with pytest.raises(StoreError, match="another format"):
        latest(tmp_path)
