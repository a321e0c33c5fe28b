"""ArcFace's margin by closed form, and a training with a teacher that ends in weights the stage loads."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fasgen.errors import WeightsError
from fasgen.stages.identify.load import load
from fasgen.stages.identify.train import IdentityTask, arcface_logits
from fasgen.stages.identify.training_config import IdentityTraining
from fasgen.training.loop import train


def test_margin_moves_the_target_alone() -> None:
    cosine = torch.tensor([[0.5, 0.2], [0.1, -0.3]])
    out = arcface_logits(cosine, torch.tensor([0, 1]), 64.0, 0.5)
    assert float(out[0, 0]) == pytest.approx(64 * math.cos(math.acos(0.5) + 0.5), rel=1e-4)
    assert float(out[0, 1]) == pytest.approx(64 * 0.2, rel=1e-4)
    assert float(out[1, 1]) == pytest.approx(64 * math.cos(math.acos(-0.3) + 0.5), rel=1e-4)


def test_no_margin_is_a_scaled_cosine() -> None:
    cosine = torch.rand(4, 3) * 1.8 - 0.9
    assert torch.allclose(arcface_logits(cosine, torch.tensor([0, 1, 2, 0]), 10.0, 0.0), 10 * cosine, atol=1e-4)


def test_angle_never_passes_pi() -> None:
    out = arcface_logits(torch.tensor([[-0.999, 0.0]]), torch.tensor([0]), 1.0, 0.5)
    assert float(out[0, 0]) == pytest.approx(-1, abs=1e-6)


def test_the_slope_is_finite_at_a_perfect_match_in_half_precision_too() -> None:
    cosine = torch.tensor([[1.0, -1.0], [0.999, 1.0]], dtype=torch.bfloat16, requires_grad=True)
    arcface_logits(cosine, torch.tensor([0, 1]), 64.0, 0.5).sum().backward()  # type: ignore[no-untyped-call]
    assert cosine.grad is not None and bool(cosine.grad.isfinite().all())


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for subject in ("ann", "bob", "cid", "eve"):
        (tmp_path / "faces" / subject).mkdir(parents=True)
        colour = generator.integers(40, 200, 3)
        for i in range(3):
            image = np.clip(colour + generator.normal(0, 20, (112, 112, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "faces" / subject / f"{i}.png"), image)
    return tmp_path / "faces"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """16 x 16 patches to 512 channels, and their mean over the map: the outputs of a teacher, in three nodes."""
    weight = np.random.default_rng(1).normal(0, 0.05, (512, 3, 16, 16)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["map"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        ],
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, 512, 1, 1])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "teacher.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def config(faces: Path, out: Path, **changes: object) -> IdentityTraining:
    values = {
        "out": out,
        "steps": 4,
        "batch": 4,
        "log_every": 2,
        "sheet_every": 4,
        "depth": None,
        "blocks": (1, 1, 1, 1),
        "widths": (8, 8, 16, 16),
        "head": "gdc",
        "faces": {"path": faces, "holdout": ("bob", "eve")},
    }
    return IdentityTraining.model_validate(values | changes)


def test_a_teacher_without_the_extra_is_refused(
    faces: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match=r'onnxruntime.*pip install "fasgen\[onnx\]"'):
        IdentityTask(config(faces, tmp_path / "run", teacher=teacher), torch.device("cpu"))


def test_trains_with_a_teacher_and_exports_what_the_stage_loads(faces: Path, teacher: Path, tmp_path: Path) -> None:
    settings = config(faces, tmp_path / "run", teacher=teacher, teacher_map="map", teacher_embedding="pooled", stored="fp16")
    task = IdentityTask(settings, torch.device("cpu"))
    lesson = task.lesson
    assert lesson is not None and lesson["maps"].shape == (2, 6, 512, 7, 7)
    assert abs(float(lesson["maps"].float().mean())) < 0.05
    assert torch.allclose(lesson["embeddings"].norm(dim=2), torch.ones(2, 6), atol=1e-5)
    network = load(train(task, settings, torch.device("cpu")))
    assert network.config.head == "gdc" and next(network.parameters()).dtype == torch.float32
    # The second run reads the teacher's word from the folder instead of asking again.
    teacher_files = list((tmp_path / "run").glob("teacher-*.safetensors"))
    stamp = teacher_files[0].stat().st_mtime_ns
    IdentityTask(settings, torch.device("cpu"))
    assert len(teacher_files) == 1 and teacher_files[0].stat().st_mtime_ns == stamp


def test_unknown_output_of_the_teacher_is_named(faces: Path, teacher: Path, tmp_path: Path) -> None:
    settings = config(faces, tmp_path / "run", teacher=teacher, teacher_map="maps", teacher_embedding="pooled")
    with pytest.raises(WeightsError, match="no output 'maps'"):
        IdentityTask(settings, torch.device("cpu"))


def test_trains_on_subjects_alone(faces: Path, tmp_path: Path) -> None:
    settings = config(faces, tmp_path / "run")
    folder = train(IdentityTask(settings, torch.device("cpu")), settings, torch.device("cpu"))
    assert "centres" not in (folder / "config.json").read_text()
    assert '"held_out_auc"' in (tmp_path / "run" / "curve.jsonl").read_text()
