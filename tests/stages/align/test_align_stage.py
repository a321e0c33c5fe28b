from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from fasgen.records import Reason
from fasgen.stages.align.boxes import Faces
from fasgen.stages.align.config import SPEC, AlignConfig
from fasgen.stages.align.stage import Align, found
from fasgen.stages.align.template import ARCFACE, similarity, target
from fasgen.stages.stage import RGB, Product, Reject, Sample
from tests.stages.align.pictures import photographs, texture

CPU = torch.device("cpu")


def config(**values: Any) -> AlignConfig:
    return AlignConfig.model_validate(values)


def sample(image: RGB, slot: int = 0) -> Sample:
    return Sample(f"{slot:016x}", 1, slot, images={"image": image})


def stage_that_sees(faces: Faces, **values: Any) -> Align:
    stage = Align(config(**values), CPU)
    stage._look = lambda image: faces
    return stage


def face(points: np.ndarray, score: float = 0.9, box: tuple[float, ...] = (40, 40, 160, 180)) -> Faces:
    return Faces(np.array([box], np.float32), np.array([score], np.float32), points[None].astype(np.float32))


def nose_moved(x: float, y: float) -> np.ndarray:
    points = ARCFACE.copy()
    points[2] += (x, y)
    return points * 112


def only(stage: Align, image: RGB) -> Product | Reject:
    (result,) = stage([sample(image)])
    return result


def test_landmarks_land_on_the_template() -> None:
    points = ARCFACE * 150 + (30, 20)
    result = only(stage_that_sees(face(points), template="agfas", size=224), texture(240, 240))
    assert isinstance(result, Product)
    assert result.images["crop"].shape == (224, 224, 3)
    assert set(result.values) == {column.name for column in SPEC.columns}
    transform = np.array(result.values["transform"]).reshape(2, 3)
    np.testing.assert_allclose(transform, similarity(points, target("agfas", 224)), rtol=1e-4)


@pytest.mark.parametrize(
    ("faces", "settings", "reason", "detail"),
    [
        (Faces.none(), {}, Reason.NO_FACE, "no face in 240 x 200 px"),
        (face(ARCFACE * 112, score=0.5), {}, Reason.LOW_SCORE, "0.500 is below 0.7"),
        (face(ARCFACE * 112, box=(0, 0, 20, 30)), {}, Reason.FACE_TOO_SMALL, "20.0 px is smaller than 32 px"),
        (face(np.ones((5, 2))), {}, Reason.NO_FACE, "coincide"),
        (face(nose_moved(0.2, 0.0)), {"max_yaw": 30}, Reason.POSE, "beyond 30 degrees"),
        (face(nose_moved(0.0, -0.2)), {"max_pitch": 20}, Reason.POSE, "pitch"),
        (face(ARCFACE[:, ::-1] * [-112, 112] + (150, 0)), {"max_roll": 45}, Reason.POSE, "roll"),
        (face(ARCFACE * 112), {"min_share": 0.61}, Reason.FACE_TOO_SMALL, "0.600 of the picture's side is below 0.61"),
        (face(ARCFACE * 112), {"min_sharpness": 1e9}, Reason.BLURRED, "is below 1e+09"),
    ],
)
def test_reasons(faces: Faces, settings: dict[str, Any], reason: Reason, detail: str) -> None:
    result = only(stage_that_sees(faces, **settings), texture(200, 240))
    assert isinstance(result, Reject)
    assert result.reason is reason
    assert detail in result.detail


def blank(shade: int) -> RGB:
    return np.full((200, 240, 3), shade, np.uint8)


def test_a_picture_that_ends_at_the_face_has_no_black_corners_unless_asked_for() -> None:
    image = np.full((112, 90, 3), 180, np.uint8)
    tight = face(ARCFACE * 112 - (11, 0))
    mirrored, black = (only(stage_that_sees(tight, **values), image).images["crop"] for values in ({}, {"border": "black"}))
    assert mirrored.min() == 180
    assert black[:, :10].max() == 0 and black[:, 12:100].min() == 180


def stage_that_sees_in(faces: dict[int, Faces], **values: Any) -> Align:
    """Sees by the shade of a blank image."""
    stage = Align(config(**values), CPU)
    stage._look = lambda image: faces.get(int(image[0, 0, 0]), Faces.none())
    return stage


def frames_of(*indices: int) -> Sample:
    """A sample of frame 50 with these frames near it, each with its index as its shade."""
    one = sample(blank(50))
    one.nearby = lambda: ((index, blank(index)) for index in indices)
    return one


def test_on_a_miss_the_nearest_frame_with_a_face_is_taken() -> None:
    seen = face(ARCFACE * 112)
    [own] = stage_that_sees_in({50: seen, 49: seen})([frames_of(49, 51)])
    assert isinstance(own, Product) and own.frame is None
    stage = stage_that_sees_in({48: seen, 52: seen, 51: face(ARCFACE * 112, score=0.3)})
    [other] = stage([frames_of(49, 51, 48, 52)])
    assert isinstance(other, Product) and other.frame == 48


def test_a_miss_all_around_keeps_its_reason() -> None:
    sure, unsure = face(ARCFACE * 112), face(ARCFACE * 112, score=0.3)
    [none] = stage_that_sees_in({})([frames_of(49, 51)])
    assert isinstance(none, Reject) and none.reason is Reason.NO_FACE and "no face in the 2 frames around it" in none.detail
    [low] = stage_that_sees_in({50: unsure})([frames_of(49)])
    assert isinstance(low, Reject) and low.reason is Reason.LOW_SCORE
    [small] = stage_that_sees_in({51: sure}, min_size=500)([frames_of(49, 51)])
    assert isinstance(small, Reject) and small.reason is Reason.FACE_TOO_SMALL and "in frame 51" in small.detail


def test_what_is_known_of_the_file_is_handed_on() -> None:
    one = sample(texture(200, 240))
    one.values |= {"frames_decoded": 7, "source_sha256": "ab"}
    [result] = stage_that_sees(face(ARCFACE * 112))([one])
    assert isinstance(result, Product)
    assert (result.values["frames_decoded"], result.values["source_sha256"]) == (7, "ab")


def test_the_largest_sure_face_is_taken_or_the_best() -> None:
    points = np.stack([ARCFACE * 60, ARCFACE * 112, ARCFACE * 200]).astype(np.float32)
    boxes = np.array([[0, 0, 50, 60], [0, 0, 90, 110], [0, 0, 180, 200]], np.float32)
    faces = Faces(boxes, np.array([0.99, 0.9, 0.3], np.float32), points)
    largest, best = (only(stage_that_sees(faces, face=which), texture(240, 240)) for which in ("largest", "best"))
    assert isinstance(largest, Product)
    assert isinstance(best, Product)
    assert largest.values["face_size"] == 90
    assert best.values["face_size"] == 50
    assert largest.values["faces"] == 2


def test_large_images_are_reduced_for_detection_and_answered_in_their_own_pixels() -> None:
    seen: list[tuple[int, ...]] = []

    def look(image: RGB) -> Faces:
        seen.append(image.shape)
        return face(ARCFACE * 100, box=(10, 10, 110, 90))

    faces = found(look, texture(300, 600), 200)
    assert seen == [(100, 200, 3)]
    np.testing.assert_allclose(faces.boxes, [[30, 30, 330, 270]])
    np.testing.assert_allclose(faces.landmarks[0], ARCFACE * 300, rtol=1e-5)


@pytest.mark.parametrize("detector", ["mtcnn", "retinaface"])
def test_company_changes_no_byte(detector: str) -> None:
    images = [*photographs(6), texture(90, 140), texture(1, 1)]
    stage = Align(config(detector=detector, min_size=8), CPU)
    together = stage([sample(image, slot) for slot, image in enumerate(images)])
    backwards = stage([sample(image, slot) for slot, image in reversed(list(enumerate(images)))])[::-1]
    alone = [only(Align(config(detector=detector, min_size=8), CPU), image) for image in images]
    assert any(isinstance(result, Product) for result in together)
    for one, two, three in zip(together, backwards, alone, strict=True):
        if isinstance(one, Reject):
            assert one == two == three
            continue
        for other in (two, three):
            assert isinstance(other, Product)
            assert one.values == other.values
            assert one.images["crop"].tobytes() == other.images["crop"].tobytes()


@pytest.mark.parametrize("detector", ["mtcnn", "retinaface"])
def test_a_crop_is_found_again_where_the_template_says(detector: str) -> None:
    """Detecting in the crop gives the template back: landmarks within 4 % of the side in the median."""
    stage = Align(config(detector=detector, size=256, template="agfas", margin=0.25), CPU)
    gaps = []
    for image in photographs(10):
        result = only(stage, image)
        if isinstance(result, Product):
            again = only(stage, result.images["crop"])
            if isinstance(again, Product):
                points = np.array(again.values["landmarks"]).reshape(5, 2)
                gaps.append(np.abs(points - target("agfas", 256, 0.25)).mean() / 256)
    assert len(gaps) >= 3
    assert np.median(gaps) < 0.04


def test_roll_is_undone_and_reported() -> None:
    image = photographs(2)[0]
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -20, 1.0)
    turned = np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
    stage = Align(config(detector="retinaface"), CPU)
    straight, tilted = only(stage, image), only(stage, turned)
    if not (isinstance(straight, Product) and isinstance(tilted, Product)):
        pytest.skip("the face was not found at both angles")
    before, after = straight.values["roll"], tilted.values["roll"]
    assert isinstance(before, float)
    assert isinstance(after, float)
    assert 12 < after - before < 28


def test_settings_that_make_no_sense_are_refused() -> None:
    for values in (
        {"detector": "haar"},
        {"size": 4},
        {"retinaface": {"backbone": "resnet50"}},
        {"mtcnn": {"thresholds": [0.6, 0.7, 1.0]}},
        {"template": [[0.1, 0.2]]},
        {"unknown": 1},
    ):
        with pytest.raises(ValidationError):
            config(**values)


def test_weight_files_are_named_by_role(tmp_path: Path) -> None:
    assert set(SPEC.weights(config(detector="mtcnn"))) == {"mtcnn"}
    assert set(SPEC.weights(config(detector="retinaface"))) == {"retinaface"}
    checkpoint = tmp_path / "r50.pth"
    chosen = config(detector="retinaface", retinaface={"backbone": "resnet50", "weights": checkpoint})
    assert SPEC.weights(chosen) == {"retinaface": checkpoint}


def test_the_specification_is_light() -> None:
    code = (
        "import sys; import fasgen.stages.align.config as c;"
        "[c.SPEC.weights(c.AlignConfig(detector=d)) for d in ('mtcnn', 'retinaface')];"
        "print([m for m in ('torch', 'cv2', 'onnx', 'tensorflow', 'joblib') if m in sys.modules])"
    )
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
