"""The files of examples/papers, checked whole as `fasgen paper --dry-run` does, on data sets that are empty folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from fasgen.chains.config import Chain, load_chain
from fasgen.chains.making import check_crops
from fasgen.chains.steps import plan
from fasgen.cli import main
from fasgen.config.document import read_document
from fasgen.errors import ConfigError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "papers"
PLACES = FOLDER / "places.yaml"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path != PLACES)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`places.yaml`, filled in."""
    folder = tmp_path_factory.mktemp("places")
    asked = read_document(PLACES).data
    lines = [f"{part}: {{{', '.join(f'{name}: {folder}' for name in asked[part])}}}" for part in ("data", "weights")]
    (folder / "filled.yaml").write_text("\n".join(lines))
    return folder / "filled.yaml"


def chain_of(path: Path, places: Path, *more: str) -> Chain:
    return load_chain(path, [f"out={places.parent / 'out'}", *more], places)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_whole(path: Path, places: Path) -> None:
    chain = chain_of(path, places)
    check_crops(chain)
    graph = plan(chain, foretell=True)
    assert len(graph.cells) == len(chain.folds()) * len(chain.methods)
    for step in graph.steps.values():
        if step.kind != "train":
            continue
        own = step.settings["train"][step.name]
        ours = [own.get(part, {}).get("path") for part in ("faces", "pairs")]
        # What learns from what is tested takes the fold's train side; of data sets of their own there are no sides.
        assert (own.get("protocol") == step.fold) == ("/$store" in ours), step.title
    assert chain.strict and chain.paper.title
    if chain.trainings:
        assert chain.trainings.name == "trainings"


def test_each_paper_has_its_tables_and_the_page_names_them() -> None:
    assert {path.stem.partition("-")[0] for path in FILES} == {"agfas", "difffas", "lgsc", "dlif", "stdn"}
    page = (ROOT / "docs" / "papers-tables.md").read_text("utf-8")
    assert not [path.stem for path in FILES if f"`{path.stem}`" not in page]


def test_trainings_are_as_few_as_can_be(places: Path) -> None:
    def trained(name: str) -> dict[str, int]:
        graph = plan(chain_of(FOLDER / f"{name}.yaml", places), foretell=True)
        return dict(Counter(step.name for step in graph.steps.values() if step.kind == "train"))

    assert trained("agfas-ocim") == trained("agfas-strength") == {"dfg": 1}, "of faces that no fold tests"
    assert trained("difffas-margins") == {"style": 2, "difffas": 2}
    assert trained("lgsc-losses") == {"lgsc": 3}


def test_what_is_not_there_is_named_at_once(places: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["paper", str(FOLDER / "agfas-ocim.yaml"), "data.casia-fasd=/nowhere/at/all"])
    assert done.exit_code == 2
    for lacking in ("oulu-npu", "replay-attack", "msu-mfsd", "ffhq", "celeba-spoof"):
        assert f"data set {lacking}: where it lies is not said" in done.output
    assert "data set casia-fasd: there is no /nowhere/at/all" in done.output
    assert "weights arcface: where it lies is not said" in done.output and "data.NAME=FOLDER" in done.output
    (tmp_path / "places.yaml").write_text("store: x")
    with pytest.raises(ConfigError, match="'store' is no place"):
        load_chain(FILES[0], (), tmp_path / "places.yaml")


def test_places_say_where_what_is_asked_for_lies_and_no_more(places: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "places.yaml").write_text("data: {oulu-npu: here, siw: elsewhere, msu-mfsd: null}\nweights: {resnet18: null}")
    given = [f"weights.resnet18={tmp_path / 'here'}"]
    chain = load_chain(FOLDER / "lgsc-oulu.yaml", given, tmp_path / "places.yaml")
    assert chain.data == {"oulu-npu": {"frames": 10, "path": str(tmp_path / "here")}}, "beside the file that says it"
    assert chain.weights == {"resnet18": str(tmp_path / "here")} and chain.out == ROOT / "out" / "papers" / "lgsc-oulu"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("methods.LGSC.scoer=x", "scoer"),
        ("methods.LGSC.detector={}", "either a detector"),
        ("figures=[acre]", "'acre' is none of auc"),
        ("protocols=[oulu-5]", "there is no protocol 'oulu-5'"),
        ("protocols=[siw-1]", "data set siw: the protocols are of it"),
        ("paper.figures={oulu-9: {LGSC: {acer: 1}}}", "there is no protocol 'oulu-9'"),
        ("paper.figures={oulu-1: {LSGC: {acer: 1}}}", "'LSGC' is none of the methods"),
        ("weights.lgsc=embedded", "is the name of two things"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(places: Path, setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chain_of(FOLDER / "lgsc-oulu.yaml", places, setting)


def test_crops_are_those_of_all_methods(places: Path) -> None:
    chain = chain_of(FOLDER / "lgsc-losses.yaml", places, "methods.other={score: lgsc_score, settings: {align: {size: 64}}}")
    with pytest.raises(ConfigError, match=r"method other: its settings of align are not those of the other methods"):
        check_crops(chain)


def test_a_dry_run_says_the_cost_and_writes_nothing(places: Path) -> None:
    out = places.parent / "never"
    said = CliRunner().invoke(
        main, ["paper", str(FOLDER / "stdn-siw-m.yaml"), "--data", str(places), f"out={out}", "--dry-run"]
    )
    assert said.exit_code == 0, said.output
    assert "folds    13: siw-m-replay" in said.output and "26 steps to do" in said.output and "150000" in said.output
    assert not out.exists()
