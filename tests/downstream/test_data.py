"""The image in place of a cue: the same pixels, moved as one with the image and scaled like a cue."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fasgen.downstream.config import DataConfig, Experiment
from fasgen.downstream.data import Batch, Shards
from fasgen.downstream.oanet import OaNet
from fasgen.downstream.protocols import folds
from fasgen.downstream.tasks import FasTask, build_task
from fasgen.downstream.train import run_experiments
from fasgen.reader import ShardError

CPU = torch.device("cpu")
MOVED: dict[str, Any] = {"flip": 0.5, "degrees": 20.0, "scale": [0.8, 1.2], "shift": 0.1}

Pack = Callable[[Path, Any], Path]


@pytest.fixture(scope="module")
def mirror(sample: Callable[..., Any], pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples whose cue is their image, in levels."""
    samples = [sample(dataset, "s1", label, number) for dataset in "ab" for label in (1, 0) for number in range(4)]
    for _, members in samples:
        bgr = np.asarray(cv2.imdecode(np.frombuffer(members["png"], np.uint8), cv2.IMREAD_COLOR))
        stream = io.BytesIO()
        np.save(stream, bgr[:, :, ::-1].astype(np.int16))
        members["residual.npy"] = stream.getvalue()
    return pack(tmp_path_factory.mktemp("packed") / "mirror", samples)


def experiment(
    shards: Path, cues: list[str], use: str = "two_branch", backbone: str = "resnet18-tiny", out: str = "out", **data: Any
) -> Experiment:
    tree = {
        "out": out,
        "data": {"shards": [str(shards)], "size": 32, "cues": cues, **data},
        "protocol": {"targets": ["b"]},
        "model": {"use": use, "backbone": backbone, "cue_backbone": "resnet18-tiny", "embedding": 8},
        "loss": {"kind": "softmax"},
        "loop": {"steps": 2, "batch": 8, "warmup": 0},
        "scoring": {"bootstrap": 0},
    }
    return Experiment.model_validate_json(json.dumps(tree))


def task_of(one: Experiment) -> FasTask:
    shards = Shards(one.data, cues=one.model.use != "image")
    [fold] = folds(shards.table, one.protocol)
    torch.manual_seed(0)
    task = build_task(one, shards, fold, 0, CPU)
    assert isinstance(task, FasTask)
    return task


def batch_of(one: Experiment) -> Batch:
    return next(task_of(one).batches(0, 0, 1))


def test_the_second_input_is_the_moved_image_standardised(mirror: Path) -> None:
    batch = batch_of(experiment(mirror, ["image"], **MOVED))
    still = batch_of(experiment(mirror, ["image"], flip=0.0))
    assert batch.cue is not None and batch.cue.shape == (8, 3, 32, 32)
    assert not torch.allclose(batch.image, still.image, atol=0.1) and batch.image.abs().max() <= 1
    for image, cue in zip(batch.image.double(), batch.cue.double(), strict=True):
        expected = (image - image.mean()) / (image.std(correction=0) + 1e-8)
        assert torch.allclose(cue, expected, atol=1e-5)


@pytest.mark.parametrize("scale", ["standardised", "signed"])
def test_it_is_treated_as_a_cue_that_equals_the_image(mirror: Path, scale: str) -> None:
    """The same draws, the same movement, the same scaling: levels over 127.5, less 1, where the residual has no such offset."""
    own, of_levels = (batch_of(experiment(mirror, cues, cue_scale=scale, **MOVED)) for cues in (["image"], ["residual"]))
    assert torch.equal(own.image, of_levels.image) and own.meta == of_levels.meta
    assert own.cue is not None and of_levels.cue is not None
    assert torch.allclose(own.cue, of_levels.cue - float(scale == "signed"), atol=2e-5)
    if scale == "signed":
        assert torch.equal(own.cue, own.image)


def test_it_stands_among_other_cues_in_their_order(mirror: Path) -> None:
    both, own = (batch_of(experiment(mirror, cues, **MOVED)) for cues in (["residual", "image"], ["image"]))
    assert both.cue is not None and own.cue is not None and both.cue.shape == (8, 6, 32, 32)
    assert torch.equal(both.cue[:, 3:], own.cue) and not torch.equal(both.cue[:, :3], own.cue)
    assert Shards(experiment(mirror, ["residual", "image"]).data, cues=True).cue_channels == 6


def test_scoring_sees_it_too_and_unmoved(mirror: Path) -> None:
    shards = Shards(experiment(mirror, ["image"], **MOVED).data, cues=True)
    [batch] = shards.plain(shards.table, 16, CPU)
    [still] = Shards(experiment(mirror, ["residual"]).data, cues=True).plain(shards.table, 16, CPU)
    assert torch.equal(batch.image, still.image) and batch.cue is not None and still.cue is not None
    assert torch.allclose(batch.cue, still.cue, atol=2e-5)


@pytest.mark.parametrize("cues", [["image"], ["residual"]])
def test_oa_net_begins_as_the_transformer_of_the_same_seed_to_the_last_bit(mirror: Path, cues: list[str]) -> None:
    control = task_of(experiment(mirror, cues, "cross_attention", "vit-tiny"))
    plain = task_of(experiment(mirror, cues, "image", "vit-tiny"))
    batch = next(control.batches(0, 0, 1))
    assert isinstance(control.net.trunk, OaNet) and batch.cue is not None
    assert torch.equal(control.net.trunk(batch.image, batch.cue), plain.net.trunk(batch.image, None))


@pytest.mark.parametrize(("use", "backbone"), [("two_branch", "resnet18-tiny"), ("cross_attention", "vit-tiny")])
def test_it_begins_with_the_parameters_of_the_network_that_has_a_cue(mirror: Path, use: str, backbone: str) -> None:
    control, with_cue = (
        task_of(experiment(mirror, cues, use, backbone)).net.state_dict() for cues in (["image"], ["residual"])
    )
    assert control.keys() == with_cue.keys() and all(torch.equal(control[key], with_cue[key]) for key in control)


@pytest.mark.parametrize(("use", "backbone"), [("two_branch", "resnet18-tiny"), ("cross_attention", "vit-tiny")])
def test_shards_without_cues_suffice(sample: Callable[..., Any], pack: Pack, tmp_path: Path, use: str, backbone: str) -> None:
    samples = [sample(dataset, "s1", label, number) for dataset in "ab" for label in (1, 0) for number in range(4)]
    for _, members in samples:
        del members["residual.npy"]
    shards = pack(tmp_path / "plain", samples)
    one = experiment(shards, ["image"], use, backbone, out=str(tmp_path / "out"), **MOVED)
    [found] = run_experiments({"x": one}, CPU, lambda line: None)[1]
    assert 0 <= found.realistic.values["auc"] <= 1
    with pytest.raises(ShardError, match=r"member residual\.npy is missing"):
        batch_of(experiment(shards, ["residual"], use, backbone))


def test_the_image_alone_is_no_cue(mirror: Path) -> None:
    with pytest.raises(ValidationError, match=r"data\.cues=\[image\] has no cue: take model\.use=image"):
        experiment(mirror, ["image"], "cue")
    assert experiment(mirror, ["image", "residual"], "cue").data.cues == ("image", "residual")


@pytest.mark.parametrize(
    ("rule", "clip"), [(None, ""), ("folder", "ann/print-1"), (r"^\w+/print", "ann/print"), ("replay", "")]
)
def test_stills_that_are_frames_of_a_clip(rule: str | None, clip: str) -> None:
    config = DataConfig.model_validate({"shards": ("x",), "video": rule})
    assert config.clip("ann/print-1/0003.png", -1) == clip
    assert config.clip("ann/print-1.mp4", 7) == "ann/print-1.mp4", "a frame is its video's"


def test_what_names_no_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="neither folder nor a regular expression"):
        DataConfig.model_validate({"shards": ("x",), "video": "("})
