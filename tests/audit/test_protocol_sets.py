"""A protocol over a store: what is written, and where synthetic rows go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from fasgen.audit.protocol_sets import find_protocols, lay
from fasgen.cli import main
from fasgen.errors import ConfigError, SourceError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.sources_file import blank, read_sources, write_sources
from fasgen.manifests.sources_rows import COLUMNS
from fasgen.sources.protocols import PROTOCOLS

INTRA = PROTOCOLS["celeba-spoof-intra"]
SPLITS = ("train", "test")


def source_row(split: str, subject: str, label: str, dataset: str = "celeba-spoof") -> dict[str, Any]:
    row = {
        "sample_id": f"{split}-{subject}-{label}",
        "dataset": dataset,
        "path": f"Data/{split}/{subject}/{label}/1.png",
        "size": 1,
        "kind": "image",
        "subject": f"{dataset}/{subject}",
        "label": label,
        "domain": "d",
        "split": split,
        "licence": "none",
    }
    assert row.keys() <= {column.name for column in COLUMNS}
    return row


@pytest.fixture
def store(tmp_path: Path) -> Path:
    people = (("train", "1"), ("train", "2"), ("test", "3"), ("test", "4"))
    rows = [source_row(split, subject, label) for split, subject in people for label in ("live", "spoof")]
    write_sources(tmp_path, "celeba-spoof", [*rows, source_row("dev", "9", "live")])
    return tmp_path


def synthesise(store: Path, *made: tuple[str, str, str, str, tuple[str, ...]]) -> None:
    """Commit rows of a stage: sample id, subject, lender of the style, label, parents."""
    folder = store / "synth-0123abcd"
    write_plan(folder, {"stage": "synth"})
    with UnitWriter(folder, 0, columns=(), arrays={}, plan_hash="h", weights="w") as writer:
        for number, (sample, subject, style, label, parents) in enumerate(made):
            provenance = {"dataset": "celeba-spoof", "subject": subject, "style_subject": style, "label": label}
            writer.ok(Row(sample, number, 1, 0, parents, provenance), files={"png": b"x"})
        writer.commit(len(made), {})


def test_row_sets_and_report(store: Path) -> None:
    made = lay(store, INTRA)
    assert made.is_sound
    train = pq.read_table(made.folder / "train.parquet")
    assert train["sample_id"].to_pylist() == ["train-1-live", "train-1-spoof", "train-2-live", "train-2-spoof"]
    assert set(train["synthetic"].to_pylist()) == {False}
    report = json.loads((made.folder / "report.json").read_text())
    assert report["sides"]["test"] == {"clips": {"live": 2, "spoof": 2}, "rows": 4, "rows_without_subject": 0, "subjects": 2}
    before = (made.folder / "train.parquet").read_bytes()
    lay(store, INTRA)
    assert (made.folder / "train.parquet").read_bytes() == before, "the same bytes every time"


def test_synthesis_keeps_people_apart(store: Path) -> None:
    one, two, three, nine = (f"celeba-spoof/{number}" for number in (1, 2, 3, 9))
    synthesise(
        store,
        ("both-train", one, two, "spoof", ("train-1-live", "train-2-spoof")),
        ("style-of-test", one, three, "spoof", ("train-1-live", "test-3-spoof")),
        ("parent-of-test", one, two, "spoof", ("train-1-live", "test-3-spoof")),
        ("all-test", three, three, "spoof", ("test-3-live", "test-3-spoof")),
        ("style-of-nobody", one, nine, "spoof", ("train-1-live", "dev-9-live")),
    )
    made = lay(store, INTRA)
    assert not made.is_sound
    assert made.synthetic.mixed == {"style-of-test": ("test", "train"), "parent-of-test": ("test", "train")}
    assert made.synthetic.elsewhere == 2
    train = pq.read_table(made.folder / "train.parquet")
    assert train["sample_id"].to_pylist()[-1] == "both-train" and train["synthetic"].to_pylist() == [False] * 4 + [True]
    assert pq.read_table(made.folder / "test.parquet").num_rows == 4


def test_a_source_of_another_name(tmp_path: Path) -> None:
    write_sources(tmp_path, "mine", [source_row(split, "1" + split, "live", "mine") for split in ("train", "test")])
    assert any("--as celeba-spoof=NAME" in one for one in lay(tmp_path, INTRA).sides.missing)
    made = lay(tmp_path, INTRA, {"celeba-spoof": "mine"})
    assert [table.num_rows for table in made.sides.rows.values()] == [1, 1]
    assert "train: celeba-spoof has no spoof rows there" in made.sides.missing
    with pytest.raises(ConfigError, match="no source 'theirs'"):
        lay(tmp_path, INTRA, {"celeba-spoof": "theirs"})


def test_lists_that_ship_with_a_data_set(tmp_path: Path) -> None:
    rows = [source_row("train", subject, label) | {"split": None} for subject in ("1", "2") for label in ("live", "spoof")]
    for row in rows:
        row["path"] = f"a/{row['subject'][-1]}_{row['label']}.png"
    write_sources(tmp_path, "celeba-spoof", rows)
    lists = tmp_path / "lists.csv"
    lists.write_text("name,split\na/1_live.png,training\n1_spoof,train\n2_live,eval\na/2_spoof,test\n")
    made = lay(tmp_path, INTRA, lists=lists)
    assert {side: table.num_rows for side, table in made.sides.rows.items()} == {"train": 2, "test": 2} and made.is_sound
    for text, complaint in (("a,b\n", "columns name and split"), ("name,split\nx,soon\n", "line 2 has the split 'soon'")):
        lists.write_text(text)
        with pytest.raises(SourceError, match=complaint):
            lay(tmp_path, INTRA, lists=lists)


def test_the_lists_of_a_configured_source_are_found(
    store: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shipped with the data set, in its folder: they are preferred, and what they have otherwise than the rules is told."""
    home = tmp_path_factory.mktemp("home")
    metas = home / "celeba/metas/intra_test"
    metas.mkdir(parents=True)
    rows = {
        split: [row for row in read_sources(store, "celeba-spoof").to_pylist() if row["split"] == split] for split in SPLITS
    }
    for split in SPLITS:
        (metas / f"{split}_label.json").write_text(json.dumps({row["path"]: [0] * 44 for row in rows[split][:3]}))
    (home / "fasgen.yaml").write_text(f"store: {store}\nsources: [{{adapter: celeba-spoof, path: celeba}}]\n")
    monkeypatch.chdir(home)
    done = CliRunner().invoke(main, ["protocol", "celeba-spoof-intra"])
    assert done.exit_code == 0, done.output
    assert "by the lists in" in done.output and "differs: train: its lists leave out" in done.output
    made = store / "protocols/celeba-spoof-intra"
    assert [pq.read_table(made / f"{split}.parquet").num_rows for split in SPLITS] == [3, 3]


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(ConfigError, match="did you mean oulu-1"):
        find_protocols("oulu1")


def test_the_command(store: Path) -> None:
    run = CliRunner().invoke
    listed = run(main, ["protocol"])
    assert all(name in listed.output for name in PROTOCOLS)
    done = run(main, ["protocol", "celeba-spoof-intra", str(store)])
    assert done.exit_code == 0 and "live files" in done.output and "note: there is no dev" in done.output
    missing = run(main, ["protocol", "oulu-1", "--store", str(store)])
    assert missing.exit_code == 1 and "missing: train: no rows of oulu-npu" in missing.output
    synthesise(store, ("x", "celeba-spoof/1", "celeba-spoof/3", "spoof", ("train-1-live", "test-3-spoof")))
    mixed = run(main, ["protocol", "celeba-spoof-intra", str(store)])
    assert mixed.exit_code == 2 and "synthetic x was made from people of test and train" in mixed.output
    assert run(main, ["protocol", "celeba-spoof-intra", str(store), "--as", "x"]).exit_code == 2


def test_people_who_were_taken_out_are_in_no_set(store: Path) -> None:
    before = lay(store, INTRA)
    rows = [
        source_row(split, subject, "live") for split, subject in (("train", "1"), ("train", "2"), ("test", "3"), ("test", "4"))
    ]
    write_sources(store, "celeba-spoof", [rows[0], blank(rows[1]), *rows[2:]])
    after = lay(store, INTRA)
    assert before.sides.rows["train"].num_rows == 4
    assert after.sides.rows["train"]["sample_id"].to_pylist() == ["train-1-live"]
    assert after.sides.rows["test"].num_rows == 2
