"""What align can be told, and what it declares to the pipeline.

The default is 112 px on the ArcFace template, which is what the networks that fasgen ships were trained on, and the small
RetinaFace, which found a face in every one of 150 photographs and attacks and in 90 of 97 frames of self-filmed replays, where
MTCNN found 149 and 72 (faces that fill the frame, faces that lie on their side) and took longer. The settings of the papers:
AG-FAS ``detector=mtcnn size=224 template=agfas``; DiffFAS ``detector=retinaface size=256``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.remote.setting import Place
from fasgen.stages.stage import StageConfig, StageSpec
from fasgen.stages.weights import embedded

Probability = Annotated[float, Field(gt=0, lt=1)]
Degrees = Annotated[float, Field(gt=0, le=90)]
Point = tuple[float, float]


class MTCNNConfig(StageConfig):
    """The cascade of MTCNN."""

    min_face: float = Field(
        20.0,
        ge=12,
        le=1000,
        description="smallest face looked for, px as the detector sees the image; twice the size takes a quarter of the time",
    )
    factor: float = Field(0.709, ge=0.3, le=0.95, description="ratio of one pyramid level to the one before")
    thresholds: tuple[Probability, Probability, Probability] = Field(
        (0.6, 0.7, 0.7), description="lowest face probability after the first, second and third network"
    )


class RetinaFaceConfig(StageConfig):
    """RetinaFace."""

    backbone: Literal["mobilenet0.25", "resnet50"] = Field(
        "mobilenet0.25",
        description="mobilenet0.25 needs no file, its weights come with fasgen; resnet50 needs one",
    )
    weights: Place | None = Field(
        None,
        description="checkpoint of the usual public layout (body.*, fpn.*, ssh1.*, BboxHead.*): safetensors, or a torch state "
        "dict, of which tensors alone are read; null: those that come with fasgen",
    )
    threshold: Probability = Field(0.6, description="lowest face probability of a candidate")
    overlap: Probability = Field(0.4, description="IoU above which the worse of two candidates goes")

    @model_validator(mode="after")
    def _weights_where_none_ship(self) -> RetinaFaceConfig:
        if self.backbone == "resnet50" and self.weights is None:
            raise ValueError(
                "backbone resnet50 needs align.retinaface.weights, the path of a checkpoint; none ships with fasgen"
            )
        return self


class AlignConfig(StageConfig):
    """Settings of align."""

    detector: Literal["mtcnn", "retinaface"] = Field("retinaface", description="which network looks for faces")
    detect_side: int | None = Field(
        1024,
        ge=64,
        le=16384,
        description="images whose long side is above this are reduced to it for detection, px; crops are always cut from the "
        "full image; null looks at the full image",
    )
    size: int = Field(112, ge=32, le=2048, description="side of the crop, px")
    template: Literal["arcface", "agfas"] | tuple[Point, Point, Point, Point, Point] = Field(
        "arcface",
        description="where the five landmarks come to lie: arcface, agfas, or five pairs of fractions of the side (the eye on "
        "the image's left, the other eye, nose, the mouth corner on the image's left, the other corner)",
    )
    margin: float = Field(0.0, ge=0, le=2, description="extra surroundings on each side, as a fraction of the template's side")
    border: Literal["black", "reflect"] = Field(
        "reflect",
        description="what lies beyond the photograph: the photograph mirrored, as in the attacks that the embedded networks "
        "learnt from, or black, as in ArcFace's training data; black corners pass for part of a style, and residuals carry "
        "over less well with them",
    )
    face: Literal["largest", "best"] = Field("largest", description="which face is taken where several pass min_score")
    min_score: float = Field(0.7, ge=0, le=1, description="lowest face probability that is accepted")
    min_size: float = Field(32.0, ge=1, description="shortest side of the face's box that is accepted, px of the source")
    min_share: float | None = Field(
        None, gt=0, le=1, description="shortest side of the face's box that is accepted, of the picture's shorter side"
    )
    min_sharpness: float | None = Field(
        None,
        ge=0,
        description="lowest variance of the Laplacian of the crop's luma that is accepted, squared levels; null accepts any. "
        "It depends on size: set it by the column sharpness of a first run",
    )
    max_yaw: Degrees | None = Field(None, description="largest turn to the side that is accepted, degrees; null accepts any")
    max_pitch: Degrees | None = Field(None, description="largest nod that is accepted, degrees; null accepts any")
    max_roll: Degrees | None = Field(
        None, description="largest tilt that is accepted, degrees; null accepts any: crops are upright whatever the tilt"
    )
    batch: int = Field(32, ge=1, le=1024, description="samples a call")
    mtcnn: MTCNNConfig = Field(default_factory=lambda: MTCNNConfig.model_validate({}), description="settings of that detector")
    retinaface: RetinaFaceConfig = Field(
        default_factory=lambda: RetinaFaceConfig.model_validate({}), description="settings of that detector"
    )


def weights(config: AlignConfig) -> dict[str, Path]:
    """The weights that the configured detector loads, by role."""
    if config.detector == "retinaface" and config.retinaface.weights is not None:
        return {"retinaface": located(str(config.retinaface.weights))}
    return {config.detector: embedded(config.detector)}


SPEC = StageSpec(
    name="align",
    summary="find the face, five landmarks and pose; cut an upright crop on a template",
    version=4,
    reads=(),
    config=AlignConfig,
    factory="fasgen.stages.align.stage:build",
    columns=(
        Column("box", "list<float32>", "face box in the source: x0, y0, x1, y1; may reach beyond its border", "px"),
        Column("score", "float32", "face probability, higher is surer", "[0, 1]", "better"),
        Column(
            "landmarks",
            "list<float32>",
            "x, y in the source of: eye on the image's left, other eye, nose tip, mouth corner on the left, other corner",
            "px",
        ),
        Column("transform", "list<float32>", "similarity transform from source pixels to crop pixels, 2 x 3, row by row", "px"),
        Column("yaw", "float32", "turn of the head; positive towards the image's right", "degrees"),
        Column("pitch", "float32", "nod of the head; positive upwards", "degrees"),
        Column("roll", "float32", "tilt of the head in the source; positive clockwise", "degrees"),
        Column("faces", "int32", "faces found that pass align.min_score"),
        Column("face_size", "float32", "shorter side of the box", "px"),
        Column("detector", "string", "network that found the face"),
        Column("source_width", "int32", "width of the photograph or frame, upright", "px"),
        Column("source_height", "int32", "height of the photograph or frame, upright", "px"),
        Column(
            "sharpness",
            "float32",
            "variance of the Laplacian of the crop's luma; low where blurred",
            "squared levels",
            "better",
        ),
        Column("phash", "uint64", "perceptual hash of the crop, 64 bits; near-duplicates differ in few of them"),
        Column("frames_decoded", "int32", "frames of the video; null for a still and where it was not decoded to its end"),
        Column("source_sha256", "string", "SHA-256 of the file that the photograph or frame comes from, in hex"),
    ),
    images=("crop",),
    picture="crop",
    weights=weights,
    batch=lambda config: int(config.batch),
    device="accelerator",
    remedies={
        Reason.NO_FACE: "are these whole faces, upright? `rotate` of a source turns its files; align.detector=mtcnn "
        "looks in another way, and align.detect_side=null at large pictures in full",
        Reason.LOW_SCORE: "no face is sure enough: lower align.min_score",
        Reason.FACE_TOO_SMALL: "lower align.min_size or align.min_share, or give larger pictures",
        Reason.POSE: "widen align.max_yaw, align.max_pitch and align.max_roll, or set them to null",
        Reason.BLURRED: "lower align.min_sharpness: it hangs on align.size; `fasgen report` shows the column sharpness",
    },
)
