"""The configuration: precedence, paths, and what its errors say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from fasgen.config import Config, load, preset_names
from fasgen.config.anchors import tidy
from fasgen.config.document import parse_document, parse_value
from fasgen.config.overrides import parse_override
from fasgen.errors import ConfigError
from fasgen.stages.settings import merge
from fasgen.stages.stage import StageConfig, StageSpec


class CropConfig(StageConfig):
    detector: Literal["mtcnn", "retinaface"] = "mtcnn"
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=8)] = 224
    weights: Literal["embedded"] | Path = "embedded"


class GenerateConfig(StageConfig):
    network: str = "embedded"
    t: int = Field(800, ge=1, le=999)
    gain: float = Field(0.5, gt=0)
    limit: Annotated[int, Field(ge=1)] | None = None
    span: tuple[float, float] = (0.0, 1.0)
    note: str = ""


CROP = StageSpec("crop", "crops", 1, (), CropConfig, "none:none")
GENERATE = StageSpec("generate", "generates", 1, (), GenerateConfig, "none:none")


@pytest.fixture(autouse=True)
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("fasgen.stages.STAGES", {"crop": f"{__name__}:CROP", "generate": f"{__name__}:GENERATE"})
    monkeypatch.chdir(tmp_path)


def refusal(*overrides: str, path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value)


def write(folder: Path, text: str) -> Path:
    path = folder / "fasgen.yaml"
    path.write_text(text)
    return path


def crop(config: Config) -> CropConfig:
    found = config.stage("crop")
    assert isinstance(found, CropConfig)
    return found


def generate(config: Config) -> GenerateConfig:
    found = config.stage("generate")
    assert isinstance(found, GenerateConfig)
    return found


def test_defaults_need_no_file(tmp_path: Path) -> None:
    config = load(None)
    assert generate(config).t == 800
    assert config.store == tmp_path / "store"
    assert config.preset == "embedded"


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "generate: {t: 400, gain: 2}\nseed: 7\n")
    config = load(path, ["generate.t=600"])
    assert (generate(config).t, generate(config).gain, config.seed) == (600, 2.0, 7)


def test_a_preset_lies_below_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "slow.yaml").write_text("generate: {t: 999, gain: 3}\n")
    (presets / "embedded.yaml").write_text("")
    monkeypatch.setattr("fasgen.config.loading.files", lambda package: presets)
    path = write(tmp_path, "preset: slow\ngenerate: {t: 5}\n")
    assert (generate(load(path)).t, generate(load(path)).gain) == (5, 3.0)
    assert generate(load(path, ["preset=embedded"])).gain == 0.5
    assert preset_names() == ["embedded", "slow"]


def test_paths_in_a_file_belong_to_its_folder_and_those_of_overrides_to_the_current_one(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    path = write(
        tmp_path / "far", "store: out/store\nsources: photos\ncrop: {weights: w.safetensors}\ngenerate: {network: net}\n"
    )
    config = load(path)
    assert config.store == tmp_path / "far/out/store"
    assert config.sources[0].path == tmp_path / "far/photos"
    assert crop(config).weights == tmp_path / "far/w.safetensors"
    assert generate(config).network == str(tmp_path / "far/net")
    config = load(path, ["store=here", "generate.network=embedded", "crop.weights=embedded", "sources.0.path=/abs/x"])
    assert config.store == tmp_path / "here"
    assert crop(config).weights == generate(config).network == "embedded"
    assert config.sources[0].path == Path("/abs/x")


def test_sources_may_be_one_path_and_are_named_after_their_folder(tmp_path: Path) -> None:
    assert [s.name for s in load(None, ["sources=./my photos (2)"]).sources] == ["my-photos-2"]
    config = load(None, ["sources=[a, {path: b, name: other, label: live}]"])
    assert [(s.name, s.path, s.label) for s in config.sources] == [
        ("a", tmp_path / "a", "unknown"),
        ("other", tmp_path / "b", "live"),
    ]
    assert load(None, ["sources=.", "sources.0.frames=3"]).sources[0].frames.rows == 3


def test_two_sources_of_one_name_are_refused() -> None:
    assert "two sources are called 'x'" in refusal("sources=[a/x, b/x]")


def test_an_unknown_key_names_its_path_its_neighbour_and_its_level() -> None:
    message = refusal("crop.detectr=mtcnn")
    assert "crop.detectr: unknown key; did you mean crop.detector?" in message
    assert "Under crop the known keys are: detector, size, weights" in message


def test_an_unknown_stage_and_a_key_without_its_stage_are_guessed() -> None:
    assert "genrate: unknown key; did you mean generate?" in refusal("genrate.t=1")
    assert "did you mean generate.t?" in refusal("t=1")


def test_an_unknown_source_key_is_named_with_its_position() -> None:
    assert "sources.0.patern: unknown key; did you mean sources.0.pattern?" in refusal("sources=[{path: a, patern: x}]")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("generate.t=abc", "generate.t: wants a whole number from 1 to 999, got 'abc'"),
        ("generate.t=0", "generate.t: wants a whole number from 1 to 999, got 0"),
        ("generate.t=true", "generate.t: wants a whole number from 1 to 999, got true"),
        ("generate.t=8.5", "generate.t: wants a whole number from 1 to 999, got 8.5"),
        ("generate.t='8'", "generate.t: wants a whole number from 1 to 999, got '8'"),
        ("generate.t=", "generate.t: wants a whole number from 1 to 999, got null"),
        ("generate.gain=0", "generate.gain: wants a number above 0, got 0"),
        ("generate.limit=0", "generate.limit: wants a whole number of at least 1, or null, got 0"),
        ("generate.span=3", "generate.span: wants a list of exactly 2, each a number, got 3"),
        ("generate.span=[a, 1]", "generate.span.0: wants a number, got 'a'"),
        ("generate.note=5", "generate.note: wants text, got 5; quote it to make it text"),
        ("generate=3", "generate: wants a mapping with keys among network, t, gain, limit, span, note, got 3"),
        ("generate.t.x=1", "generate.t: wants a whole number from 1 to 999, got {'x': 1}"),
        ("crop.size=100", "crop.size: wants a whole number from 32 to 1024, a multiple of 8, got 100"),
        ("crop.detector=mtcn", "crop.detector: wants one of mtcnn, retinaface, got 'mtcn'"),
        ("crop.weights=3", "crop.weights: wants 'embedded', or a path, got 3"),
        ("budget.max_failed_rate=2", "budget.max_failed_rate: wants a number from 0.0 to 1.0, got 2"),
        ("seed=-1", "seed: wants a whole number of at least 0"),
        ("preset=embeded", "there is no preset 'embeded'; did you mean embedded?"),
        ("sources.0.frames=3", "sources has no entries yet"),
        ("defake", "'defake' is not a setting: write it as key=value"),
        ("=1", "the key left of '=' must be names joined by dots"),
        ("generate.note=[1", "is not a YAML value; put text with special characters in quotes"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_wanted_and_what_was_given(setting: str, said: str) -> None:
    assert said in refusal(setting)


def test_all_faults_are_named_at_once_with_the_line_of_each(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 1\ngenerate:\n  t: 0\n  gian: 2\ncrop: {size: 7}\n")
    message = refusal("generate.limit=0", path=path)
    assert message.startswith("4 settings are wrong:")
    lines = ("line 3: generate.t", "line 4: generate.gian", "line 5: crop.size")
    for said in (*(f"{path}, {line}" for line in lines), "command line: generate.limit"):
        assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("generate:\n  t: [1\n", "line 3, column 1: not valid YAML"),
        ("generate:\n  t: 1\n  t: 2\n", "line 3: generate.t is written twice (first on line 2)"),
        ("- a\n", "line 1: a configuration is a mapping"),
        ("? [a]\n: 1\n", "line 1: a key must be a plain name"),
        ("a: &x [1]\nb: *x\n", "line 2, column 4: not valid YAML: aliases (*name) are not supported"),
        ("a: !!python/name:os.system\n", "line 1, column 4: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    message = refusal(path=path)
    assert message.startswith(f"{path}, line ")
    assert said in message


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    assert "there is no such configuration file" in refusal(path=tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as UTF-8" in refusal(path=tmp_path / "b.yaml")
    assert "cannot be read" in refusal(path=tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("010", 10),
        ("0x10", 16),
        ("1e-3", 1e-3),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("(?P<label>live|spoof)/x", "(?P<label>live|spoof)/x"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("1_000", "1_000"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_the_configuration_is_frozen() -> None:
    config = load(None)
    with pytest.raises(ValidationError):
        config.seed = 3  # type: ignore[misc]


def test_a_stage_cannot_take_a_key_of_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasgen.stages.STAGES", {"seed": f"{__name__}:CROP"})
    assert "a stage cannot be called 'seed'" in refusal()


def test_equal_configurations_are_equal_however_they_were_written(tmp_path: Path) -> None:
    one = load(write(tmp_path, "seed: 3\ngenerate: {gain: 2.0, t: 5}\n"))
    two = load(None, ["generate.t=5", "generate.gain=2", "seed=3"])
    assert one == two != load(None) and one.model_dump()["generate"]["t"] == 5


trees = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.integers(), max_size=3),
    max_leaves=8,
)


def leaves(tree: object, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    if not isinstance(tree, dict):
        return {at: tree}
    return {key: leaf for name, item in tree.items() for key, leaf in leaves(item, (*at, name)).items()}


@given(trees, trees)
def test_merging_keeps_all_that_is_above_and_changes_neither(below: dict, above: dict) -> None:  # type: ignore[type-arg]
    before = json.dumps([below, above])
    merged = merge(below, above)
    assert leaves(above).items() <= leaves(merged).items()
    assert leaves(merged).items() <= leaves(below).items() | leaves(above).items()
    assert merge(below, {}) == merge({}, below) == merge(below, below) == below
    assert json.dumps([below, above]) == before


@given(
    st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=4), st.integers() | st.booleans() | st.none()
)
def test_an_override_says_what_was_put_into_it(parts: list[str], value: object) -> None:
    assert parse_override(f"{'.'.join(parts)}={json.dumps(value)}") == (tuple(parts), value)


def test_an_empty_document_is_an_empty_mapping() -> None:
    assert parse_document("# nothing\n", "x").data == {}


def test_paths_are_tidied_unless_a_link_makes_it_another_place(tmp_path: Path) -> None:
    (tmp_path / "deep" / "real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    assert tidy(tmp_path / "deep" / ".." / "store") == str(tmp_path / "store")
    assert tidy(tmp_path / "link" / ".." / "store") == str(tmp_path / "link" / ".." / "store")


@pytest.mark.parametrize("key", ["001", "1", "0x1F", "1e3", "null", "true", "no", "~", "2024-01-02"])
def test_keys_are_text_as_they_are_written(tmp_path: Path, key: str) -> None:
    (tmp_path / "fasgen.yaml").write_text(f"sources: [{{path: a, subject_map: {{{key}: anna}}}}]\n")
    assert load(tmp_path / "fasgen.yaml").sources[0].subject_map == {key: "anna"}
    assert load(None, ["sources=[{path: a}]", f"sources.0.subject_map={{{key}: anna}}"]).sources[0].subject_map == {key: "anna"}
    # A number there would be a place in a list.
    if key not in ("1", "~"):
        assert load(None, ["sources=[{path: a}]", f"sources.0.subject_map.{key}=anna"]).sources[0].subject_map == {key: "anna"}


PLACES = (
    "store={}",
    "sources.0.path={}",
    "sources.0.table={}",
    "sources.0.adapter={}",
    "crop.weights={}",
    "generate.network={}",
)
FETCHED = ("sources.0.path={}", "sources.0.table={}", "generate.network={}")
"""Where an address may stand."""


@pytest.mark.parametrize("setting", PLACES)
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://bucket/faces", "is an address"),
        ("hf:/owner/name", "address"),
        ("simplecache::https://host/x", "address"),
        ("file:///data/x", "write /data/x"),
        ("C:/data", "is a path of Windows"),
        (r"D:\data\x", "is a path of Windows"),
        ("~nobody-of-this-name/x", "the home folder of 'nobody-of-this-name' is not known"),
    ],
)
def test_addresses_are_no_folders(setting: str, place: str, said: str) -> None:
    key = setting.partition("=")[0]
    if setting in FETCHED and place == "s3://bucket/faces":
        assert place in load(None, ["sources=[{path: a}]", setting.format(f"'{place}'")]).model_dump_json()
        return
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load(None, ["sources=[{path: a}]", setting.format(f"'{place}'")])
    assert str(caught.value).startswith(f"{key}: ")


def test_an_address_is_refused_with_the_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("seed: 1\nsources:\n  - name: a\n    path: gs:/b/c\n")
    with pytest.raises(ConfigError, match=r"c\.yaml, line 4: sources\.0\.path: 'gs:/b/c' has too few slashes"):
        load(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("store: gs://b/c\n")
    with pytest.raises(ConfigError, match=r"line 1: store: 'gs://b/c' is an address, and a store lies on a disk.*fasgen ship"):
        load(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("sources: gs:/b/c\n")
    with pytest.raises(ConfigError, match=r"c\.yaml, line 1: sources\.0\.path"):
        load(tmp_path / "c.yaml")


def test_sources_at_addresses_keep_their_slashes_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "sources:\n- s3://b/faces/\n- {adapter: csv, path: s3://b/lists/test.csv}\n- {path: local, table: https://host/t.csv}\n"
    )
    config = load(tmp_path / "c.yaml")
    one, two, three = config.sources
    assert (one.name, str(one.path)) == ("faces", "s3://b/faces")
    assert (two.name, str(two.path), str(two.table)) == ("test", "s3://b/lists", "s3://b/lists/test.csv")
    assert three.path == tmp_path / "local" and str(three.table) == "https://host/t.csv"
    again = load(None, [f"sources={json.dumps(config.model_dump(mode='json')['sources'])}", f"store={config.store}"])
    assert again.sources == config.sources


def test_homes_are_those_of_people_and_names_that_begin_so_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for text, found in (("~", "home"), ("~/x", "home/x"), ("./~x", "~x"), ("a/~x", "a/~x"), ("./s3:/x", "s3:/x")):
        config = load(None, [f"store='{text}'", f"sources=[{{path: '{text}', name: a, table: '{text}'}}]"])
        assert {config.store, config.sources[0].path, config.sources[0].table} == {tmp_path / found}, text
