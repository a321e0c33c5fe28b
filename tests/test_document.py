"""The script that writes the figures of docs/experiments.md."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from fasgen.downstream.scores import Score, write_scores

ROOT = Path(__file__).resolve().parents[1]
TABLES = ("summary", "seeds", "control", "auc")


@pytest.fixture
def document() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document", ROOT / "examples" / "experiments" / "document.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    assert sorted(names) == sorted([*experiments, "replay-lodo/hter", *augment])
