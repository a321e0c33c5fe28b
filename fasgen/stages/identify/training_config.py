"""Configuration of the identity network's training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.training.config import FacesConfig, Schedule, StoreTraining, TrainingSpec


class IdentityTraining(StoreTraining):
    """Training of an iResNet, by ArcFace's margin on subjects, by a stronger network as teacher, or by both."""

    faces: FacesConfig = Field(
        FacesConfig(size=112), description="the faces to learn from; they are read at 112 px whatever size says"
    )
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Schedule = Field("cosine", description="after warm-up")
    depth: Literal[18, 34, 50, 100] | None = Field(
        18, description="a published depth and width; null: blocks, widths and head count"
    )
    blocks: tuple[int, int, int, int] = Field((2, 2, 2, 2), description="residual blocks a stage, where depth is null")
    widths: tuple[int, int, int, int] = Field((64, 128, 256, 512), description="channels a stage, where depth is null")
    head: Literal["fc", "gdc"] = Field(
        "fc", description="map to embedding, where depth is null: a full layer, or a depthwise one first"
    )
    teacher: Path | None = Field(None, description="ONNX network whose map and embedding are learned; needs fasgen[onnx]")
    teacher_map: str = Field("", description="name of the teacher's 512 x 7 x 7 output")
    teacher_embedding: str = Field(
        "", description="name of the teacher's embedding before normalisation, any shape of 512 an image"
    )
    teacher_mean: float = Field(127.5, description="level that is 0 for the teacher")
    teacher_std: float = Field(127.5, description="levels that are 1 for the teacher")
    teacher_weight: float = Field(1.0, ge=0, description="weight of the embedding's cosine distance to the teacher's")
    map_weight: float = Field(1.0, ge=0, description="weight of the mean square distance to the teacher's standardised map")
    arcface_weight: float = Field(1.0, ge=0, description="weight of ArcFace's loss over subjects")
    margin: float = Field(0.5, ge=0, description="ArcFace's angular margin m, radians")
    scale: float = Field(64.0, gt=0, description="ArcFace's scale s")


SPEC = TrainingSpec(
    "identity", "iResNet for identity maps and embeddings (ArcFace)", IdentityTraining, "fasgen.stages.identify.train:task"
)
