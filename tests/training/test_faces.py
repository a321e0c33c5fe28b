"""Faces for training: who is held out, and that every epoch shows every face once on any number of ranks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.errors import SourceError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import Column, Reason
from fasgen.training.config import FacesConfig
from fasgen.training.faces import Epochs, as_input, held_out, list_faces, load_faces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for subject in ("ann", "bob", "eve"):
        (tmp_path / subject).mkdir()
        for i in range(4):
            cv2.imwrite(str(tmp_path / subject / f"{i}.png"), np.full((40, 40, 3), 10 * i, np.uint8))
    return tmp_path


def test_subjects_are_held_out_whole(folder: Path) -> None:
    train, held = list_faces(FacesConfig(path=folder, holdout=("bob",)))
    assert {f.subject for f in train} == {"ann", "eve"} and {f.subject for f in held} == {"bob"}
    assert len(train) == 8 and len(held) == 4


def test_share_is_held_out_by_name_alone(folder: Path) -> None:
    first = list_faces(FacesConfig(path=folder, holdout_share=0.5))
    assert list_faces(FacesConfig(path=folder, holdout_share=0.5)) == first
    assert first[0] and first[1] and not {f.name for f in first[0]} & {f.name for f in first[1]}


@pytest.mark.parametrize(
    ("settings", "message"), [({"holdout": ("zoe",)}, "no subject named zoe"), ({"path": "missing"}, "is not a folder")]
)
def test_wrong_folders_are_named(folder: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list_faces(FacesConfig.model_validate({"path": folder, **settings}))


def test_unreadable_training_face_is_named(folder: Path) -> None:
    (folder / "ann" / "0.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"0\.png: does not decode"):
        load_faces(list_faces(FacesConfig(path=folder, holdout_share=0))[0], 32)


def test_loads_levels_and_resizes(folder: Path) -> None:
    x = load_faces(list_faces(FacesConfig(path=folder, holdout_share=0))[0], 32)
    assert x.shape == (12, 3, 32, 32) and x[3].unique().tolist() == [30]


@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 6), st.integers(0, 9))
def test_each_epoch_shows_each_face_once(count: int, world: int, per_rank: int, start: int) -> None:
    batch = world * per_rank
    steps = -(-2 * count // batch)
    epochs = Epochs(count, batch, 7)
    ranks = [[epochs.at(step, r, world).items for step in range(steps)] for r in range(world)]
    seen = torch.cat([torch.cat([ranks[r][s] for r in range(world)]) for s in range(steps)])
    assert sorted(seen[:count].tolist()) == list(range(count))
    assert sorted(seen[count : 2 * count].tolist()) == list(range(count))
    if start < steps:
        assert torch.equal(Epochs(count, batch, 7).at(start, 0, world).items, ranks[0][start])


@given(st.integers(1, 50), st.integers(1, 3), st.integers(1, 6), st.integers(0, 9))
def test_mirror_coins_are_the_epochs_own_whatever_the_ranks(count: int, world: int, per_rank: int, step: int) -> None:
    batch = world * per_rank
    whole = Epochs(count, batch, 7, flip=True).at(step, 0, 1)
    ranks = [Epochs(count, batch, 7, flip=True).at(step, rank, world) for rank in range(world)]
    assert torch.equal(torch.cat([views.items for views in ranks]), whole.items)
    assert torch.equal(torch.cat([views.mirrored for views in ranks]), whole.mirrored)
    assert not Epochs(count, batch, 7).at(step, 0, 1).mirrored.any()


def test_about_half_is_mirrored_and_other_pictures_in_another_epoch() -> None:
    epochs = Epochs(1000, 1000, 3, flip=True)
    first, second = ({int(i) for i in epochs.at(step, 0, 1).items[epochs.at(step, 0, 1).mirrored]} for step in (0, 1))
    assert 440 < len(first) < 560 and 180 < len(first & second) < 320


def test_input_range_and_mirror() -> None:
    x = torch.tensor([[[[0, 255]]]], dtype=torch.uint8).expand(2, 3, 1, 2)
    y = as_input(x, torch.tensor([False, True]))
    assert y[0, 0, 0].tolist() == [-1, 1] and y[1, 0, 0].tolist() == [1, -1]


def test_many_faces_lie_in_a_mapped_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, _ = list_faces(FacesConfig(path=folder))
    plain = load_faces(train, 32)
    monkeypatch.setattr("fasgen.training.faces.IN_MEMORY", 1000)
    mapped = load_faces(train, 32, tmp_path / "scratch")
    (file,) = (tmp_path / "scratch").iterdir()
    stamp = file.stat().st_mtime_ns
    assert torch.equal(plain, mapped) and torch.equal(load_faces(train, 32, tmp_path / "scratch"), plain)
    assert file.stat().st_mtime_ns == stamp


def test_live_crops_of_a_store(tmp_path: Path) -> None:
    store = tmp_path / "align-12345678"
    write_plan(store, {"stage": "align", "plan_hash": "12345678" * 8, "lanes": ["photographed"], "picture": "crop"})
    generator = np.random.default_rng(0)
    crops = generator.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    with UnitWriter(store, 0, columns=(), arrays={}, plan_hash="12345678" * 8, weights="w") as writer:
        for i, label in enumerate(("live", "spoof", "live", "live")):
            row = Row(f"{i:016x}", i, 0, 0, (), {"dataset": "d", "path": f"{i}.png", "label": label, "subject": f"d/{i // 2}"})
            if i == 3:
                writer.reject(row, Reason.NO_FACE, "none")
            else:
                writer.ok(row, images={"crop": crops[i]}, arrays={}, files={}, values={})
        writer.commit(4)
    train, held = list_faces(FacesConfig(path=tmp_path, holdout=("d/1",)))
    assert [f.name for f in train] == [f"{0:016x}"] and [f.name for f in held] == [f"{2:016x}"]
    assert np.array_equal(load_faces(held, 32)[0].permute(1, 2, 0).numpy(), crops[2])


def test_faces_turned_away_or_blurred_are_left_out(tmp_path: Path) -> None:
    store = tmp_path / "align-12345678"
    write_plan(store, {"stage": "align", "plan_hash": "12345678" * 8, "lanes": ["photographed"], "picture": "crop"})
    columns = tuple(Column(name, "float32", name) for name in ("yaw", "pitch", "sharpness"))
    with UnitWriter(store, 0, columns=columns, arrays={}, plan_hash="12345678" * 8, weights="w") as writer:
        for i, (yaw, pitch, sharpness) in enumerate(((-31, 0, 90), (29, -12, 90), (0, 21, 90), (5, 5, 9))):
            row = Row(f"{i:016x}", i, 0, 0, (), {"dataset": "d", "path": f"{i}.png", "label": "live"})
            values = {"yaw": float(yaw), "pitch": float(pitch), "sharpness": float(sharpness)}
            writer.ok(row, images={"crop": np.zeros((32, 32, 3), np.uint8)}, values=values)
        writer.commit(4)

    def numbers(**limits: float) -> list[int]:
        return [int(face.name, 16) for face in list_faces(FacesConfig(path=tmp_path, holdout_share=0, **limits))[0]]

    assert numbers() == [0, 1, 2, 3]
    assert numbers(max_yaw=30) == [1, 2, 3]
    assert numbers(max_yaw=30, max_pitch=20) == [1, 3]
    assert numbers(max_pitch=20, min_sharpness=10) == [0, 1]


def test_limits_need_their_column(tmp_path: Path) -> None:
    store = tmp_path / "align-12345678"
    write_plan(store, {"stage": "align", "plan_hash": "12345678" * 8, "lanes": ["photographed"], "picture": "crop"})
    with UnitWriter(store, 0, columns=(), arrays={}, plan_hash="12345678" * 8, weights="w") as writer:
        writer.ok(Row("0" * 16, 0, 0, 0, (), {"label": "live"}), images={"crop": np.zeros((32, 32, 3), np.uint8)})
        writer.commit(1)
    with pytest.raises(SourceError, match="have no yaw"):
        list_faces(FacesConfig(path=tmp_path, max_yaw=30))


@given(st.sets(st.text(min_size=1), max_size=200), st.floats(0.001, 0.5), st.text(min_size=1))
def test_a_few_are_held_out_and_one_more_moves_hardly_any(names: set[str], share: float, one: str) -> None:
    chosen = held_out(names, share)
    assert chosen <= names and not held_out(names, 0.0)
    assert len(chosen) >= min(8, len(names) // 10)
    more = held_out(names | {one}, share)
    assert len((chosen ^ more) - {one}) <= 1
