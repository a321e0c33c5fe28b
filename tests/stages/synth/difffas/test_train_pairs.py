"""Pairs: who is paired with whom, which guides may come, and what is said of those without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.errors import SourceError
from fasgen.stages.synth.difffas import train_simulation
from fasgen.stages.synth.difffas.train_pairs import Gallery, Pairs, load_galleries
from fasgen.stages.synth.difffas.train_simulation import plan, simulate_faces
from fasgen.stages.synth.difffas.training_config import DiffFASTraining, SimulationConfig
from fasgen.training.config import FacesConfig
from fasgen.training.faces import Face, list_faces

from .toy import crop_store, faces_folder, toy_physical

SIZE = 32


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_guides_share_the_group_and_never_the_picture(subjects: int, groups: int, each: int, seed: int) -> None:
    gallery = Gallery()
    names = [f"s{i}" for i in range(subjects)]
    gallery.add(torch.zeros(subjects, 3, 1, 1, dtype=torch.uint8), ["live"] * subjects, ["live"] * subjects, names, True)
    for group in range(groups):
        for s in range(subjects):
            shape = torch.zeros(each, 3, 1, 1, dtype=torch.uint8)
            first = gallery.add(shape, [f"g{group}"] * each, [f"g{group}"] * each, [names[s]] * each, False)
            for i in range(each):
                gallery.lives[first + i] = [s]
    pairs = Pairs(gallery)
    alone = subjects == 1 and each == 1
    assert len(pairs) == (0 if alone else subjects * groups * each) and len(pairs.unguided) == (groups if alone else 0)
    coin = torch.Generator().manual_seed(seed)
    for pair in range(len(pairs)):
        live, target, guide = pairs.draw(pair, coin)
        assert gallery.live[live] and not gallery.live[target] and not gallery.live[guide]
        assert gallery.subjects[live] == gallery.subjects[target]
        assert guide != target and gallery.groups[guide] == gallery.groups[target]
        assert (gallery.subjects[guide] != gallery.subjects[target]) == (subjects > 1)


def test_every_other_picture_of_the_style_can_be_the_guide() -> None:
    gallery = Gallery()
    gallery.add(torch.zeros(4, 3, 1, 1, dtype=torch.uint8), ["live"] * 4, ["live"] * 4, list("abcd"), True)
    first = gallery.add(torch.zeros(8, 3, 1, 1, dtype=torch.uint8), ["x"] * 8, ["x"] * 8, list("abcdabcd"), False)
    gallery.lives = {first + i: [i % 4] for i in range(8)}
    pairs, coin = Pairs(gallery), torch.Generator().manual_seed(0)
    assert {pairs.draw(1, coin)[2] for _ in range(200)} == {first + i for i in (0, 2, 3, 4, 6, 7)}


def faces_of(count: int) -> list[Face]:
    return [Face(Path("x"), f"p{i % 3}/{i}.png", f"p{i % 3}") for i in range(count)]


def test_each_face_is_spoofed_in_different_styles_from_shared_seeds() -> None:
    styles = ("a", "b", "c", "d")
    jobs = plan(faces_of(60), styles, SimulationConfig(renders=3, looks=2), 0, "train")
    assert len(jobs) == 180
    assert all(len({j.style for j in jobs if j.parent == i}) == 3 for i in range(60))
    by_group = {group: {j.seed for j in jobs if j.group == group} for group in {j.group for j in jobs}}
    assert len(by_group) == 8 and all(len(seeds) == 1 for seeds in by_group.values())
    assert len({seed for (seed,) in by_group.values()}) == 8
    held = plan(faces_of(60), styles, SimulationConfig(renders=3, looks=2), 0, "held")
    assert not {j.seed for j in held} & {j.seed for j in jobs}
    free = plan(faces_of(60), styles, SimulationConfig(renders=3, looks=0), 0, "train")
    assert len({j.seed for j in free}) == 180 and {j.group for j in free} == set(styles)


def test_simulation_is_rendered_once_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    faces, _ = list_faces(FacesConfig(path=faces_folder(tmp_path / "faces"), size=SIZE))
    config = SimulationConfig(renders=2, looks=2, threads=2)
    made = simulate_faces(faces, SIZE, config, 0, "train", tmp_path / "out")
    assert made.spoofs.shape == (2 * len(faces), 3, SIZE, SIZE) and made.spoofs.dtype == torch.uint8
    for i in (0, 5):
        _, simulate = toy_physical(config)
        face = made.faces[made.parents[i]].permute(1, 2, 0).numpy()
        style = made.styles[i].rsplit("|", 1)[1]
        seed = plan(faces, ("dark", "striped"), config, 0, "train")[i].seed
        assert np.array_equal(simulate(face, style, seed), made.spoofs[i].permute(1, 2, 0).numpy())
    (file,) = (tmp_path / "out").glob("simulated-*.npy")
    stamp = file.stat().st_mtime_ns
    again = simulate_faces(faces, SIZE, config, 0, "train", tmp_path / "out")
    assert torch.equal(again.spoofs, made.spoofs) and file.stat().st_mtime_ns == stamp
    simulate_faces(faces, SIZE, config.model_copy(update={"cache": tmp_path / "shared"}), 1, "train", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == len(list((tmp_path / "shared").iterdir())) == 1


def settings(**changes: object) -> DiffFASTraining:
    return DiffFASTraining.model_validate({"faces": {"size": SIZE}} | changes)


def test_real_crops_are_paired_by_data_set_subject_and_device(tmp_path: Path) -> None:
    store = crop_store(tmp_path / "store", SIZE)
    train, held = load_galleries(settings(out=tmp_path / "out", pairs={"path": store, "holdout": ["d/eve"]}))
    pairs = Pairs(train)
    assert {train.subjects[t] for t in pairs.targets} == {"d/ann", "d/bob"}
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
    # Without a live face they still show their style.
    assert train.styles.count("d|phone|print") == 2 + 2 + 2
    assert {"d/eve"} == set(held.subjects) and "d/eve" not in train.subjects
    assert report["held_out"]["pairs"] == 2 and report["train"]["pairs"] == 4


def test_pictures_are_taken_from_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    changes = {
        "out": tmp_path / "out",
        "faces": {"path": faces_folder(tmp_path / "faces"), "size": SIZE},
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
