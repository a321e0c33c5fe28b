"""MTCNN against facenet-pytorch, a widely used implementation with the same weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.facenet_reference import facenet_mtcnn
from fasgen.errors import WeightsError
from fasgen.stages.align.mtcnn import MTCNN, Cascade
from fasgen.stages.align.mtcnn_networks import MaxPool, PNet, RNet
from fasgen.stages.align.pyramid import cells, layout
from fasgen.stages.stage import RGB
from tests.stages.align.pictures import photographs, texture

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def mtcnn() -> MTCNN:
    return MTCNN(Cascade(), CPU)


@pytest.fixture(scope="module")
def peer() -> Any:
    if find_spec("facenet_pytorch") is None:
        pytest.skip("needs the reference: pip install --no-deps facenet-pytorch==2.6.0")
    return facenet_mtcnn(keep_all=True, select_largest=False, device=CPU)


def test_windows_give_what_the_reference_gives(mtcnn: MTCNN, peer: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        x = torch.rand(7, 3, 24, 24, generator=generator) * 2 - 1
        box, probability = peer.rnet(x)
        out = mtcnn.rnet(x)
        torch.testing.assert_close(out[:, :4], box, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(torch.sigmoid(out[:, 4]), probability[:, 1], atol=2e-5, rtol=1e-4)
        x = torch.rand(5, 3, 48, 48, generator=generator) * 2 - 1
        box, points, probability = peer.onet(x)
        out = mtcnn.onet(x)
        torch.testing.assert_close(out[:, :4], box, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(out[:, 4:14], points, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(torch.sigmoid(out[:, 14]), probability[:, 1], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(120, 160), (97, 131), (61, 48)])
def test_every_cell_of_every_level_gives_what_the_reference_gives(mtcnn: MTCNN, peer: Any, size: tuple[int, int]) -> None:
    from fasgen.stages.align.areas import Areas

    image = texture(*size, seed=1)
    plan = layout(*size, 20.0, 0.709)
    assert plan is not None
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        for sheet in plan.sheets:
            logits, features = mtcnn.pnet(sheet.paint(Areas(image, CPU), CPU), sheet.edges(0, sheet.height - 2))
            for level in sheet.levels:
                resized = torch.nn.functional.interpolate(x, size=(level.height, level.width), mode="area")
                offsets, probability = peer.pnet((resized - 127.5) * 0.0078125)
                rows, columns = cells(level.height), cells(level.width)
                assert probability.shape[2:] == (rows, columns)
                place = slice(level.y // 2, level.y // 2 + rows), slice(level.x // 2, level.x // 2 + columns)
                torch.testing.assert_close(torch.sigmoid(logits[place]), probability[0, 1], atol=1e-5, rtol=1e-4)
                boxes = mtcnn.pnet.box(features[place]).permute(2, 0, 1)
                torch.testing.assert_close(boxes, offsets[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("size", "sides"), [(2, (8, 14)), (3, (22, 22)), (3, (9, 46)), (3, (21, 8)), (3, (3, 4))])
def test_pooling_is_that_of_torch(size: int, sides: tuple[int, int]) -> None:
    x = torch.randn(2, 5, *sides, generator=torch.Generator().manual_seed(3)).to(memory_format=torch.channels_last)
    expected = torch.nn.functional.max_pool2d(x, size, 2, ceil_mode=True)
    torch.testing.assert_close(MaxPool(size)(x), expected, atol=0, rtol=0)


def test_faces_agree_with_the_reference_on_photographs(mtcnn: MTCNN, peer: Any) -> None:
    """The same faces in every photograph; corners and landmarks within 0.05 px, scores within 1e-4."""
    found = 0
    for image in photographs(24):
        faces = mtcnn(image)
        boxes, scores, points = peer.detect(image, landmarks=True)
        assert len(faces) == (0 if boxes is None else len(boxes))
        if boxes is None:
            continue
        order = np.argsort(-scores.astype(float), kind="stable")
        np.testing.assert_allclose(faces.boxes, boxes[order].astype(float), atol=0.05)
        np.testing.assert_allclose(faces.landmarks, points[order].astype(float), atol=0.05)
        np.testing.assert_allclose(faces.scores, scores[order].astype(float), atol=1e-4)
        found += len(faces)
    assert found > 0


def test_bands_of_a_sheet_change_nothing(mtcnn: MTCNN) -> None:
    whole, banded = MTCNN(Cascade(), CPU), MTCNN(Cascade(), CPU)
    whole._band_cells, banded._band_cells = 1 << 30, 1
    for image in photographs(3):
        one, other = whole(image), banded(image)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-3)


def test_an_image_gives_the_same_bytes_after_others(mtcnn: MTCNN) -> None:
    first, *others = photographs(4)
    alone = MTCNN(Cascade(), CPU)(first)
    for other in others:
        mtcnn(other)
    again = mtcnn(first)
    for one, other in ((alone.boxes, again.boxes), (alone.scores, again.scores), (alone.landmarks, again.landmarks)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(1, 1), (19, 300), (20, 20), (300, 20), (47, 51)])
def test_small_and_thin_images_are_no_error(mtcnn: MTCNN, size: tuple[int, int]) -> None:
    image: RGB = texture(*size)
    assert mtcnn(image).boxes.shape[1] == 4
    assert len(mtcnn(np.zeros_like(image))) == 0


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = nn.ModuleDict({"pnet": PNet(), "rnet": RNet(), "onet": RNet()})
    save_file(networks.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr("fasgen.stages.align.mtcnn.embedded", lambda name: tmp_path)
    with pytest.raises(WeightsError, match=r"tensors of another shape \(onet\.body"):
        MTCNN(Cascade(), CPU)
