from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from fasgen.errors import SourceError
from fasgen.sources.config import SourceConfig
from fasgen.sources.labels import Labeller, Labels


def label(path: str, /, **settings: Any) -> Labels:
    return Labeller(SourceConfig(**{"name": "set", "path": Path(), **settings}))(path)


def test_msu() -> None:
    pattern = (
        r"(?P<label>real|attack)_client(?P<subject>\d{3})_(?P<device>android|laptop)_SD_"
        r"(?:(?P<attack_type>ipad_video|iphone_video|printed_photo)_)?scene01"
    )
    attack = label("scene01/attack/attack_client003_android_SD_printed_photo_scene01.mp4", name="msu", pattern=pattern)
    assert attack == Labels("spoof", "msu/003", "printed_photo", "android", None, "msu|android|printed_photo")
    live = label("scene01/real/real_client003_laptop_SD_scene01.mov", name="msu", pattern=pattern)
    assert live == Labels("live", "msu/003", None, "laptop", None, "msu|laptop|live")


def test_casia_numbers_start_anew_in_every_split() -> None:
    pattern = r"(?P<split>(?P<subject>train|test))_release/(?P<subject2>\d+)/(?P<label>(?P<attack_type>[^/]+))\.avi"
    settings = {
        "name": "casia",
        "pattern": pattern,
        "label_map": {**dict.fromkeys(["1", "2", "HR_1"], "live"), **dict.fromkeys(["3", "4", "5", "6", "7", "8"], "spoof")},
        "attack_type_map": {"3": "warped_print", "7": "video"},
    }
    train, test = label("train_release/7/3.avi", **settings), label("test_release/7/HR_1.avi", **settings)
    assert (train.subject, train.attack_type, train.split) == ("casia/train-7", "warped_print", "train")
    assert (test.subject, test.attack_type, test.label) == ("casia/test-7", None, "live")


def test_the_first_pattern_that_matches_counts() -> None:
    patterns = (r"^(?P<split>devel)/(?P<label>real)", r"^(?P<split>\w+)/(?P<label>real|attack)/(?P<device>\w+)")
    assert label("devel/real/x.mov", pattern=patterns).split == "dev"
    assert label("test/attack/webcam/x.mov", pattern=patterns).device == "webcam"


def test_defaults_fill_what_is_not_found() -> None:
    found = label(
        "x.jpg", pattern="(?P<device>cam)?", label="spoof", attack_type="print", device="phone", split="test", subject="9"
    )
    assert found == Labels("spoof", "set/9", "print", "phone", "test", "set|phone|print")
    assert label("x.jpg") == Labels("unknown", None, None, None, None, "set|?|unknown")


def test_table_beats_pattern_beats_default(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,subject,device,note\nreal/7.jpg,12,,x\nreal/8.jpg,,tablet,y\n")
    settings = {"path": tmp_path, "table": tmp_path / "t.csv", "pattern": r"(?P<label>real)/(?P<subject>\d)", "device": "phone"}
    assert label("real/7.jpg", **settings) == Labels("live", "set/12", None, "phone", None, "set|phone|live")
    assert label("real/8.jpg", **settings).subject == "set/8"
    assert label("real/8.jpg", **settings).device == "tablet"


def test_tables_keep_names_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbfpath,label\n"new\nline, \xff.jpg",attack\n')
    settings = {"path": tmp_path, "table": tmp_path / "t.csv"}
    assert label(os.fsdecode(b"new\nline, \xff.jpg"), **settings).label == "spoof"


def test_parquet_numbers_gaps_and_bytes(tmp_path: Path) -> None:
    columns = {"path": [b"a.jpg", b"\xff.jpg"], "subject": [7.0, None], "split": ["val", None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    settings = {"path": tmp_path, "table": tmp_path / "t.parquet"}
    assert (label("a.jpg", **settings).subject, label("a.jpg", **settings).split) == ("set/7", "dev")
    assert label(os.fsdecode(b"\xff.jpg"), **settings).subject is None


def test_absolute_paths_in_a_table_are_taken_relative_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"path,label\n{tmp_path}/./sub//a.jpg,real\n")
    assert label("sub/a.jpg", path=tmp_path, table=tmp_path / "t.csv").label == "live"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.jpg,real\n", "no column 'path' among file, label"),
        ("path,label\na.jpg,real\n./a.jpg,real\n", "row 2 names 'a.jpg' a second time"),
        ("path,label\n../a.jpg,real\n", "not a path below"),
        ("path,label\n/elsewhere/a.jpg,real\n", "not a path below"),
        ("path,label\n,real\n", "row 1"),
        ("", "no columns"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        Labeller(SourceConfig(name="set", path=tmp_path, table=tmp_path / "t.csv"))


def test_missing_and_broken_tables(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but no more")
    for name in ("t.parquet", "gone.csv", "gone.parquet"):
        with pytest.raises(SourceError, match="cannot be read"):
            Labeller(SourceConfig(name="set", path=tmp_path, table=tmp_path / name))


def test_values_that_are_no_label_name_the_map() -> None:
    with pytest.raises(SourceError, match="label '3' of 'x3' is none of live, spoof, unknown; translate it with label_map"):
        label("x3", pattern=r"x(?P<label>\d)")
    with pytest.raises(SourceError, match="split_map"):
        label("fold5", pattern=r"(?P<split>fold\d)")
    assert label("fold5", pattern=r"(?P<split>fold\d)", split_map={"fold5": "test"}).split == "test"


def test_subjects_are_text_even_where_names_are_not() -> None:
    assert label(os.fsdecode(b"\xff/x.jpg"), pattern=r"(?P<subject>[^/]+)/").subject == r"set/\xff"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "("}, "not a regular expression"),
        ({"pattern": r"(?P<person>\d)"}, "unknown group 'person'"),
        ({"pattern": r"\d"}, "no named group"),
        ({"name": "a/b"}, "name"),
        ({"frames": 0}, "frames"),
        ({"label": "real"}, "live"),
        ({"colour": 1}, "colour"),
        ({"limits": {"min_side": 0}}, "min_side"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceConfig(**{"name": "set", "path": Path(), **settings})
