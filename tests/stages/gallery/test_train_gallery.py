"""Galleries: who is paired with whom, and what is said of those without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fasgen.errors import SourceError
from fasgen.stages.gallery import train_simulation
from fasgen.stages.gallery.train_gallery import load_galleries
from fasgen.stages.gallery.training_config import GalleryTraining

from .toy import crop_store, faces_folder, toy_physical

SIZE = 32


def settings(**changes: object) -> GalleryTraining:
    return GalleryTraining.model_validate({"faces": {"size": SIZE}} | changes)


def test_real_crops_are_paired_by_data_set_subject_and_device(tmp_path: Path) -> None:
    store = crop_store(tmp_path / "store", SIZE)
    train, held = load_galleries(settings(out=tmp_path / "out", pairs={"path": store, "holdout": ["d/eve"]}))
    assert {train.subjects[t] for t in train.lives} == {"d/ann", "d/bob"}
    for target, lives in train.lives.items():
        assert all(train.live[i] and train.subjects[i] == train.subjects[target] for i in lives)
    # ann's spoof by another phone has no live face of that phone; cid has spoofs alone, and nobody knows the last.
    report = json.loads((tmp_path / "out" / "pairs.json").read_text())
    assert report["subjects_without_pair"] == 3
    assert report["unpaired"] == {
        "d/ann (d, device tablet)": "no live crop",
        "d/cid (d, device phone)": "no live crop",
        "(no subject named)": "1 crops that cannot be paired",
    }
    assert set(train.families) == {"", "print"} and all(
        (family == "") == live for family, live in zip(train.families, train.live, strict=True)
    )
    # Without a live face they still show their style.
    assert train.styles.count("d|phone|print") == 2 + 2 + 2
    assert {"d/eve"} == set(held.subjects) and "d/eve" not in train.subjects
    assert report["held_out"]["pairs"] == 2 and report["train"]["pairs"] == 4


def test_pictures_are_taken_from_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    changes = {
        "out": tmp_path / "out",
        "faces": {"path": faces_folder(tmp_path / "faces"), "size": SIZE, "holdout_share": 0},
        "pairs": {"path": crop_store(tmp_path / "store", SIZE)},
        "simulation": {"renders": 1, "looks": 1},
    }
    train, held = load_galleries(settings(**changes))
    flat = torch.cat(list(train.parts))
    index = torch.tensor([len(train) - 1, 0, len(train.parts[0]), 3])
    assert torch.equal(train.take(index), flat[index]) and len(flat) == len(train) and not len(held)
    assert {"live", "physical|simulated|dark", "physical|simulated|striped", "d|phone|print", "d|phone|live"} <= set(
        train.styles
    )


def test_no_source_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither"):
        load_galleries(settings(out=tmp_path))
    with pytest.raises(SourceError, match="no subject named zoe"):
        load_galleries(settings(out=tmp_path, pairs={"path": crop_store(tmp_path / "store", SIZE), "holdout": ["zoe"]}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no live or spoof crop"):
        load_galleries(settings(out=tmp_path, pairs={"path": tmp_path / "empty"}))
