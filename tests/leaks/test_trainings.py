"""No training looks at a row that it was not given: of the test split, of another side of a protocol, filtered out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fasgen.errors import ConfigError
from fasgen.stages.gallery import train_simulation
from fasgen.training.config import FacesConfig, StoreTraining, trainings
from fasgen.training.faces import Face, Faces
from fasgen.training.launch import build_task
from tests.leaks.toy import lay_by_hand, of, split_store
from tests.stages.gallery.toy import faces_folder, toy_physical
from tests.training.every import TRAINED


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of all faces whose pictures were read."""
    names: set[str] = set()
    read = Faces.read

    def noted(self: Faces, face: Face) -> Any:
        names.add(face.name)
        return read(self, face)

    monkeypatch.setattr(Faces, "read", noted)
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    return names


def counted(name: str, store: Path, out: Path, **more: Any) -> dict[str, int]:
    """What a training on the store says that it is trained on."""
    settings, _ = TRAINED[name]
    config = settings(store, out)
    assert isinstance(config, StoreTraining), f"{name} learns from stores and chooses no rows of them"
    parts: dict[str, Any] = {"faces": {**dict(config.faces), "holdout": ()}} if hasattr(config, "faces") else {}  # type: ignore[attr-defined]
    if hasattr(config, "pairs"):
        parts["pairs"] = {"path": store, "holdout_share": 0}
    config = type(config).model_validate(config.model_dump() | parts | more)
    task: Any = build_task(trainings()[name], config, torch.device("cpu"))
    return dict(task.counted)


@pytest.mark.parametrize("name", trainings())
def test_splits(name: str, tmp_path: Path, looked_at: set[str]) -> None:
    found = counted(name, split_store(tmp_path / "store"), tmp_path / "out")
    assert looked_at and looked_at <= of("ann") | of("bob") | of("cid") | of("fay")
    assert (found["left out of split dev"], found["left out of split test"]) == (4, 4)


@pytest.mark.parametrize("name", trainings())
def test_protocol_and_filter(name: str, tmp_path: Path, looked_at: set[str]) -> None:
    store = split_store(tmp_path / "store")
    lay_by_hand(store, "mine-1", {"train": ["ann", "bob", "dan"], "test": ["eve", "cid"]}, "mine")
    found = counted(name, store, tmp_path / "out", protocol="mine/1", where="subject != 'toy/bob'")
    assert looked_at and looked_at <= of("ann") | of("dan")
    assert (found["left out not on the train side of mine/1"], found["left out not passing where"]) == (12, 4)


def test_a_folder_has_no_rows_to_choose(tmp_path: Path, looked_at: set[str]) -> None:
    with pytest.raises(ConfigError, match="is a folder of images"):
        counted("autoencoder", faces_folder(tmp_path / "faces"), tmp_path / "out", where="label == 'live'")
    assert FacesConfig().holdout == () and not looked_at
