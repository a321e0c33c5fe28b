"""The script that writes the figures of docs/experiments.md."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fasgen.downstream.scores import write_scores
from fasgen.reader import SampleTable

ROOT = Path(__file__).resolve().parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "experiments" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def document() -> ModuleType:
    return script("document")


def test_relative_change_is_of_the_means_over_groups(
    document: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "AUGMENT", tmp_path)
    real = {"a": [{"hter": 0.4, "auc": 0.6}], "b": [{"hter": 0.2, "auc": 0.8}]}
    more = {"a": [{"hter": 0.1, "auc": 0.9}], "b": [{"hter": 0.2, "auc": 0.7}]}
    report = {"seeds": 1, "replays, one domain left out": {"real": real, "real + simulation": more}}
    (tmp_path / "augment-physical.json").write_text(json.dumps(report))
    found = document.augment()
    row = "| real + simulation | 15.00 | 7.07 | -50.00 | 1 of 2 | 80.00 | 14.14 | +10.00 | 1 of 2 | 10.00 | 20.00 |"
    assert list(found) == ["augment/replays"] and row in found["augment/replays"]


def test_only_marked_tables_are_written(document: ModuleType) -> None:
    text = "a 1.0\n<!-- table: x/summary -->\nold\n<!-- end -->\nb\n"
    new = document.fill(text, {"x/summary": "| t |\n"})
    assert new == "a 1.0\n<!-- table: x/summary -->\n\n| t |\n\n<!-- end -->\nb\n"
    assert document.fill(new, {"x/summary": "| t |\n"}) == new


def test_every_table_of_the_document_is_marked(document: ModuleType) -> None:
    names = [match[2] for match in document.MARK.finditer((ROOT / "docs" / "experiments.md").read_text("utf-8"))]
    augment = [f"{name}/{table}" for name in ("augment", "augment-difffas") for table in ("replays", "photographs")]
    sets = ["sets/one/summary", "sets/one/cuts", "sets/pairs/summary"]
    assert sorted(names) == sorted([*augment, *sets])


def faces(made: bool = False) -> SampleTable:
    """Three sets of four people with two live faces and two attacks each; synthetic spoofs of each live face where asked."""
    metas: list[dict[str, Any]] = []
    for dataset in "abc":
        for person in range(4):
            for label, k in product((0, 1), range(2)):
                who = {
                    "dataset": dataset,
                    "subject": f"{dataset}/{person}",
                    "path": f"{label}/{person}/{k}.jpg",
                    "label_index": label,
                }
                metas.append({**who, "sample_id": f"{dataset}{person}{label}{k}", "attack_type": "" if label else "print"})
                if made and label:
                    of = {
                        "synthetic": True,
                        "synthesis": {"variant": 1},
                        "label_index": 0,
                        "style_subject": f"{dataset}/{3 - person}",
                    }
                    metas.append({**metas[-1], **of})
    return SampleTable.of_metas(metas)


def told(table: SampleTable) -> dict[tuple[str, int], NDArray[np.float32]]:
    """Features in which a spoof is far off along the second of three axes."""
    noise = np.random.default_rng(0).normal(size=(len(table), 3)).astype(np.float32)
    noise[:, 1] += 8 * (table.label == 0)
    keys = zip(table.sample_id.tolist(), table.variant.tolist(), strict=True)
    return dict(zip(keys, noise, strict=True))


def test_heads_of_sets_learn_from_their_own_and_the_same_seed_is_the_same_head(
    document: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets, table = script("sets"), faces()
    cuts = list(sets.cuts(table))
    names = [
        "one set out/a",
        "one set out/b",
        "one set out/c",
        "pairs of sets/a to b",
        "pairs of sets/a to c",
        "pairs of sets/b to a",
    ]
    assert [cut.name for cut in cuts][:6] == names and len(cuts) == 9
    for cut in cuts:
        tested, learnt = ({*part.dataset.tolist()} for part in (cut.test, cut.train))
        assert not tested & learnt and {*cut.dev.dataset.tolist()} <= learnt
    monkeypatch.setattr(sets, "RATE", 0.2)
    monkeypatch.setattr(sets, "STEPS", 25)
    rows = {
        name: [row for cut in cuts[:4] for seed in (0, 1) for row in sets.head(cut, [told(table)], name, seed)]
        for name in ("image", "more")
    }
    assert rows["image"] == [replace(row, method="image") for row in rows["more"]]
    assert {row.step for row in rows["image"]} == {"5", "10", "15", "20", "25"}
    monkeypatch.setattr(document, "SETS", tmp_path)
    monkeypatch.setattr(document, "DRAWS", 20)
    for number, (name, some) in enumerate(rows.items()):
        write_scores(tmp_path / f"{number:02d} {name}.parquet", some)
    found = document.sets()
    assert set(found) == {"sets/one/summary", "sets/one/cuts", "sets/pairs/summary", "sets/pairs/cuts"}
    # What is far apart is told apart, and what is the same gains nothing.
    assert (
        "| image, a | 8 | 8 | 0.00 ± 0.00 |" in found["sets/one/cuts"]
        and "| more | 6 | 0.00 ± 0.00 |" in found["sets/one/summary"]
    )
    assert "+0.00 ± 0.00 | 0 of 3" in found["sets/one/summary"]


def test_synthetic_spoofs_take_half_of_the_places_of_spoofs() -> None:
    sets, table = script("sets"), faces(made=True)
    [cut] = [one for one in sets.cuts(table) if one.name == "one set out/a"]
    assert cut.train.synthetic.any() and not cut.dev.synthetic.any() and not cut.test.synthetic.any()
    rows = sets.drawn(sets.cells(cut.train), torch.Generator().manual_seed(0)).numpy()
    for dataset in "bc":
        of_set = cut.train.dataset[rows] == dataset
        live, synthetic = cut.train.label[rows] == 1, cut.train.synthetic[rows]
        assert [int((of_set & mask).sum()) for mask in (live, ~live & ~synthetic, synthetic)] == [16, 8, 8]
