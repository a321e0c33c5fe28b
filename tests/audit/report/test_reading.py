"""What was read, and what is odd, in the short report and on the page's data."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fasgen.audit.readings import readings
from fasgen.audit.report.morning import write_report
from fasgen.cli import main
from fasgen.errors import StoreError
from fasgen.manifests.sources_file import folder_of, read_sources, write_sources
from fasgen.sources.odd import Example, Odd
from fasgen.sources.reading import Reading

from ...browser import Browser
from ..stores import HOSTILE, make_store

READING = Reading(
    "toy",
    rows=30,
    files=20,
    live=12,
    spoof={"print": 5, "replay": 2},
    unknown=1,
    subjects=6,
    nobody=1,
    splits={"train": 20},
    devices={HOSTILE: 3},
    skipped={"hidden": 2},
    odd=(Odd("no_pattern", 4, (Example(HOSTILE),)), Odd("note", 1, (Example("boxes are empty"),))),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = make_store(tmp_path / "store")
    write_sources(store, "toy", read_sources(store, "toy").to_pylist(), reading=READING.document())
    return store


def test_the_store_tells_what_was_read(store: Path) -> None:
    assert readings(store) == [READING]
    told = CliRunner().invoke(main, ["status", "--store", str(store)]).output
    assert "source   toy: 30 rows (left out: 2 hidden)\n" in told
    assert "20 files: 12 live, 7 spoof (5 print, 2 replay), 1 unknown; 6 subjects (1 file without); splits: 20 train" in told
    assert "odd      toy: 4 files that no pattern matches:" in told and "odd      toy: boxes are empty\n" in told


def test_a_listing_from_before_says_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    assert readings(store) == []
    assert "odd" not in CliRunner().invoke(main, ["status", "--store", str(store)]).output
    assert "What was read" not in write_report(store, tmp_path).short.read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "toy"}', '{"name": "toy", "odd": [], "strange": 1}'])
def test_a_damaged_record_is_named(store: Path, text: str) -> None:
    (folder_of(store, "toy") / "reading.json").write_text(text)
    with pytest.raises(StoreError, match=r"is damaged .*remove"):
        readings(store)


def test_the_short_report(store: Path, tmp_path: Path) -> None:
    short = write_report(store, tmp_path).short.read_text()
    assert "## What was read\n\n- toy: 30 rows; 20 files: 12 live" in short
    assert "### Odd in your sources\n\n- toy: 4 files that no pattern matches" in short
    assert "<img" not in short.replace("\\<", "")


def test_the_page(store: Path, tmp_path: Path) -> None:
    page = write_report(store, tmp_path).page
    with Browser(tmp_path / "profile") as browser:
        for width in (1400, 800):
            browser.resize(width, 900)
            browser.open(page)
            (row,) = browser.texts("main section:nth-child(4) tbody tr")
            assert row.startswith("toy3020127") and HOSTILE in row
            odd = browser.texts(".odd li")
            assert len(odd) == 2 and odd[0].startswith("toy 4 files that no pattern matches") and HOSTILE in odd[0]
            assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.console == [] and browser.dialogs == []
