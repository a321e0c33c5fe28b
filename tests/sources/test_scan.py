from __future__ import annotations

import os
from pathlib import Path

import pytest

from fasgen.errors import SourceError
from fasgen.sources.config import SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import sample_id
from fasgen.sources.scan import scan
from fasgen.sources.walk import Globs


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_rows_and_what_is_skipped(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "b/2.jpg",
        "b/1.PNG",
        "a.mp4",
        "no-extension",
        "odd.xyz",
        "notes.txt",
        "b/boxes.TXT",
        ".hidden.jpg",
        ".git/x.jpg",
    )
    os.mkfifo(tmp_path / "pipe")
    listing = scan(SourceConfig(name="set", path=tmp_path, frames=3, licence="CC0-1.0"))
    assert [(row.path, row.kind, row.frame_k, row.frame_n) for row in listing] == [
        ("a.mp4", "video", 0, 3),
        ("a.mp4", "video", 1, 3),
        ("a.mp4", "video", 2, 3),
        ("b/1.PNG", "image", None, None),
        ("b/2.jpg", "image", None, None),
        ("no-extension", "image", None, None),
        ("odd.xyz", "image", None, None),
    ]
    assert listing.skipped == {"hidden": 2, "not a regular file": 1, "not media: .txt": 2}
    assert listing[4].size == 7 and listing[4].licence == "CC0-1.0"
    assert listing[1].sample_id == sample_id("set", "a.mp4", 1)
    assert len({row.sample_id for row in listing}) == len(listing)
    assert list(listing[0].as_dict())[:3] == ["sample_id", "dataset", "path"]


def test_order_is_that_of_bytes_whatever_the_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/x.jpg", "a-b.jpg", "a.jpg", "Z.jpg", "é.jpg", "a/é.jpg")
    expected = tuple(scan(SourceConfig(name="set", path=tmp_path)))
    raw = [os.fsencode(row.path) for row in expected]
    assert raw == sorted(raw)
    inner = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: sorted(inner(folder), key=lambda entry: entry.name, reverse=True))
    assert tuple(scan(SourceConfig(name="set", path=tmp_path))) == expected


def test_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.jpg", "b.mp4")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("opened"))
    assert len(scan(SourceConfig(name="set", path=tmp_path, frames=1))) == 2


def test_globs(tmp_path: Path) -> None:
    fill(tmp_path, "train/a.jpg", "train/deep/b.jpg", "enroll/c.jpg", "d.png")
    listing = scan(SourceConfig(name="set", path=tmp_path, include=("*.jpg",), exclude=("enroll/*", "*/deep/*")))
    assert [row.path for row in listing] == ["train/a.jpg"] and listing.skipped == {"excluded": 3}


@pytest.mark.parametrize("glob", ["*.jpg", "*.JPG", "*.Jpg"])
def test_globs_are_blind_to_the_case_of_extensions(tmp_path: Path, glob: str) -> None:
    fill(tmp_path, "a/1.jpg", "a/2.JPG", "a/3.jPg", "a/4.jpeg", "A/5.jpg", "a/6.jpg.png")
    listing = scan(SourceConfig(name="set", path=tmp_path, include=(glob,)))
    assert [row.path for row in listing] == ["A/5.jpg", "a/1.jpg", "a/2.JPG", "a/3.jPg"]
    rest = scan(SourceConfig(name="set", path=tmp_path, exclude=(f"a/{glob}",)))
    assert [row.path for row in rest] == ["A/5.jpg", "a/4.jpeg", "a/6.jpg.png"]
    assert [one.what for one in rest.odd if one.kind == "idle"] == []


@pytest.mark.parametrize(
    "glob, found",
    [("*.jp?g", {"a.jpeg"}), ("*.[jJ]pg", {"b.jpg", "b.Jpg"}), ("b.*", {"b.jpg", "b.Jpg", "b.JPG"}), ("B*", set())],
)
def test_what_is_no_plain_extension_stays_as_it_is_written(glob: str, found: set[str]) -> None:
    globs = Globs([glob])
    assert {name for name in ("a.jpeg", "b.jpg", "b.Jpg", "b.JPG", "c.MP4") if globs.match(name)} == found


def test_symbolic_links(tmp_path: Path) -> None:
    fill(tmp_path, "set/one/a.jpg", "elsewhere/b.jpg")
    root = tmp_path / "set"
    (root / "link.jpg").symlink_to("one/a.jpg")
    (root / "outside").symlink_to(tmp_path / "elsewhere")
    (root / "one" / "up").symlink_to("..")
    (root / "dangling.jpg").symlink_to("nowhere.jpg")
    (root / "self").symlink_to("self")
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    assert [row.path for row in scan(SourceConfig(name="set", path=root))] == [
        "dangling.jpg", "link.jpg", "one/a.jpg", "one/up", "ping", "pong", "self"
    ]  # fmt: skip
    listing = scan(SourceConfig(name="set", path=root, follow_symlinks=True))
    assert [row.path for row in listing] == [
        "dangling.jpg", "link.jpg", "one/a.jpg", "one/up", "outside/b.jpg", "ping", "pong", "self"
    ]  # fmt: skip
    decoder = Decoder(root)
    for row in listing:
        with pytest.raises(SampleError) as caught:
            decoder.read(row)
        bad_link = row.path in ("dangling.jpg", "one/up", "ping", "pong", "self")
        assert caught.value.reason.value == ("unreadable" if bad_link else "not_media")
    stay = scan(SourceConfig(name="set", path=root, follow_symlinks=False))
    assert [row.path for row in stay] == ["one/a.jpg"] and stay.skipped == {"symbolic link": 7}


def test_a_folder_that_cannot_be_listed_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "open/a.jpg", "shut/b.jpg")
    inner = os.scandir

    def guarded(folder: str) -> object:
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied", folder)
        return inner(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert [row.path for row in scan(SourceConfig(name="set", path=tmp_path))] == ["open/a.jpg", "shut"]


def test_unusable_sources_say_what_to_change(tmp_path: Path) -> None:
    fill(tmp_path, "file.jpg", "texts/a.txt")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("gone", "does not exist"),
        ("file.jpg", "not a folder"),
        ("empty", "empty"),
        ("texts", "1 not media: .txt"),
    ):
        with pytest.raises(SourceError, match=message):
            scan(SourceConfig(name="set", path=tmp_path / name))


def test_table_and_disk_are_compared(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "labels.csv").write_text("path,label\na.jpg,real\ngone.jpg,attack\nskipped.txt,real\n")
    listing = scan(SourceConfig(name="set", path=tmp_path, table=tmp_path / "labels.csv"))
    assert [(row.path, row.label) for row in listing] == [
        ("a.jpg", "live"), ("b.jpg", "unknown"), ("c.jpg", "unknown"), ("gone.jpg", "spoof")
    ]  # fmt: skip
    assert [(one.kind, one.count, [each.path for each in one.examples]) for one in listing.odd] == [
        ("not_listed", 2, ["b.jpg", "c.jpg"]), ("no_file", 1, ["gone.jpg"])
    ]  # fmt: skip
    with pytest.raises(SampleError, match="No such file"):
        Decoder(tmp_path).read(listing[3])
    only = scan(SourceConfig(name="set", path=tmp_path, table=tmp_path / "labels.csv", table_only=True))
    assert [row.path for row in only] == ["a.jpg", "gone.jpg"] and only.skipped["not in the table"] == 2


def test_a_table_that_fits_nothing_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "labels.csv").write_text("path,label\nwrong/a.jpg,real\n")
    with pytest.raises(SourceError, match="relative to that folder"):
        scan(SourceConfig(name="set", path=tmp_path, table=tmp_path / "labels.csv"))
