"""The mask of the face: where it is, and what it takes away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.reader import JointAugment, SampleDecoder, read_samples, scale_cue
from fasgen.reader.face import face_mask
from fasgen.stages.align.template import target
from fasgen.stages.defake.cue import crop_points, face_ellipse

SHIFTED = [2.0, 0.0, 3.0, 0.0, 2.0, 1.0]
number = st.floats(-40, 80, allow_nan=False)


@given(st.lists(number, min_size=10, max_size=10), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_the_mask_is_that_of_the_stages_statistics(landmarks: list[float], transform: list[float]) -> None:
    mask = face_mask({"geometry": {"landmarks": landmarks, "transform": transform}}, 20, 24)
    assert mask.shape == (1, 20, 24) and np.array_equal(
        mask[0].numpy() > 0, face_ellipse(crop_points(landmarks, transform), 20, 24)
    )


@pytest.mark.parametrize(
    "geometry", [None, {}, {"landmarks": None, "transform": SHIFTED}, {"landmarks": [1.0] * 10, "transform": None}]
)
def test_without_landmarks_everything_is_face(geometry: Any) -> None:
    assert bool((face_mask({"geometry": geometry}, 3, 4) == 1).all())
    assert bool((face_mask({"geometry": {"landmarks": [5.0] * 10, "transform": SHIFTED}}, 3, 4) == 1).all())


@pytest.fixture
def raw(tmp_path: Path, members: Callable[..., dict[str, bytes]], write_shard: Callable[..., Path]) -> Any:
    files = members(1)
    record = json.loads(files["json"])
    record["geometry"] = {"landmarks": target("arcface", 16).ravel().tolist(), "transform": [1.0, 0, 0, 0, 1, 0]}
    path = write_shard(tmp_path / "a.tar", [("1", {**files, "json": json.dumps(record).encode()})])
    with path.open("rb") as stream:
        return next(iter(read_samples(stream, str(path))))


def test_what_is_masked_is_zero_outside_of_the_face_before_it_is_scaled(raw: Any) -> None:
    def decoded(mask: Any, **more: Any) -> dict[str, Any]:
        sample = SampleDecoder(mask=mask, **more)(raw)
        assert sample is not None
        return dict(sample)

    plain, field, cues, every = (decoded(mask, cue_scale="levels") for mask in ("none", "field", "cues", "all"))
    assert "face" not in plain
    outside = field["face"] == 0
    assert 0 < outside.sum() < 256 and torch.equal(plain["residual"], field["residual"])
    assert not cues["residual"][:, outside[0]].any() and torch.equal(cues["image"], plain["image"])
    assert torch.equal(cues["residual"][:, ~outside[0]], plain["residual"][:, ~outside[0]])
    assert not every["image"][:, outside[0]].any() and torch.equal(every["residual"], cues["residual"])
    assert torch.equal(decoded("cues")["residual"], scale_cue(cues["residual"], "standardised"))


def test_the_mask_moves_with_the_image(raw: Any) -> None:
    still = SampleDecoder(mask="field")(raw)
    moved = SampleDecoder(mask="field", augment=JointAugment(flip=1.0))(raw)
    assert still is not None and moved is not None
    assert torch.equal(dict(moved)["face"], dict(still)["face"].flip(-1)) and torch.equal(
        moved["image"], still["image"].flip(-1)
    )
    small = SampleDecoder(mask="cues", size=(8, 8))(raw)
    assert small is not None and dict(small)["face"].shape == (1, 8, 8)
