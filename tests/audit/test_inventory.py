"""fasgen ingest and fasgen sources, as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fasgen.cli import main
from fasgen.manifests.sources_file import damaged_files, read_sources


def fasgen(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def casia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for split, person, clip in (("train", 1, "1"), ("train", 1, "3"), ("test", 1, "HR_1"), ("test", 1, "9")):
        path = tmp_path / f"casia/{split}_release/{person}/{clip}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
    return tmp_path / "casia"


def test_a_data_set_is_ingested_and_counted(casia: Path) -> None:
    result = fasgen("ingest", "casia-fasd", "casia", "frames=2", "--store", "s")
    assert result.exit_code == 0, result.output
    assert "unknown: 1 files are no rows" in result.stdout
    assert "test_release/1/9.avi: no pattern matches it" in result.stdout
    assert f"sources: [{{adapter: casia-fasd, path: {casia}}}]" in result.stdout
    rows = read_sources(casia.parent / "s", "casia-fasd").to_pylist()
    assert len(rows) == 6
    assert {row["subject"] for row in rows} == {"casia-fasd/1", "casia-fasd/21"}
    assert (casia.parent / "s/sources/casia-fasd/left-out.tsv").read_text() == "test_release/1/9.avi\tno pattern matches it\n"
    assert damaged_files(casia.parent / "s", "casia-fasd") == []
    lines = [line.split() for line in fasgen("sources", "s").stdout.splitlines()]
    assert lines[1][:9] == ["casia-fasd", "train", "2", "0", "4", "1", "1", "1", "-"]
    assert lines[2][:9] == ["casia-fasd", "test", "1", "0", "2", "1", "1", "0", "-"]
    assert "2 files of 240" in fasgen("sources", "s").stdout
    assert lines[1][-2:] == ["1", "print"]
    before = sorted(casia.parent.joinpath("s").rglob("*"))
    assert fasgen("ingest", "casia-fasd", "casia", "frames=2", "--store", "s").exit_code == 0
    assert sorted(casia.parent.joinpath("s").rglob("*")) == before
    (casia / "test_release/1/9.avi").unlink()
    assert fasgen("ingest", "casia-fasd", "casia", "frames=2", "--store", "s").exit_code == 0
    assert not (casia.parent / "s/sources/casia-fasd/left-out.tsv").exists()


def test_the_generic_sources(casia: Path) -> None:
    (casia.parent / "labels.csv").write_text(
        "path,label,attack_family\ncasia/train_release/1/1.avi,real,\ncasia/train_release/1/3.avi,attack,print\n"
    )
    assert fasgen("ingest", "csv", "labels.csv", "frames=1").exit_code == 0
    rows = read_sources(casia.parent / "store", "labels").to_pylist()
    assert [(row["label"], row["attack_family"]) for row in rows] == [("live", None), ("spoof", "print")]
    assert fasgen("ingest", "folder", "casia", "name=all", "label=live").exit_code == 0
    assert "all" in fasgen("sources").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ingest", "oulu", "casia"], "did you mean oulu-npu?"),
        (["ingest", "oulu-npu", "casia"], "does not look like oulu-npu"),
        (["ingest", "casia-fasd"], "fasgen ingest casia-fasd PATH"),
        (["ingest", "casia-fasd", "nowhere"], "does not exist"),
        (["ingest", "casia-fasd", "casia", "pattern=(?P<label>a)"], "leave it out"),
        (["sources", "nowhere"], "there is no store here"),
        (["sources", "casia"], "lists no source yet"),
    ],
)
def test_what_cannot_be_ingested_is_refused(casia: Path, arguments: list[str], said: str) -> None:
    result = fasgen(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (casia.parent / "store").exists()


def test_without_a_name_the_data_sets_are_listed() -> None:
    lines = fasgen("ingest").stdout.splitlines()
    assert len(lines) == 16
    assert any(line.startswith("padisi-face") for line in lines)
