"""STDN+ trained for a few steps: who learns from what, that it stops and goes on, and ends in what the stage loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fasgen.errors import ConfigError, SourceError, WeightsError
from fasgen.stages.facemesh.topology import five
from fasgen.stages.gallery import train_simulation
from fasgen.stages.gallery.train_gallery import Gallery
from fasgen.stages.stdn.generator import Generator
from fasgen.stages.stdn.geometry import pseudo_depth, untouched
from fasgen.stages.stdn.traces import live_of
from fasgen.stages.stdn.train_faces import Draws, Landmarks
from fasgen.stages.stdn.train_stdn import StdnTask, area
from fasgen.stages.stdn.training_config import StdnTraining
from fasgen.stages.stdn.warp import backward_offset
from fasgen.training.config import trainings
from fasgen.training.loop import train
from tests.leaks.toy import split_store
from tests.stages.gallery.toy import crop_store, faces_folder, picture, toy_physical

from . import tiny
from .meshes import mesh

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_folder(tmp_path_factory.mktemp("faces"))


def settings(folder: Path | None, out: Path, **changes: Any) -> StdnTraining:
    values: dict[str, Any] = {
        "out": out, "steps": 4, "batch": 4, "lr": 2e-3, "ema": 0.5, "log_every": 1, "checkpoint_every": 100,
        "sheet_every": 100, "landmarks": "template", "discriminator_width": 4,
        "faces": {"path": folder, "size": 32, "holdout": ["eve"]}, "simulation": {"renders": 2, "looks": 2, "workers": 1},
        **{key: value for key, value in tiny.GENERATOR.items() if key != "size"},
    }  # fmt: skip
    return StdnTraining.model_validate(values | changes)


@pytest.mark.parametrize("left", ["live", "spoof"])
def test_people_held_out_of_whom_there_is_one_kind_alone_stop_no_training(tmp_path: Path, left: str) -> None:
    store = split_store(tmp_path / "store")
    pairs = {"path": store, "holdout": ["toy/eve"]}
    config = settings(None, tmp_path / "out", pairs=pairs, splits=[], where=f"label = '{left}' or subject <> 'toy/eve'")
    task = StdnTask(config, CPU)
    assert task.counted["held out"] == 2 and task.held is None


def points(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


def test_it_trains_and_the_stage_loads_it(faces: Path, tmp_path: Path) -> None:
    config = settings(faces, tmp_path, paired_weight=5.0, stored="fp16")
    folder = train(StdnTask(config, CPU), config, CPU)
    network = Generator.load(folder / "generator")
    held = points(tmp_path)[-1]
    assert network.config.alpha0 == held["held_out_alpha0"] and network.config.size == 32
    assert load_file(folder / "generator" / "model.safetensors")["last.weight"].dtype == torch.float16
    names = {"auc", "auc_depth", "auc_traces", "change_live", "error", "error_spoof"}
    assert {f"held_out_{name}" for name in names} <= held.keys()
    assert held["held_out_error_spoof"] > 10
    assert {"regulariser", "mask", "gan", "depth", "paired", "discriminators", "again", "harder"} <= points(tmp_path)[0].keys()
    assert (tmp_path / "sheets" / "0000004.png").stat().st_size > 1000


def test_a_run_that_was_stopped_ends_like_one_that_was_not(faces: Path, tmp_path: Path) -> None:
    whole = settings(faces, tmp_path / "whole")
    torch.manual_seed(0)
    train(StdnTask(whole, CPU), whole, CPU)
    for steps in (2, 4):
        torch.manual_seed(0)
        part = settings(faces, tmp_path / "parts", steps=steps)
        train(StdnTask(part, CPU), part, CPU)
    one, two = (load_file(tmp_path / run / "final" / "generator" / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_it_learns_to_undo_a_known_spoof(faces: Path, tmp_path: Path) -> None:
    """Known pairs and depth alone, in one style: live counterparts come nearer, and depth tells spoof from live."""
    config = settings(
        faces, tmp_path, steps=40, batch=8, lr=1e-2, gan_weight=0.0, paired_weight=20.0, stem=8,
        simulation={"renders": 2, "looks": 1, "styles": ["dark"], "workers": 1},
    )  # fmt: skip
    train(StdnTask(config, CPU), config, CPU)
    held = points(tmp_path)[-1]
    assert held["held_out_error"] < 0.8 * held["held_out_error_spoof"]
    assert points(tmp_path)[-2]["depth"] < 0.8 * points(tmp_path)[0]["depth"]


def grads(module: torch.nn.Module) -> dict[str, bool]:
    """By part, whether any parameter has a gradient that is not zero."""
    return {
        name: any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        for name, part in module.named_children()
    }


def test_who_learns_in_which_turn(faces: Path, tmp_path: Path) -> None:
    """The generator's verdict reaches it through the discriminators; theirs never reaches the generator."""
    task = StdnTask(settings(faces, tmp_path), CPU)
    batch = next(task.batches(0, 0, 1))
    reached = []
    for turn in task.turns:
        task.module.zero_grad(set_to_none=True)
        loss, _ = turn.loss(task.module, batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        reached.append(grads(task.module))
    assert reached[1] == {"generator": False, "discriminators": True}
    assert reached[2] == {"generator": True, "discriminators": False}
    assert reached[0]["generator"]


def test_adversaries_each_lower_their_own_loss_on_the_same_verdicts(faces: Path, tmp_path: Path) -> None:
    config = settings(faces, tmp_path, depth_weight=0, mask_weight=0, regularise_live=0, regularise_spoof=0)
    torch.manual_seed(0)
    task = StdnTask(config, CPU)
    task.module.eval()
    # Initial weights are so small that verdicts hardly depend on what is seen.
    for p in task.module.get_submodule("discriminators").parameters():
        p.data.mul_(10 if p.ndim == 4 else 1)
    batch = next(task.batches(0, 0, 1))

    def told(index: int) -> torch.Tensor:
        task.turns[0].loss(task.module, batch, 0)
        return task.turns[index].loss(task.module, batch, 0)[0]

    for part, index in (("discriminators", 1), ("generator", 0)):
        learns = list(task.module.get_submodule(part).parameters())
        before = told(index)
        gradient = torch.autograd.grad(before, learns, allow_unused=True)
        square = sum(float(g.square().sum()) for g in gradient if g is not None)
        with torch.no_grad():
            for p, g in zip(learns, gradient, strict=True):
                if g is not None:
                    p -= 0.01 * before / square * g
        # A step that lowers a linear loss by a hundredth.
        assert 0.97 < float((told(index) / before).detach()) < 0.998


def gallery() -> Gallery:
    found = Gallery()
    images = torch.from_numpy(np.stack([picture(i).transpose(2, 0, 1) for i in range(6)]))
    found.add(images[:2], ["d|c|live"] * 2, ["l"] * 2, ["ann", "bob"], True)
    styles = ["physical|simulated|print"] + ["d|c|print"] * 2 + ["d|c|mask"]
    found.add(images[2:], styles, ["p"] * 4, ["ann"] * 4, False)
    found.lives = {2: [0], 5: [0]}
    return found


def test_a_batch_says_what_its_attacks_replace_and_who_they_show() -> None:
    draws = Draws(gallery(), Landmarks("arcface", 32, "template"))
    flip = np.array([[True, False], [False, True]])
    batch = draws.batch([0, 1], [2, 5], flip, torch.Generator())
    assert batch.additive.tolist() == [True, False] and batch.has_parent.tolist() == [True, False], (
        "a real attack shows ann, but was not made of this very picture"
    )
    assert bool(batch.untouched[0].all()) and not bool(batch.untouched[1].all())
    first, second = (draws.gallery.take(torch.tensor([i]))[0].float() / 255 for i in (0, 5))
    assert torch.equal(batch.live[0], first.flip(-1)) and torch.equal(batch.spoof[1], second.flip(-1))
    assert torch.equal(batch.parent[0], first) and torch.equal(batch.parent[1], first.flip(-1))
    assert batch.depth.shape == (2, 1, 32, 32) and float(batch.depth.max()) == 1
    unknown = draws.batch([0], [3], flip[:, :1], torch.Generator())
    assert unknown.has_parent.tolist() == [False] and unknown.additive.tolist() == [True]
    # Whatever a type is called, its family says what it replaces.
    draws.gallery.families[3] = "mask_flexible"
    assert not draws.batch([0], [3], flip[:, :1], torch.Generator()).additive.any()


def test_live_faces_come_from_where_the_spoofs_come_from() -> None:
    draws, coin = Draws(gallery(), Landmarks("arcface", 32, "template")), torch.Generator().manual_seed(0)
    assert draws.partner(3, 1, coin) == 1, "a live face of the same data set and device stays"
    other = gallery()
    images = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    other.add(images, ["e|c|live"] * 3, ["e"] * 3, ["eve"] * 3, True)
    draws = Draws(other, Landmarks("arcface", 32, "template"))
    assert draws.partner(3, 1, coin) == 1 and {draws.partner(3, 7, coin) for _ in range(40)} == {0, 1}
    assert other.partners() == {"d|c|mask": [0, 1], "d|c|print": [0, 1], "physical|simulated|print": [0, 1, 6, 7, 8]}


def test_mirrored_landmarks_are_warped_to_each_other() -> None:
    """Template to mirrored template is a small change, none where neither is mirrored."""
    draws = Draws(gallery(), Landmarks("arcface", 32, "template"))
    none = draws.batch([0], [2], np.array([[False], [False]]), torch.Generator())
    assert not none.offset.any()
    one = draws.batch([0], [2], np.array([[True], [False]]), torch.Generator())
    assert 0 < float(one.offset.abs().max()) < 3


def test_spoofs_are_drawn_evenly_over_styles() -> None:
    draws = Draws(gallery(), Landmarks("arcface", 32, "template"))
    coin = torch.Generator().manual_seed(0)
    drawn = [draws.spoof(coin) for _ in range(300)]
    assert set(drawn) == {2, 3, 4, 5}
    assert all(70 < count < 130 for count in (drawn.count(2), drawn.count(5), drawn.count(3) + drawn.count(4))), "three styles"


def test_a_generator_goes_on_from_another_and_is_blended_with_it(faces: Path, tmp_path: Path) -> None:
    before = tiny.generator(fold=2, alpha0=3.0)
    before.save(tmp_path / "before")
    config = settings(faces, tmp_path / "out", fold=2, smooth=True, init=tmp_path / "before")
    task = StdnTask(config, CPU)
    made = task.module.get_submodule("generator")
    assert isinstance(made, Generator) and made.config.smooth
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in made.state_dict().items())
    assert set(task.seen.parents) == {"start"}
    blended = StdnTask(config.model_copy(update={"blend": tmp_path / "before"}), CPU)
    with torch.no_grad():
        blended.module.get_parameter("generator.last.bias").add_(1)
    blended.export(blended.module, tmp_path / "blended")
    mean = Generator.load(tmp_path / "blended" / "generator")
    assert mean.config.smooth and torch.allclose(mean.last.bias, before.last.bias + 0.5)
    assert torch.allclose(mean.last.weight, before.last.weight)
    with pytest.raises(WeightsError, match=r"init: .*before: is a generator of another shape"):
        StdnTask(config.model_copy(update={"fold": 1}), CPU)


def test_real_spoofs_alone_suffice(tmp_path: Path) -> None:
    store = crop_store(tmp_path / "store", 32)
    config = settings(None, tmp_path / "out", steps=1, faces={"size": 32}, pairs={"path": store, "holdout": ["d/eve"]})
    assert Generator.load(train(StdnTask(config, CPU), config, CPU) / "generator").config.size == 32


def test_what_is_missing_or_wrong_is_named(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no spoof to learn from"):
        StdnTask(settings(faces, tmp_path, simulation={"renders": 0}), CPU)
    with pytest.raises(ConfigError, match="no multiple of 8"):
        StdnTask(settings(faces, tmp_path, faces={"path": faces, "size": 36}), CPU)
    with pytest.raises(ConfigError, match="no template 'oval'"):
        StdnTask(settings(faces, tmp_path, template="oval"), CPU)
    with pytest.raises(ValueError, match="odd"):
        settings(faces, tmp_path, batch=5)


def test_landmarks_are_found_in_a_portrait(tmp_path: Path) -> None:
    import cv2

    from fasgen.stages.align.config import AlignConfig
    from fasgen.stages.align.stage import detector
    from fasgen.stages.align.template import cut, similarity, target

    path = Path(__file__).parents[3] / "examples" / "portraits" / "eileen_collins.jpg"
    image = cv2.imread(str(path))[:, :, ::-1].copy()
    (points,) = detector(AlignConfig(), CPU)(image).landmarks[:1].astype(np.float64)
    goal = target("arcface", 112)
    crop = cut(image, similarity(points, goal), 112, "reflect")
    pictures = torch.stack([torch.from_numpy(crop.transpose(2, 0, 1).copy()), torch.zeros(3, 112, 112, dtype=torch.uint8)])
    asked: list[int] = []

    def take(numbers: torch.Tensor) -> torch.Tensor:
        asked.extend(numbers.tolist())
        return pictures[numbers]

    found, blank = Landmarks("arcface", 112, "detected").of([0, 1], take)
    assert found.shape == (5, 2) and np.abs(found - goal).max() < 8 and not np.array_equal(found, goal)
    np.testing.assert_allclose(blank, goal, rtol=1e-6)
    dense = Landmarks("arcface", 112, "dense")
    asked.clear()
    whole, same, none = dense.of([0, 0, 1], take)
    assert whole.shape == (468, 3) and np.array_equal(whole, same) and np.abs(five(whole) - found).max() < 5
    np.testing.assert_allclose(none, goal, rtol=1e-6)
    (again,) = dense.of([0], take)
    assert np.array_equal(again, whole) and asked == [0, 1], "each picture is looked at once"
    (alone,) = Landmarks("arcface", 112, "dense").of([0], take)
    assert np.array_equal(alone, whole), "whatever else was looked at"


def test_a_batch_follows_the_meshes_and_says_how_many_have_one(faces: Path, tmp_path: Path) -> None:
    """Depth is the mesh's; the warp is by five points where one of both has no mesh; what was simulated has its face's mesh."""
    task = StdnTask(settings(faces, tmp_path, landmarks="dense"), CPU)
    batch = next(task.batches(0, 0, 1))
    assert not batch.dense.any(), "toy pictures show no face"
    _, noted = task.turns[0].loss(task.module, batch, 0)
    assert float(noted["dense"]) == 0
    draws = Draws(gallery(), Landmarks("arcface", 32, "template"))
    face = (mesh() + 0.5) * (32 / 112, 32 / 112, 32 / 112) - 0.5
    places = {0: face, 1: face * (0.9, 1, 1) + (1, 0, 0), 3: tiny.POINTS, 5: face}
    draws.landmarks.of = lambda numbers, pictures: [places[number] for number in numbers]  # type: ignore[method-assign]
    made = draws.batch([0, 1, 1], [3, 5, 2], np.zeros((2, 3), np.bool_), torch.Generator())
    assert made.dense.tolist() == [True, True, True, False, True, True]
    np.testing.assert_array_equal(made.depth[0, 0], pseudo_depth(face, 32, 32))
    np.testing.assert_array_equal(made.offset[0], backward_offset(tiny.POINTS, five(face), 32, 32))
    for row in (1, 2):
        np.testing.assert_array_equal(made.offset[row], backward_offset(face, places[1], 32, 32))
    np.testing.assert_array_equal(made.untouched[1, 0], untouched("face", face, 32, 32))


def test_area_under_the_curve_known_values() -> None:
    assert area(torch.tensor([3.0, 2.0]), torch.tensor([1.0, 0.0])) == 1
    assert area(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])) == 0.75
    assert area(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5


def test_the_training_is_known() -> None:
    assert "stdn" in trainings()


def test_the_papers_network_takes_a_step(faces: Path, tmp_path: Path) -> None:
    """At a quarter of its side: the same levels, widths and losses on a sixteenth of the pixels."""
    config = StdnTraining.model_validate(
        {
            "out": tmp_path, "batch": 2, "landmarks": "template", "faces": {"path": faces, "size": 64},
            "simulation": {"renders": 1, "looks": 1, "workers": 1},
        }
    )  # fmt: skip
    torch.manual_seed(0)
    task = StdnTask(config, CPU)
    batch = next(task.batches(0, 0, 1))
    for turn in task.turns:
        loss, _ = turn.loss(task.module, batch, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        assert bool(torch.isfinite(loss))
    assert all(grads(task.module).values())
    generator = task.module.get_submodule("generator").eval()
    with torch.no_grad():
        said = generator(batch.spoof)
    assert live_of(batch.spoof, said.traces).shape == (1, 3, 64, 64)
