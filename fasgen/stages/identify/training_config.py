"""Configuration of the identity network's training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.training.config import FacesConfig, LoopConfig, TrainingSpec


class IdentityTraining(LoopConfig):
    """Training of an iResNet, by ArcFace's margin on subjects, by a stronger network as teacher, or by both."""

    faces: FacesConfig = FacesConfig(size=112)
    lr: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    depth: Literal[18, 34, 50, 100] | None = Field(18, description="a published depth and width; null: blocks, widths and head count")
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    head: Literal["fc", "gdc"] = "fc"
    teacher: Path | None = Field(None, description="ONNX network whose map and embedding are learned; needs onnxruntime")
    teacher_map: str = Field("", description="name of the teacher's 512 x 7 x 7 output")
    teacher_embedding: str = Field("", description="name of the teacher's embedding before normalisation, any shape of 512 an image")
    teacher_mean: float = 127.5
    teacher_std: float = 127.5
    teacher_weight: float = Field(1.0, ge=0, description="weight of the embedding's cosine distance to the teacher's")
    map_weight: float = Field(1.0, ge=0, description="weight of the mean square distance to the teacher's standardised map")
    arcface_weight: float = Field(1.0, ge=0, description="weight of ArcFace's loss over subjects")
    margin: float = Field(0.5, ge=0, description="ArcFace's angular margin m, radians")
    scale: float = Field(64.0, gt=0, description="ArcFace's scale s")


SPEC = TrainingSpec("identity", "iResNet for identity maps and embeddings (ArcFace)", IdentityTraining, "fasgen.stages.identify.train:task")
