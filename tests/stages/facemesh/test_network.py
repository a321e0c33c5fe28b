"""The network against TensorFlow Lite's run of the file that it was converted from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.carried import original
from fasgen.stages.align.template import cut, similarity
from fasgen.stages.facemesh.finder import INPUT
from fasgen.stages.facemesh.network import POINTS, SIDE, FaceMeshNet
from fasgen.stages.network_folder import fill_network
from fasgen.stages.weights import embedded
from tests.stages.facemesh.faces import FIVE, portrait, unit

KNOWN = {
    4: (96.36, 103.11, -27.35), 10: (93.92, 36.96, -13.66), 33: (59.97, 76.52, 3.71), 61: (73.31, 118.66, 7.85),
    152: (98.23, 159.42, 10.58), 263: (130.36, 74.53, 4.82), 291: (122.14, 117.38, 8.41), 454: (147.52, 86.19, 46.44),
}  # fmt: skip
"""What LiteRT 2.3.0 says of the portrait: tip of the nose, forehead, outer corners of eyes and mouth, chin, left temple."""


@pytest.fixture(scope="module")
def network() -> FaceMeshNet:
    made = FaceMeshNet()
    fill_network(made, embedded("facemesh"))
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def face() -> torch.Tensor:
    return unit(cut(portrait(), similarity(FIVE, INPUT), SIDE, "reflect"))


def test_a_portrait_has_the_points_that_the_original_gives_it(network: FaceMeshNet, face: torch.Tensor) -> None:
    """Within 0.1 px of 192: decoders of JPEG differ by a level here and there."""
    points, presence = network(face)
    assert points.shape == (1, POINTS, 3) and presence.shape == (1,)
    np.testing.assert_allclose(points[0, list(KNOWN)], list(KNOWN.values()), atol=0.1)
    np.testing.assert_allclose(points[0].mean(0), [96.243, 98.956, -0.016], atol=0.05)
    assert float(presence[0]) == pytest.approx(29.0, abs=0.5)


def test_all_points_are_those_of_the_original(network: FaceMeshNet, face: torch.Tensor) -> None:
    """Within 1e-3 px of 192: sums are in another order."""
    interpreter: Any = pytest.importorskip("ai_edge_litert.interpreter")
    try:
        message = original("mediapipe/modules/face_landmark/face_landmark.tflite")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    runner = interpreter.Interpreter(str(message), num_threads=1)
    runner.allocate_tensors()
    noise = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for x in (face, noise, torch.zeros_like(face)):
        runner.set_tensor(runner.get_input_details()[0]["index"], x.permute(0, 2, 3, 1).contiguous().numpy())
        runner.invoke()
        said = {int(np.prod(one["shape"])): runner.get_tensor(one["index"]).ravel() for one in runner.get_output_details()}
        points, presence = network(x)
        np.testing.assert_allclose(points.flatten(), said[3 * POINTS], atol=1e-3)
        np.testing.assert_allclose(presence, said[1], atol=1e-3)


def test_a_face_is_told_from_none(network: FaceMeshNet, face: torch.Tensor) -> None:
    noise = torch.rand(face.shape, generator=torch.Generator().manual_seed(0))
    _, presence = network(torch.cat([face, torch.full_like(face, 0.5), torch.zeros_like(face), noise]))
    assert (presence > 0).tolist() == [True, False, False, False]
