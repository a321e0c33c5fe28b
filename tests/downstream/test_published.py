"""Published protocols and filters in experiments and in tables of scores: who takes part, and what is said of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fasgen.cli import main
from fasgen.downstream.config import DataConfig, ProtocolConfig
from fasgen.downstream.data import Shards
from fasgen.downstream.evaluate import Settings, evaluate, trials
from fasgen.downstream.protocols import MADE_OF_HELD, folds
from fasgen.downstream.scores import Score, ScoreTable, write_scores
from fasgen.downstream.tables import build
from fasgen.errors import FilterError, StoreError
from fasgen.reader import SampleTable
from tests.leaks.toy import EACH, PEOPLE, lay_by_hand, of, sample


def meta(person: str, label: str, number: int, style: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {"sample_id": sample(person, "live" if style else label, number), "dataset": "toy"}
    out |= {"subject": f"toy/{person}", "path": f"{person}/{label}/{number}", "split": PEOPLE[person]}
    if not style:
        return out | {"label_index": int(label == "live")}
    return out | {"label_index": 0, "synthetic": True, "style_subject": f"toy/{style}", "synthesis": {"variant": 1}}


def table() -> SampleTable:
    real = [meta(p, label, n) for p in PEOPLE for label in ("live", "spoof") for n in range(EACH)]
    made = [
        meta("ann", "live", 0, "bob"),
        meta("ann", "live", 1, "eve"),
        meta("eve", "live", 0, "ann"),
        meta("fay", "live", 0, "ann"),
    ]
    return SampleTable.of_metas([*real, *made])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    lay_by_hand(tmp_path, "mine-1", {"train": ["ann", "bob"], "dev": ["dan"], "test": ["eve"]}, "mine")
    lay_by_hand(tmp_path, "mine-2", {"train": ["eve", "cid"], "test": ["ann"]}, "mine")
    return tmp_path


def test_a_published_protocol_and_what_was_made_of_it(store: Path) -> None:
    first, second = folds(table(), ProtocolConfig.model_validate({"name": "mine", "dev_share": 0.5}), store)
    assert set(first.train.sample_id) == of("ann") | of("bob") and set(first.test.sample_id) == of("eve")
    assert set(first.dev.sample_id) == of("dan"), "its own dev, not a share"
    assert [str(i) for i in first.train.sample_id[first.train.synthetic]] == [sample("ann", "live", 0)]
    # In the style of eve; and of eve herself. Of fay, who takes no part, one was made too.
    assert first.left_out == {MADE_OF_HELD: 2, "not in mine/1": 8 + 1}
    # In the second fold eve trains, in the style of ann, who is tested.
    assert second.left_out[MADE_OF_HELD] >= 3 and not second.train.synthetic.any()


def test_what_is_not_there_is_named(store: Path) -> None:
    with pytest.raises(StoreError, match="has no row sets of a protocol 'oulu-1'"):
        folds(table(), ProtocolConfig.model_validate({"name": "oulu-1"}), store)
    with pytest.raises(ValueError, match="leave one of them out"):
        ProtocolConfig.model_validate({"name": "mine", "kind": "folds"})


def test_samples_that_do_not_pass(three: Path) -> None:
    config = {"shards": (three,), "size": 32}
    shards = Shards(DataConfig.model_validate(config | {"where": "dataset != 'c' and not synthetic and brisque < 22"}), False)
    assert set(shards.table.dataset) == {"a", "b"} and not shards.table.synthetic.any() and max(shards.table.brisque) < 22
    assert len(shards.table) + shards.left_out == len(Shards(DataConfig.model_validate(config), False).table)
    with pytest.raises(FilterError, match="did you mean 'dataset'"):
        Shards(DataConfig.model_validate(config | {"where": "datset = 'a'"}), False)


def test_scores_under_a_protocol(store: Path) -> None:
    rows = [
        Score(sample(p, label, n), int(label == "live"), 0.9 if label == "live" else 0.1 + (p == "eve"), split="test")
        for p in ("ann", "dan", "eve")
        for label in ("live", "spoof")
        for n in range(EACH)
        if not (p == "eve" and label == "live" and n)
    ]
    path = store / "scores.csv"
    write_scores(path, rows)
    done = CliRunner().invoke(main, ["eval", str(path), "--store", str(store), "--protocol", "mine/1", "--bootstrap", "0"])
    assert done.exit_code == 0, done.output
    assert "scores.csv: 1 test samples of mine/1 have no score" in done.output
    assert "scores.csv: 4 scores are of samples that mine/1 does not test" in done.output
    assert done.stdout.splitlines()[3].split()[:4] == ["mine/1", "scores", "1", "2"]
    every = CliRunner().invoke(main, ["eval", str(path), "--store", str(store), "--protocol", "mine", "--bootstrap", "0"])
    assert "mine/1" in every.stdout and "mine/2" in every.stdout
    some = CliRunner().invoke(main, ["eval", str(path), "--where", "score < 1", "--bootstrap", "0"])
    assert "left out 2 rows that do not pass --where" in some.output
    none = CliRunner().invoke(main, ["eval", str(path), "--store", str(store)])
    assert none.exit_code == 2 and "name the protocol" in none.output


def test_folds_are_reported_by_mean_and_deviation() -> None:
    rows = [
        Score(f"{fold}{n}", int(n < 2), float(n < 2) if n else 0.4 * fold, protocol=f"mine/{fold}", method="m")
        for fold in (1, 2)
        for n in range(4)
    ]
    found = [evaluate(trial, Settings(threshold=0.5, bootstrap=0)) for trial in trials(ScoreTable(rows))]
    table = build(found, "intra")
    assert table.header[2:4] == ("APCER realistic", "APCER idealised")
    assert table.rows[-1][:2] == ("mine, 2 folds", "m")
    assert table.rows[-1][2::2] == ("0.00 ± 0.00", "25.00 ± 35.36", "12.50 ± 17.68")
    full = build(found, "full")
    cells = dict(zip(full.header, full.rows[-1], strict=True))
    assert cells["BPCER realistic"] == "25.00 ± 35.36" and "±" in cells["AUC realistic"] and "±" in cells["EER idealised"]
    assert "frame level; " in table.caption, "there are no videos"
