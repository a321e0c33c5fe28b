"""docs/papers.md names files, tests and presets that are there."""

from __future__ import annotations

import re
from pathlib import Path

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
