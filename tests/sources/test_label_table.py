"""Tables find their files, however either is spelt."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from fasgen.errors import SourceError
from fasgen.sources.config import SourceConfig
from fasgen.sources.rows import Scan
from fasgen.sources.scan import scan


def listed(root: Path, text: str, *names: str) -> Scan:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root.parent / "t.csv").write_text(text)
    return scan(SourceConfig(name="s", path=root, table=root.parent / "t.csv"))


def labels(found: Scan) -> dict[str, str]:
    return {row.path: row.label for row in found}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (r"a\1.jpg", "a/1.jpg"),
        (r".\a\1.jpg", "a/1.jpg"),
        ("a/1.jpg", "a/1.JPG"),
        ("A/1.jpg", "a/1.jpg"),
        (unicodedata.normalize("NFC", "josé/1.jpg"), unicodedata.normalize("NFD", "josé/1.jpg")),
        (unicodedata.normalize("NFD", "josé/1.jpg"), unicodedata.normalize("NFC", "josé/1.jpg")),
    ],
)
def test_a_row_finds_the_file_that_it_means(tmp_path: Path, told: str, name: str) -> None:
    found = listed(tmp_path / "s", f"path,label\n{told},live\n", name)
    assert labels(found) == {name: "live"}
    assert [one.kind for one in found.odd] == ["respelt"]


def test_the_very_name_comes_first_and_what_could_mean_two_means_none(tmp_path: Path) -> None:
    found = listed(tmp_path / "s", "path,label\na.jpg,live\nB.Jpg,spoof\n", "a.jpg", "A.jpg", "b.jpg", "b.JPG")
    assert labels(found)["a.jpg"] == "live" and labels(found)["A.jpg"] == "unknown"
    assert (labels(found)["B.Jpg"], labels(found)["b.jpg"]) == ("spoof", "unknown")
    assert {one.kind: one.count for one in found.odd} == {"not_listed": 3, "no_file": 1, "twin": 3}


def test_two_rows_that_mean_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"names 'a\.jpg' a second time"):
        listed(tmp_path / "s", "path,label\nA.jpg,live\na.JPG,live\n", "a.jpg", "b.jpg")


@pytest.mark.parametrize("place", ["link", "s", "above/s"])
def test_absolute_paths_are_found_through_links(tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to("s")
    (tmp_path / "above").symlink_to(".")
    for through in ("s", "link", "above/s", "above/link"):
        (tmp_path / "s/a").mkdir(parents=True, exist_ok=True)
        found = listed(tmp_path / place, f"path,label\n{tmp_path / through}/a/1.jpg,live\n", "a/1.jpg")
        assert labels(found) == {"a/1.jpg": "live"}, through


@pytest.mark.parametrize("path", [r"C:\faces\1.jpg", "C:/faces/1.jpg", r"\\server\faces\1.jpg", "s3://b/1.jpg", r"..\1.jpg"])
def test_what_lies_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match=r"is not a path below .*write paths relative to that folder"):
        listed(tmp_path / "s", f"path,label\n1.jpg,live\n{path},live\n", "1.jpg")


def test_a_backslash_of_a_name_is_one(tmp_path: Path) -> None:
    found = listed(tmp_path / "s", "path,label\na\\1.jpg,live\n", "a\\1.jpg")
    assert labels(found) == {r"a\x5c1.jpg": "live"} and not found.odd


def test_numbers_keep_their_zeros(tmp_path: Path) -> None:
    found = listed(tmp_path / "s", "Path; Subject\n1.jpg; 001\n", "1.jpg")
    assert found[0].subject == "s/001"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_names_are_the_same_in_every_encoding_that_spreadsheets_write(tmp_path: Path, encoding: str) -> None:
    text = "path;subject;label\r\nMüller 1.jpg;Jürgen Groß;live\r\nb.jpg;Zoë;spoof\r\nc.jpg;Ana;live\r\n"
    for name in ("Müller 1.jpg", "b.jpg", "c.jpg"):
        (tmp_path / "s" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "s" / name).write_bytes(b"x")
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = scan(SourceConfig(name="s", path=tmp_path / "s", table=tmp_path / "t.csv"))
    assert [(row.path, row.subject, row.label) for row in found] == [
        ("Müller 1.jpg", "s/Jürgen Groß", "live"),
        ("b.jpg", "s/Zoë", "spoof"),
        ("c.jpg", "s/Ana", "live"),
    ]
    assert {one.kind for one in found.odd} == ({"respelt"} if encoding == "cp1252" else set())
