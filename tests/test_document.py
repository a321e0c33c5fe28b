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

from fasgen.downstream.scores import Score, write_scores
from fasgen.reader import SampleTable

ROOT = Path(__file__).resolve().parents[1]
TABLES = ("summary", "seeds", "control", "auc")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / "experiments" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def document() -> ModuleType:
    return script("document")


def scored(method: str, fold: str, seed: int, spoof: float) -> list[Score]:
    """Dev is separated at 0.5; of the tested, live score 0.9 and one spoof of two ``spoof``."""
    rows = [("dev", 1, 0.9), ("dev", 0, 0.1), ("test", 1, 0.9), ("test", 1, 0.8), ("test", 0, 0.1), ("test", 0, spoof)]
    return [
        Score(f"{n}", label, score, split=split, method=method, protocol=fold, seed=str(seed))
        for n, (split, label, score) in enumerate(rows)
    ]


def test_tables_of_an_experiment(document: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "TABLES", tmp_path)
    (tmp_path / "x").mkdir()
    rows = [
        row
        for fold in ("leave out replay/d1", "leave out replay/d2")
        for seed, spoof in ((0, 0.95), (1, 0.85))
        for row in scored("image", fold, seed, spoof) + scored("both", fold, seed, 0.1 if seed else 0.95)
    ]
    write_scores(tmp_path / "x" / "scores.csv", rows)
    found = document.tables("x")
    assert set(found) == {"x/summary", "x/seeds", "x/auc", "x/hter"}
    # Seed 0: both spoof scores above all live, AUC 1/2. Seed 1: above one of two live, AUC 3/4; without it AUC 1.
    assert "| image | 50.00 | 75.00 | - | - |" in found["x/seeds"]
    assert "| both | 50.00 | 100.00 | +1.00 | +1.00 |" in found["x/seeds"]
    assert found["x/auc"].splitlines()[0] == "| method | d1 | d2 |"
    assert "| both | 75.00 ± 35.36 | 75.00 ± 35.36 |" in found["x/auc"]


def test_a_cue_is_compared_with_the_image_twice_in_its_own_network(
    document: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "TABLES", tmp_path)
    (tmp_path / "x").mkdir()
    # AUC is 1/2 where the second spoof lies above both live faces, 3/4 where above one of them, 1 where above neither.
    spoofs = {
        "image": (0.95, 0.95),
        "image and residual, two branches": (0.1, 0.85),
        "image twice, two branches": (0.85, 0.95),
        "image and traces, two branches": (0.85, 0.95),
        "image twice, OA-Net": (0.1, 0.1),
        "image and traces, OA-Net": (0.95, 0.85),
        "image and traces, OA-Net, SSDG": (0.1, 0.1),
    }
    rows = [
        row
        for fold in ("fold 1 of 2", "fold 2 of 2")
        for method, of_seeds in spoofs.items()
        for seed, spoof in enumerate(of_seeds)
        for row in scored(method, fold, seed, spoof)
    ]
    write_scores(tmp_path / "x" / "scores.csv", rows)
    lines = document.tables("x")["x/control"].splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| image and residual, two branches",
        "| image and traces, two branches",
        "| image and traces, OA-Net",
    ]
    assert lines[0].endswith("| +25.00 ± 0.00 | 2 of 2 | - |") and lines[1].endswith("| +0.00 ± 0.00 | 0 of 2 | - |")
    assert lines[2].endswith("| -37.50 ± 17.68 | 0 of 2 | -3.00 |")


def test_relative_change_is_of_the_means_over_groups(
    document: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "TABLES", tmp_path)
    (tmp_path / "augment").mkdir()
    real = {"a": [{"hter": 0.4, "auc": 0.6}], "b": [{"hter": 0.2, "auc": 0.8}]}
    more = {"a": [{"hter": 0.1, "auc": 0.9}], "b": [{"hter": 0.2, "auc": 0.7}]}
    report = {"seeds": 1, "replays, one domain left out": {"real": real, "real + simulation": more}}
    (tmp_path / "augment" / "augment-physical.json").write_text(json.dumps(report))
    found = document.augment()
    row = "| real + simulation | 15.00 | 7.07 | -50.00 | 1 of 2 | 80.00 | 14.14 | +10.00 | 1 of 2 | 10.00 | 20.00 |"
    assert list(found) == ["augment/replays"] and row in found["augment/replays"]


def test_only_marked_tables_are_written(document: ModuleType) -> None:
    text = "a 1.0\n<!-- table: x/seeds -->\nold\n<!-- end -->\nb\n"
    new = document.fill(text, {"x/seeds": "| t |\n"})
    assert new == "a 1.0\n<!-- table: x/seeds -->\n\n| t |\n\n<!-- end -->\nb\n"
    assert document.fill(new, {"x/seeds": "| t |\n"}) == new


def test_every_table_of_the_document_is_marked(document: ModuleType) -> None:
    names = [match[2] for match in document.MARK.finditer((ROOT / "docs" / "experiments.md").read_text("utf-8"))]
    experiments = [f"{name}/{table}" for name in ("replay-lodo", "celeba-folds") for table in TABLES]
    augment = [f"{name}/{table}" for name in ("augment", "augment-difffas") for table in ("replays", "photographs")]
    sets = ["sets/one/summary", "sets/one/cuts", "sets/pairs/summary"]
    assert sorted(names) == sorted([*experiments, "replay-lodo/hter", *augment, *sets])


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
