"""Meshes of crops: where the face is, whatever its size and turn; one row at a time or in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fasgen.stages.facemesh.finder import FaceMesh
from fasgen.stages.facemesh.topology import five, mirrored
from tests.stages.facemesh.faces import FIVE, Points, crop, portrait, unit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finder() -> FaceMesh:
    return FaceMesh(CPU)


def found(finder: FaceMesh, image: np.ndarray, points: Points) -> Points:
    (mesh,) = finder(unit(image), [points])
    assert mesh is not None and mesh.shape == (468, 3) and mesh.dtype == np.float64
    return mesh


def test_the_mesh_lies_where_the_landmarks_are(finder: FaceMesh) -> None:
    for size in (112, 256):
        image, points = crop(size)
        mesh = found(finder, image, points)
        assert np.abs(five(mesh) - points).max() < 0.05 * size
        assert mesh[:, 2].argmin() in {1, 4, 5}, "the nose is nearest"


def test_it_is_the_same_face_in_any_crop(finder: FaceMesh) -> None:
    """Within 2 % of the crop's side, by what lies in it: sizes, a turned crop, the whole photograph."""
    image, points = crop(112)
    mesh = found(finder, image, points)
    large = found(finder, *crop(224))
    assert np.abs((large[:, :2] + 0.5) / 2 - 0.5 - mesh[:, :2]).max() < 2.5
    turned, places = crop(112, turned=0.3)
    angle = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    expected = (mesh[:, :2] - 55.5) @ angle.T + 55.5
    inside = ((expected > 4) & (expected < 107)).all(1)
    assert np.abs(found(finder, turned, places)[:, :2] - expected)[inside].max() < 2.5
    whole = found(finder, portrait(), FIVE)
    scale = np.ptp(points, axis=0).max() / np.ptp(FIVE, axis=0).max()
    assert np.ptp(whole[:, 2]) * scale == pytest.approx(np.ptp(mesh[:, 2]), rel=0.1)


def test_a_mirror_image_has_the_mirrored_mesh(finder: FaceMesh) -> None:
    image, points = crop(112)
    other = points[[1, 0, 2, 4, 3]].copy()
    other[:, 0] = 111 - other[:, 0]
    there = found(finder, np.ascontiguousarray(image[:, ::-1]), other)
    distance = np.linalg.norm((mirrored(there, 112) - found(finder, image, points))[:, :2], axis=1)
    assert distance.mean() < 1.5 and distance.max() < 4


def test_a_row_does_not_depend_on_its_neighbours(finder: FaceMesh) -> None:
    pictures = [crop(112, turned=angle) for angle in (0.0, 0.2, -0.2, 0.4)]
    images = unit(*(image for image, _ in pictures))
    together = finder(images, [points for _, points in pictures])
    again = finder(images, [points for _, points in pictures])
    blank = torch.zeros_like(images)
    for slot, (_, points) in enumerate(pictures):
        alone = blank.clone()
        alone[slot] = images[slot]
        meshes = finder(alone, [points if slot == other else None for other in range(4)])
        assert [mesh is None for mesh in meshes] == [slot != other for other in range(4)]
        one, two, three = meshes[slot], together[slot], again[slot]
        assert one is not None and two is not None and three is not None
        assert np.array_equal(one, two) and np.array_equal(two, three)


def test_where_no_face_is_seen_there_is_no_mesh(finder: FaceMesh) -> None:
    image, points = crop(112)
    noise = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    same = np.full((5, 2), 50.0)
    lost = np.full((5, 2), np.nan)
    meshes = finder(unit(np.zeros_like(image), noise, image, image, image), [points, points, same, lost, points])
    assert [mesh is None for mesh in meshes] == [True, True, True, True, False]
