"""Align, the stage: detect, choose, judge, cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import cv2
import numpy as np
import torch

from fasgen.records import Reason, Scalar
from fasgen.remote.cache import located
from fasgen.stages.align.boxes import Detector, Faces
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.align.likeness import perceptual_hash, sharpness
from fasgen.stages.align.mtcnn import MTCNN, Cascade
from fasgen.stages.align.pose import Pose, head_pose
from fasgen.stages.align.retinaface import RetinaFace
from fasgen.stages.align.template import cut, similarity, target
from fasgen.stages.stage import RGB, Product, Reject, Sample


def detector(config: AlignConfig, device: torch.device) -> Detector:
    """The configured detector, its weights on ``device``."""
    if config.detector == "mtcnn":
        return MTCNN(Cascade(config.mtcnn.min_face, config.mtcnn.factor, config.mtcnn.thresholds), device)
    face = config.retinaface
    weights = None if face.weights is None else located(str(face.weights))
    return RetinaFace(face.backbone, weights, face.threshold, face.overlap, device)


def found(look: Detector, image: RGB, side: int | None) -> Faces:
    """Faces of an image in its own pixels, looked for at a long side of at most ``side`` px."""
    height, width = image.shape[:2]
    if side is None or max(height, width) <= side:
        return look(image)
    shrink = side / max(height, width)
    small = (max(round(width * shrink), 1), max(round(height * shrink), 1))
    reduced = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    return look(reduced).scaled(width / small[0], height / small[1])


class Align:
    """One face a photograph: the configured choice of those found, cut upright on the template.

    Samples are handled one by one (see the detectors), so a product's bytes do not depend on the batch.
    """

    def __init__(self, config: AlignConfig, device: torch.device) -> None:
        self._config = config
        self._look = detector(config, device)
        self._name = config.detector if config.detector == "mtcnn" else f"retinaface {config.retinaface.backbone}"
        self._target = target(config.template, config.size, config.margin)

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """A crop, or the reason why there is none, for each sample's ``image``."""
        return [self._sample(sample) for sample in batch]

    def _sample(self, sample: Sample) -> Product | Reject:
        """The sample's own frame, else the nearest in which a face is detected, whatever becomes of that face."""
        outcome = self._aligned(sample.images["image"])
        frame = None
        if _is_miss(outcome) and sample.nearby is not None:
            tried: list[int] = []
            for index, image in sample.nearby():
                tried.append(index)
                other = self._aligned(image)
                if not _is_miss(other):
                    outcome, frame = other, index
                    break
            else:
                return Reject(outcome.reason, f"{outcome.detail}; no face in the {len(tried)} frames around it either")
        if isinstance(outcome, Reject):
            there = "" if frame is None else f", in frame {frame}, the nearest with a face"
            return Reject(outcome.reason, f"{outcome.detail}{there}")
        known = {name: sample.values.get(name) for name in ("frames_decoded", "source_sha256")}
        return replace(outcome, values={**outcome.values, **known}, frame=frame)

    def _aligned(self, image: RGB) -> Product | Reject:
        config = self._config
        faces = found(self._look, image, config.detect_side)
        height, width = image.shape[:2]
        if len(faces) == 0:
            return Reject(Reason.NO_FACE, f"{self._name} found no face in {width} x {height} px")
        sure = np.flatnonzero(faces.scores >= config.min_score)
        if len(sure) == 0:
            return Reject(Reason.LOW_SCORE, f"score {faces.scores.max():.3f} is below {config.min_score:g}")
        faces = Faces(faces.boxes[sure], faces.scores[sure], faces.landmarks[sure])
        chosen = faces.largest() if config.face == "largest" else int(np.argmax(faces.scores))
        box, points = faces.boxes[chosen], faces.landmarks[chosen].astype(np.float64)
        side = float(min(box[2] - box[0], box[3] - box[1]))
        if side < config.min_size:
            return Reject(Reason.FACE_TOO_SMALL, f"face of {side:.1f} px is smaller than {config.min_size:g} px")
        share = side / min(height, width)
        if config.min_share is not None and share < config.min_share:
            return Reject(Reason.FACE_TOO_SMALL, f"face of {share:.3f} of the picture's side is below {config.min_share:g}")
        try:
            transform = similarity(points, self._target)
        except ValueError as error:
            return Reject(Reason.NO_FACE, str(error))
        pose = head_pose(points)
        refusal = self._off_pose(pose)
        if refusal:
            return Reject(Reason.POSE, refusal)
        crop = cut(image, transform, config.size, config.border)
        sharp = sharpness(crop)
        if config.min_sharpness is not None and sharp < config.min_sharpness:
            return Reject(Reason.BLURRED, f"sharpness {sharp:.1f} is below {config.min_sharpness:g}")
        values: dict[str, Scalar] = {
            "box": [float(x) for x in box],
            "score": float(faces.scores[chosen]),
            "landmarks": [float(x) for x in points.ravel()],
            "transform": [float(x) for x in transform.ravel()],
            "yaw": pose.yaw,
            "pitch": pose.pitch,
            "roll": pose.roll,
            "faces": len(faces),
            "face_size": side,
            "detector": self._name,
            "source_width": width,
            "source_height": height,
            "sharpness": sharp,
            "phash": perceptual_hash(crop),
        }
        return Product(images={"crop": crop}, values=values)

    def _off_pose(self, pose: Pose) -> str:
        """Which angles go beyond their limit, in words; empty if none does."""
        limits = {"yaw": self._config.max_yaw, "pitch": self._config.max_pitch, "roll": self._config.max_roll}
        beyond = [
            f"{name} {getattr(pose, name):.1f} is beyond {limit:g} degrees"
            for name, limit in limits.items()
            if limit is not None and abs(getattr(pose, name)) > limit
        ]
        return ", ".join(beyond)


def _is_miss(outcome: Product | Reject) -> TypeGuard[Reject]:
    return isinstance(outcome, Reject) and outcome.reason in (Reason.NO_FACE, Reason.LOW_SCORE)


def build(config: AlignConfig, device: torch.device) -> Align:
    """The stage's factory."""
    return Align(config, device)
