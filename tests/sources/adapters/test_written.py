"""A data set of one's own, in YAML: the example of the documents, and what is wrong said at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fasgen.errors import SourceError
from fasgen.sources.adapters import open_table
from fasgen.sources.config import SourceConfig
from fasgen.sources.scan import scan

from .miniatures.writing import put

DOCUMENT = Path(__file__).parents[3] / "docs" / "datasets.md"


def test_the_example_of_the_documents(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(name: booth.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert example
    (tmp_path / "booth.yaml").write_text(example[1])
    root = tmp_path / "mine"
    put(root, "p07/left_g3.mp4", "p07/right_q1.mp4", "p08/left_v01.mp4", "p08/left_x1.mp4")
    put(root, "p07/left_g3.txt", data="0 1 2 3 4\n")
    put(root, "test.txt", data="p08\n")
    put(root, "terms.pdf", data="...")
    found = scan(SourceConfig(name="mine", path=root, adapter=tmp_path / "booth.yaml", frames=1))
    assert [(row.path, row.subject, row.label, row.attack_family, row.domain, row.split, row.marks) for row in found] == [
        ("p07/left_g3.mp4", "mine/p07", "live", None, "mine|left|live", None, "p07/left_g3.txt"),
        ("p07/right_q1.mp4", "mine/p07", "spoof", "print", "mine|right|print-q", None, None),
        ("p08/left_v01.mp4", "mine/p08", "spoof", "replay", "mine|left|screen", "test", None),
    ]
    assert found.unknown == {"p08/left_x1.mp4": "'x' is no code of {kind}"}
    assert found.skipped["document"] == 1
    assert {row.licence for row in found} == {"internal"}
    assert {row.adapter for row in found} == {"booth"}


def test_a_table_extends_another(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: hkbu-mars-v1\nlicence: mine\n")
    (tmp_path / "third.yaml").write_text("extends: mine.yaml\nname: third\n")
    table = open_table(tmp_path / "third.yaml")
    assert (table.name, table.licence) == ("third", "mine")
    assert table.rules == open_table("hkbu-mars-v1").rules


RULE = "name: a\nlayout: [a]\nrules: [{path: '%s', extensions: [png]%s}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cannot be read as YAML"),
        ("- a", "one mapping"),
        ("name: a", "layout: Field required; rules: Field required"),
        (RULE % ("(?P<label>", ""), "not a regular expression"),
        (RULE % ("(?P<subject>.)", ""), "says a label"),
        (RULE % ("(?P<label>.)", ", says: {subject: '{0x}'}"), "write values as"),
        (RULE % ("(?P<label>.)", ", colour: red"), "rules.0.colour"),
        (RULE % ("(?P<label>.)", ", marks: [{path: a, columns: x y z}]"), "'z' is no column"),
        ("extends: a.yaml", "extends itself"),
        ("extends: oulu", "did you mean oulu-npu"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SourceError, match=re.escape(said)):
        open_table(tmp_path / "a.yaml")


def test_a_label_or_family_that_is_none_makes_a_file_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE % ("(?P<label>[a-z]+)(?P<attack_family>_[a-z]+)?", ""))
    put(tmp_path / "set", "live.png", "odd.png", "spoof_ghost.png")
    found = scan(SourceConfig(name="s", path=tmp_path / "set", adapter=tmp_path / "a.yaml"))
    assert [row.path for row in found] == ["live.png"]
    assert "'odd' is none of live" in found.unknown["odd.png"]
    assert "'_ghost' is none of" in found.unknown["spoof_ghost.png"]


def test_an_adapter_says_what_paths_mean_alone() -> None:
    with pytest.raises(ValueError, match="adapter siw says what paths mean, so pattern cannot"):
        SourceConfig(name="s", path=Path(), adapter="siw", pattern="(?P<label>live)")
