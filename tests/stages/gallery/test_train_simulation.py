"""Simulated spoofs of live faces: what is made of whom, once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fasgen.errors import ResourceError
from fasgen.stages.gallery import train_simulation
from fasgen.stages.gallery.train_simulation import plan, simulate_faces
from fasgen.stages.gallery.training_config import SimulationConfig
from fasgen.training.config import FacesConfig
from fasgen.training.faces import Face, list_faces

from .toy import faces_folder, toy_physical

SIZE = 32


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
    config = SimulationConfig(renders=2, looks=2, workers=2)
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


def test_processes_render_what_one_renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "PORTION", 3)
    faces, _ = list_faces(FacesConfig(path=faces_folder(tmp_path / "faces"), size=SIZE))
    config = SimulationConfig(renders=1, looks=0, styles=("print", "replay_phone"))
    made = [
        simulate_faces(faces, SIZE, config.model_copy(update={"workers": workers}), 0, "train", tmp_path / str(workers)).spoofs
        for workers in (1, 2)
    ]
    assert torch.equal(*made) and not torch.equal(made[0], torch.zeros_like(made[0]))


def die(*_: object) -> None:
    os._exit(9)


def test_a_process_that_dies_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "PORTION", 3)
    monkeypatch.setattr(train_simulation, "_render_part", die)
    faces, _ = list_faces(FacesConfig(path=faces_folder(tmp_path / "faces"), size=SIZE))
    config = SimulationConfig(renders=1, looks=0, styles=("print",), workers=2)
    with pytest.raises(ResourceError, match=r"lower simulation\.workers"):
        simulate_faces(faces, SIZE, config, 0, "train", tmp_path / "out")
    assert not list((tmp_path / "out").glob("simulated-*.npy")), "half of a file is none"
