"""The configuration reference says what the code does, every key explains itself, and what is printed reads back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fasgen.cli import main
from fasgen.config import load, root_model
from fasgen.config.document import parse_value
from fasgen.config.reference import reference
from fasgen.config.shapes import Shape
from fasgen.config.written import as_yaml
from fasgen.downstream.config import Experiment
from fasgen.sources.words import reads_as_missing

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield prefix + name, field
        for shape in Shape.of(field).alternatives():
            if shape.model is not None:
                yield from fields(shape.model, f"{prefix}{name}.")
        item = Shape.of(field).below(0)
        if item is not None and item.model is not None:
            yield from fields(item.model, f"{prefix}{name}.N.")


def test_the_document_is_what_the_code_generates() -> None:
    assert DOCUMENT.read_text("utf-8") == reference(), "run: fasgen config --reference > docs/configuration.md"


def test_every_key_has_a_description_and_stands_in_the_reference() -> None:
    text = reference()
    for key, field in fields(root_model()):
        assert field.description, f"{key} has no description"
        common = re.sub(r"^train\.?\w*", "train.NAME", key)
        assert f"`{key}`" in text or f"`{common}`" in text, key


def test_so_does_every_key_of_an_experiment() -> None:
    text = reference()
    for key, field in fields(Experiment):
        assert field.description, f"{key} has no description"
        assert f"`{key}`" in text or f"`train.NAME.{key.removeprefix('loop.')}`" in text, key


def test_the_reference_holds_no_path_of_this_machine() -> None:
    text = reference()
    assert str(Path.home()) not in text
    assert str(Path(__file__).resolve().parent.parent) not in text


def test_the_command_prints_both() -> None:
    assert CliRunner().invoke(main, ["config", "--reference"]).stdout == reference()
    printed = CliRunner().invoke(main, ["config", "defake.t=600"]).stdout
    assert yaml.safe_load(printed)["defake"]["t"] == 600
    assert CliRunner().invoke(main, ["config", "defake.tt=600"]).exit_code == 2


ODD = ("yes", "1e3", "0o17", "null", "~", "12", "", " x", "a: b", "#", "- a", "\n", "'")


NAMES = st.text(min_size=1).filter(lambda text: not reads_as_missing(text))


@given(st.text(min_size=1), NAMES, st.sampled_from(ODD))
def test_what_is_printed_reads_back_as_the_same_configuration(licence: str, subject: str, odd: str) -> None:
    source = {"name": "a", "path": "/photos", "licence": licence, "subject": subject, "subject_map": {odd: odd}}
    config = root_model().model_validate({"store": "/store", "sources": [source]})
    assert root_model().model_validate(parse_value(as_yaml(config))) == config


def test_a_printed_configuration_is_a_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None, ["sources=[{path: photos, pattern: '(?P<label>live|spoof)'}]", "defake.t=600", "align.size=128"])
    kept = tmp_path / "elsewhere" / "fasgen.yaml"
    kept.parent.mkdir()
    kept.write_text(as_yaml(config), "utf-8")
    # Where a training writes is a path relative to the current folder until it is written into a file.
    assert load(kept).model_dump(exclude={"train"}) == config.model_dump(exclude={"train"})
