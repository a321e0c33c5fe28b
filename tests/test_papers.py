"""docs/papers.md names files, tests and presets that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fasgen.training.config import LoopConfig, trainings

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "papers.md").read_text("utf-8")


def test_what_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:fasgen|tests)/[\w./]+)(?:::(\w+))?`", PAGE))
    assert len(named) > 60
    for path, test in named:
        there = ROOT / path
        assert there.exists(), path
        assert not test or re.search(rf"^def {test}\(", there.read_text("utf-8"), re.MULTILINE), f"{path}::{test}"


def test_every_element_has_a_place_and_a_test() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    elements = [row for row in rows if row[0].strip() != "element"]
    assert len(elements) > 45
    for element, place, test in elements:
        assert "fasgen/" in place or "`loss." in place, element
        assert "`tests/" in test, element


@pytest.mark.parametrize(
    ("preset", "training", "wanted"),
    [
        (
            "agfas",
            "dfg",
            {"optimiser": "adamw", "lr": 1e-5, "weight_decay": 0.01, "clip": 0, "ema": 0.9999, "identity_drop": 0},
        ),
        ("lgsc", "lgsc", {"optimiser": "adam", "lr": 1e-3, "clip": 0, "ema": 0, "photometric": 0, "patch": 224}),
        ("stdn", "stdn", {"optimiser": "adam", "lr": 5e-5, "clip": 0, "ema": 0.9999, "weight_decay": 0}),
        ("difffas", "style", {"optimiser": "sgd", "lr": 2e-3, "clip": 0, "ema": 0, "shift": 0, "weight_decay": 5e-3}),
        ("difffas", "difffas", {"optimiser": "adamw", "lr": 1e-5, "clip": 0, "ema": 0.9999, "style_drop": 0.2, "warmup": 5000}),
    ],
)
def test_trainings_of_the_presets_have_what_the_authors_have(preset: str, training: str, wanted: dict[str, Any]) -> None:
    told = yaml.safe_load((ROOT / "fasgen" / "presets" / f"{preset}.yaml").read_text("utf-8"))["train"][training]
    given = {key: value for key, value in told.items() if value is not None}
    settings: LoopConfig = trainings()[training].config.model_validate(given)
    assert {name: getattr(settings, name) for name in wanted} == wanted
