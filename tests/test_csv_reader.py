"""Tables as people write them give the same records, whatever wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasgen.csv_reader import read_csv

TEXT = 'path, Label ,SUBJECT\na/1.jpg, live, 001\n\n" b, c.jpg ",spoof,\n , ,\nd.jpg\n'
RECORDS = [
    {"path": "a/1.jpg", "label": "live", "subject": "001"},
    {"path": "b, c.jpg", "label": "spoof", "subject": ""},
    {"path": "d.jpg", "label": "", "subject": ""},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("told", [False, True])
def test_one_table_in_many_spellings(tmp_path: Path, encoding: str, separator: str, ending: str, told: bool) -> None:
    text = TEXT.replace(", c", "\0").replace(",", separator).replace("\0", ", c").replace("\n", ending)
    if told:
        text = f"sep={separator}{ending}{text}"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert list(read_csv(tmp_path / "t.csv", ("path", "label"))) == RECORDS


def test_names_and_words_of_other_scripts(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "t.csv").write_bytes("path;Ärger\n脸/1.jpg;ä\n".encode(encoding))
        assert list(read_csv(tmp_path / "t.csv")) == [{"path": "脸/1.jpg", "ärger": "ä"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,b\n", "no column 'path' among file, label"),
        ("", "no column 'path' among no columns"),
        ("\n\n", "no columns"),
        ("path,Path\na,b\n", "two columns are called 'path'"),
        ("path,label\na,b.jpg,live\n", "row 1 has 3 cells and the header 2"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_csv(tmp_path / "t.csv", ("path",)))


def test_empty_cells_behind_the_last_column_are_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,\na,live,,\n")
    assert list(read_csv(tmp_path / "t.csv")) == [{"path": "a", "label": "live"}]
