"""The mesh is one disc, its mirror image is its own, and its contours are where they are on a face."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fasgen.errors import WeightsError
from fasgen.stages.facemesh import topology as module
from fasgen.stages.facemesh.topology import five, mirrored, topology


def test_triangles_cover_a_disc_whose_rim_is_the_oval() -> None:
    known = topology()
    edges = Counter(tuple(sorted(edge)) for a, b, c in known.triangles.tolist() for edge in ((a, b), (b, c), (c, a)))
    assert set(edges.values()) == {1, 2} and set(known.triangles.ravel().tolist()) == set(range(468))
    assert 468 - len(edges) + len(known.triangles) == 1, "Euler's number of a disc"
    oval = known.oval.tolist()
    ring = {tuple(sorted(edge)) for edge in zip(oval, oval[1:] + oval[:1], strict=True)}
    assert {edge for edge, count in edges.items() if count == 1} == ring


def test_the_mirror_image_of_the_mirror_image_is_the_mesh() -> None:
    known = topology()
    assert np.array_equal(known.mirror[known.mirror], np.arange(468))
    assert {frozenset(known.mirror[eye].tolist()) for eye in known.eyes} == {frozenset(eye.tolist()) for eye in known.eyes}
    assert np.array_equal(known.mirror[known.mouth], known.mouth[::-1])
    assert set(known.mirror[known.oval].tolist()) == set(known.oval.tolist())
    assert set(known.mirror[known.brows[0]].tolist()) == set(known.brows[1].tolist())
    assert known.mirror[module.NOSE] == module.NOSE
    mesh = np.random.default_rng(0).uniform(0, 111, (468, 3))
    there = mirrored(mesh, 112)
    np.testing.assert_allclose(mirrored(there, 112), mesh)
    np.testing.assert_allclose(five(there)[:, 0], 111 - five(mesh)[[1, 0, 2, 4, 3], 0])


def test_an_installation_without_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("weights")
    monkeypatch.setattr(module, "embedded", lambda name: empty)
    module.topology.cache_clear()
    try:
        with pytest.raises(WeightsError, match=r"topology\.safetensors: not readable .*install fasgen anew"):
            topology()
    finally:
        module.topology.cache_clear()
