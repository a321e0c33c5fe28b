"""What is odd in a source is seen, counted, named and told, and nothing is odd where nothing is."""

from __future__ import annotations

import json
import signal
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fasgen.errors import SourceError
from fasgen.sources.config import SourceConfig
from fasgen.sources.odd import FEW, KINDS, Odd, Oddities
from fasgen.sources.reading import Reading
from fasgen.sources.scan import scan
from fasgen.sources.words import reads_as_missing


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def odd(root: Path, **settings: Any) -> dict[str, list[str]]:
    found = scan(SourceConfig(**{"name": "s", "path": root, **settings})).odd
    return {one.kind: [example.path for example in one.examples] for one in found}


PATTERN = r"^(?P<label>live|spoof)/(?P<subject>[^/]+)/"


def test_nothing_is_odd(tmp_path: Path) -> None:
    fill(tmp_path, "live/a/1.jpg", "live/a/2.jpg", "spoof/b/1.jpg")
    assert odd(tmp_path, pattern=PATTERN) == {}
    assert odd(tmp_path, label="live") == {}
    assert odd(tmp_path, label="unknown") == {}


def test_files_that_no_pattern_matches(tmp_path: Path) -> None:
    fill(tmp_path, "live/a/1.jpg", "other/1.jpg", "other/2.jpg", "x.jpg", "y.jpg")
    (found,) = scan(SourceConfig(name="s", path=tmp_path, pattern=PATTERN)).odd
    assert (found.kind, found.count) == ("no_pattern", 4)
    assert found.what == "4 files that no pattern matches: 'other/1.jpg', 'other/2.jpg', 'x.jpg' and 1 more"


def test_files_of_which_nothing_says_what_they_are(tmp_path: Path) -> None:
    assert odd(fill(tmp_path, "1.jpg", "2.jpg")) == {"unlabelled": ["1.jpg"]}


@pytest.mark.parametrize(
    "header, told",
    [
        ("path;Person;Echtheit", ["person", "echtheit"]),
        ("path;label;Person", ["person"]),
        ("Path;SUBJECT;class", ["class"]),
        # With both, others are somebody else's columns.
        ("path;label;subject;age", []),
        ("path;label;device", []),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_that_may_be_meant_and_are_not_read(tmp_path: Path, header: str, told: list[str], kind: str) -> None:
    cells = ["1.jpg" if name.lower() == "path" else "live" for name in header.split(";")]
    fill(tmp_path / "faces", "1.jpg")
    if kind == "csv":
        (tmp_path / "t.csv").write_text(f"{header}\n{';'.join(cells)}\n")
    else:
        pq.write_table(
            pa.table({name: [cell] for name, cell in zip(header.split(";"), cells, strict=True)}), tmp_path / "t.parquet"
        )
    assert odd(tmp_path / "faces", table=tmp_path / f"t.{kind}").get("unread", []) == told


@pytest.mark.parametrize(
    "name", ["000001 (1).jpg", "000001_crop.jpg", "x1.jpg", "000001.jpg.jpg", "1/000001.jpg", "IMG_000001.JPG"]
)
def test_files_that_an_adapter_does_not_know(tmp_path: Path, name: str) -> None:
    folder = "Data/train/3025/live"
    fill(tmp_path, f"{folder}/000001.jpg", f"{folder}/000009.JPG", f"{folder}/{name}")
    found = scan(SourceConfig(name="s", path=tmp_path, adapter="celeba-spoof"))
    assert [row.path for row in found] == [f"{folder}/000001.jpg", f"{folder}/000009.JPG"]
    assert {row.label for row in found} == {"live"}
    (one,) = (one for one in found.odd if one.kind == "not_known")
    assert one.count == 1 and one.what.startswith(f"1 file that the adapter does not know: '{folder}/{name}'")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (PATTERN, r"matches no file below .*, for example not 'Live/a/1.jpg'.*put \(\?i\) at its beginning"),
        (r"^(?P<label>real)/", r"matches no file below .*, for example not 'Live/a/1.jpg': it is searched .* mend it"),
        ([r"^(?P<label>Live)/", r"(?P<subject>[^/]+)/1.jpg"], r"never counts: 'Live/a/1.jpg' is matched by one before it"),
    ],
)
def test_a_pattern_without_a_file_is_refused(tmp_path: Path, pattern: Any, message: str) -> None:
    fill(tmp_path, "Live/a/1.jpg")
    with pytest.raises(SourceError, match=message):
        odd(tmp_path, pattern=pattern)


def test_a_rotation_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'_SM01_' of rotate matches no file, for example not '1.jpg'"):
        odd(fill(tmp_path, "1.jpg"), label="live", rotate={"_SM01_": 180})


def test_globs_and_maps_that_decide_nothing(tmp_path: Path) -> None:
    fill(tmp_path, "live/a/1.jpg", "enroll/1.jpg")
    told = odd(tmp_path, pattern=PATTERN, exclude=("enroll/*", "enrol/*"), subject_map={"c": "d"}, label_map={"live": "live"})
    assert told == {"idle": ["c", "enrol/*"]}


@pytest.mark.parametrize(
    "copy", ["1 (1).jpg", "1(2).jpg", "1 - Copy.jpg", "1 copy.jpg", "1 copy 2.jpg", "1_copy.jpg", "1 - Kopie (3).jpg"]
)
def test_copies_of_file_managers(tmp_path: Path, copy: str) -> None:
    assert odd(fill(tmp_path, "a/1.jpg", f"a/{copy}"), label="live") == {"copy": [f"a/{copy}"]}


def test_names_that_only_look_like_copies(tmp_path: Path) -> None:
    assert odd(fill(tmp_path, "a/1 (1).jpg", "b/1.jpg", "copy.jpg", "(1).jpg", "kopie/1.jpg"), label="live") == {}


def test_twins(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    fill(tmp_path, "a.jpg", "a.JPG", composed, apart, "b.jpg", "b.png", "c/1.jpg", "C/1.jpg")
    told = odd(tmp_path, label="live")
    assert set(told) == {"twin"} and len(told["twin"]) == 3


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "N/A", "n/a", "none", "None", "NULL", "null", "-", "empty", "<NA>", "?"])
def test_no_word_for_missing_becomes_a_person(tmp_path: Path, word: str) -> None:
    fill(tmp_path / "s", "1.jpg", "2.jpg", "3.jpg")
    cells = f"{word},{word},{word},{word}"
    (tmp_path / "t.csv").write_text(f"path,label,subject,device,split,attack_type\n1.jpg,live,{cells}\n2.jpg,spoof,{cells}\n")
    found = scan(SourceConfig(name="s", path=tmp_path / "s", table=tmp_path / "t.csv", table_only=True))
    assert {(row.subject, row.device, row.split, row.attack_type) for row in found} == {(None, None, None, None)}
    (missing,) = found.odd
    assert (missing.kind, missing.count) == ("missing", 8)
    assert f"'{word}' (subject of 2 files)" in missing.what


def test_words_for_missing_in_folders_and_joined_groups(tmp_path: Path) -> None:
    fill(tmp_path, "live/nan/1.jpg", "live/anna/1.jpg", "live/NA/2.jpg")
    found = scan(SourceConfig(name="s", path=tmp_path, pattern=PATTERN, subject_map={"NA": "NA"}, subject=None))
    assert [row.subject for row in found] == ["s/NA", "s/anna", None]
    joined = r"^(?P<subject>[^/]+)/(?P<subject2>[^/]+)/"
    assert [row.subject for row in scan(SourceConfig(name="s", path=tmp_path, pattern=joined))] == [None, "s/live-anna", None]


def test_a_cell_that_is_missing_leaves_the_word_to_the_pattern(tmp_path: Path) -> None:
    fill(tmp_path / "s", "live/anna/1.jpg")
    (tmp_path / "t.csv").write_text("path,subject\nlive/anna/1.jpg,n/a\n")
    (row,) = scan(SourceConfig(name="s", path=tmp_path / "s", pattern=PATTERN, table=tmp_path / "t.csv"))
    assert row.subject == "s/anna"


@pytest.mark.parametrize("settings", [{"subject": "nan"}, {"subject_map": {"a": "None"}}, {"device": "-"}])
def test_no_setting_names_what_is_not_known(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reads as missing"):
        SourceConfig(name="s", path=Path(), **settings)


@pytest.mark.parametrize("word", ["nanette", "nana", "anna", "0", "00", "a", "none-1", "nullius"])
def test_names_are_no_words_for_missing(word: str) -> None:
    assert not reads_as_missing(word)


def test_links_out_of_the_source(tmp_path: Path) -> None:
    root = fill(tmp_path / "s", "a/1.jpg")
    fill(tmp_path / "elsewhere", "2.jpg")
    fill(tmp_path / "s-more", "3.jpg")
    (root / "in.jpg").symlink_to("a/1.jpg")
    (root / "up.jpg").symlink_to("../s/a/1.jpg")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "near.jpg").symlink_to("../s-more/3.jpg")
    (root / "through.jpg").symlink_to("near.jpg")
    told = odd(root, label="live")
    assert {kind: sorted(paths) for kind, paths in told.items()} == {"outside": ["near.jpg", "out", "through.jpg"]}
    for follow in (False, True):
        assert odd(root, label="live", follow_symlinks=follow) == {}


def test_a_table_leads_nowhere_that_links_may_not(tmp_path: Path) -> None:
    root = fill(tmp_path / "s", "a/1.jpg")
    fill(tmp_path / "elsewhere", "2.jpg")
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (root / "in").symlink_to("a")
    table = tmp_path / "t.csv"
    table.write_text("path,label\nout/2.jpg,live\nin/1.jpg,spoof\na/1.jpg,live\nnone.jpg,live\n")

    def found(follow: Any) -> tuple[list[str], int]:
        listing = scan(SourceConfig(name="s", path=root, table=table, table_only=True, follow_symlinks=follow))
        return [row.path for row in listing], sum(one.count for one in listing.odd if one.kind == "outside")

    assert found("inside") == (["a/1.jpg", "in/1.jpg", "none.jpg"], 2)
    assert found(False) == (["a/1.jpg", "none.jpg"], 2)
    assert found(True) == (["a/1.jpg", "in/1.jpg", "none.jpg", "out/2.jpg"], 0)


def test_a_record_comes_back_from_its_document() -> None:
    seen = Oddities()
    for number in range(5):
        for kind in KINDS:
            if kind != "note":
                seen.see(kind, f"{number}.jpg", "why" if number else "")
    seen.note(["something of the data set"])
    found = seen.found()
    assert [one.kind for one in found] == list(KINDS) and all(len(one.examples) <= FEW for one in found)
    assert all("\n" not in one.what + one.change for one in found)
    reading = Reading("s", 5, 4, 1, 2, {"print": 1}, 1, splits={"train": 2}, skipped={"hidden": 1}, odd=found)
    assert Reading.of(json.loads(json.dumps(reading.document()))) == reading
    with pytest.raises(ValueError, match="no kind"):
        Odd.of({"kind": "strange", "count": 1, "examples": []})


def test_figures(tmp_path: Path) -> None:
    fill(tmp_path, "live/a/1.jpg", "live/a/2.mp4", "spoof/b/1.jpg", "spoof/nan/2.jpg", "x.jpg", ".hidden")
    reading = scan(
        SourceConfig(name="s", path=tmp_path, pattern=PATTERN, frames=3, device="phone", attack_type="print")
    ).reading
    assert reading.counts == (
        "5 files (1 video): 2 live, 2 spoof (2 print), 1 unknown; 2 subjects (2 files without); no splits; devices: 5 phone"
    )
    assert (reading.planned, dict(reading.skipped)) == ("7 rows", {"hidden": 1})
    assert reading.spoof == {"print": 2}


def test_those_who_were_taken_out_are_neither_counted_nor_named(tmp_path: Path) -> None:
    from dataclasses import replace

    fill(tmp_path, "live/a/1.jpg", "live/a/1 (1).jpg", "live/b/1.jpg")
    found = scan(SourceConfig(name="s", path=tmp_path, pattern=PATTERN))
    assert found.reading.subjects == 2 and found.reading.odd[0].examples
    found = replace(found, taken_out=lambda sample, subject: subject == "s/a")
    assert (found.reading.files, found.reading.subjects) == (1, 1)
    assert "live/a" not in json.dumps(found.reading.document())


@pytest.mark.parametrize("settings", [{"pattern": r"^(?P<label>(?:l+)+)$"}, {"label": "live", "rotate": {"^(l+)+$": 90}}])
def test_a_pattern_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    monkeypatch.setattr("fasgen.sources.patience.SECONDS", 0.2)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(SourceError, match=r"search 'l{60}\.jpg' for more than 0\.2 s: a repetition inside of a repetition"):
        odd(fill(tmp_path, "l" * 60 + ".jpg"), **settings)
    assert signal.getsignal(signal.SIGALRM) == before and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_adapter_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasgen.sources.patience.SECONDS", 0.2)
    rule = "{path: '(?P<label>(?:l+)+)X', extensions: [jpg]}"
    (tmp_path / "own.yaml").write_text(f"name: own\nlayout: [files]\nrules: [{rule}]\n")
    with pytest.raises(SourceError, match=r"for more than 0\.2 s"):
        odd(fill(tmp_path / "s", "l" * 60 + ".jpg"), adapter=tmp_path / "own.yaml")
