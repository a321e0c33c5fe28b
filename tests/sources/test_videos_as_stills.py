"""Stills that are frames of a video: named by a pattern, a table, an adapter or the JSON in a tar; counted as one."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fasgen.errors import SourceError
from fasgen.sources.config import SourceConfig
from fasgen.sources.labels import Labeller
from fasgen.sources.rows import Scan
from fasgen.sources.scan import scan

PATTERN = r"^(?P<label>live|spoof)/(?P<subject>[^/]+)/(?P<video>clip_\d+)/"
CLIPS = {"live/anna/clip_1": 3, "live/ben/clip_1": 2, "spoof/anna/clip_1": 2}


def lay(root: Path, clips: dict[str, int] = CLIPS, *others: str) -> Path:
    names = [f"{clip}/{number:04d}.jpg" for clip, count in clips.items() for number in range(count)]
    for name in (*names, *others):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def listed(root: Path, **settings: Any) -> Scan:
    return scan(SourceConfig(**{"name": "set", "path": root, **settings}))


def videos(found: Scan) -> dict[str | None, int]:
    names = [row.video for row in found]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def test_a_folder_of_stills_is_one_video(tmp_path: Path) -> None:
    found = listed(
        lay(tmp_path, CLIPS, "live/anna/portrait.jpg", "live/anna/clip_1/whole.mp4"), pattern=(PATTERN, "(?P<label>live)")
    )
    # Of each person the clips are numbered anew; a video file among the stills is a video of its own.
    assert videos(found) == {"live/anna/clip_1": 3, None: 11, "live/ben/clip_1": 2, "spoof/anna/clip_1": 2}
    assert {row.kind for row in found if row.video is None} == {"image", "video"}
    told = found.reading
    assert (told.files, told.videos, told.clips, told.stills) == (9, 1, 3, 7)
    assert told.counts.startswith("9 files (1 video, 3 videos as 7 stills): 7 live, 2 spoof")


def test_parts_of_the_name_and_the_form_of_letters(tmp_path: Path) -> None:
    def named(pattern: str, path: str) -> str | None:
        return Labeller(SourceConfig(name="set", path=tmp_path, pattern=pattern))(path).video

    assert named(r"^(?P<video>(?P<subject>[a-z]+)_\d+)_\d+\.", "in/anna_7_0001.jpg") is None
    assert named(r"(?P<video>(?P<subject>[a-z]+)_\d+)_\d+\.", "in/anna_7_0001.jpg") == "in/anna_7"
    assert named(r"(?P<video2>\d+)/(?P<subject>[a-z]+)_(?P<video>\d)", "7/anna_3_0001.jpg") == "7/anna_3"
    assert named(r"(?P<video>clip)/", "jose\u0301/clip/1.jpg") == "jos\u00e9/clip"
    assert named(r"(?P<video>clip)?", "1.jpg") is None


def test_a_table_names_it(tmp_path: Path) -> None:
    lay(tmp_path)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "subject", "Video"])
        for clip, count in CLIPS.items():
            label, subject, _ = clip.split("/")
            rows.writerows([f"{clip}/{k:04d}.jpg", label, subject, f"{label[0]}-{subject}-1"] for k in range(count))
    assert videos(listed(tmp_path, table=tmp_path / "t.csv")) == {"l-anna-1": 3, "l-ben-1": 2, "s-anna-1": 2}


def test_an_adapter_of_ones_own_names_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nlayout: [label/person/clip/frame.jpg]\nrules:\n"
        "  - path: '(?P<label>live|spoof)/(?P<subject>[^/]+)/(?P<clip>[^/]+)/\\d+'\n    extensions: [jpg]\n"
        '    says: {video: "{label}/{subject}/{clip}"}\n'
    )
    assert videos(listed(lay(tmp_path / "in"), adapter=tmp_path / "mine.yaml")) == CLIPS


def test_the_json_in_a_tar_names_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(3):
            members = {"jpg": b"x", "json": b'{"label": "live", "video": "walk"}' if number else b'{"label": "live"}'}
            for extension, data in members.items():
                member = tarfile.TarInfo(f"{number}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    assert videos(listed(tmp_path, adapter="webdataset")) == {None: 1, "walk": 2}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"^(?P<label>live|spoof)/(?P<subject>[^/]+)/.*(?P<x>)", "unknown group 'x'"),
        (r"^(?P<video>live|spoof)/(?P<subject>[^/]+)/", r"video 'live' has frames of set/anna .* and of set/ben"),
        (r"(?P<label>live|spoof)/[^/]+/(?P<video>clip_1)", ""),
        (r"^(?P<video>)(?P<label>live|spoof)", ""),
    ],
)
def test_what_is_no_one_video_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    lay(tmp_path)
    if not message:
        assert listed(tmp_path, pattern=pattern)
        return
    with pytest.raises((SourceError, ValueError), match=message):
        listed(tmp_path, pattern=pattern)


def test_a_table_that_mixes_live_and_spoof_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"a": 2})
    (tmp_path / "t.csv").write_text("path,label,video\na/0000.jpg,live,1\na/0001.jpg,spoof,1\n")
    with pytest.raises(SourceError, match=r"video '1' has frames of live \('a/0000.jpg'\) and of spoof \('a/0001.jpg'\): name"):
        listed(tmp_path, table=tmp_path / "t.csv")


def test_what_is_known_of_other_files_is_what_it_was(tmp_path: Path) -> None:
    # Digests by which units are believed cover it.
    (file, *_) = listed(lay(tmp_path)).files
    assert "video" not in file.alike
