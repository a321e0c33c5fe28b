"""Configuration and specification of score."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fasgen.errors import WeightsError
from fasgen.records import PHOTOGRAPHED, Column, Reason
from fasgen.remote.cache import located
from fasgen.stages.identify.config import weights_path
from fasgen.stages.stage import PICTURE, Reads, StageConfig, StageSpec
from fasgen.stages.weights import embedded

CARRIED_FILE, MODEL_FILE, RANGE_FILE = "model.safetensors", "allmodel", "allrange"


class ScoreConfig(StageConfig):
    """How faces are measured, and between which bands they are kept (DiffFAS 3.4 keeps BRISQUE beside each image)."""

    brisque_model: str = Field(
        "embedded", description="'embedded', or a folder with allmodel and allrange, as LIBSVM writes them"
    )
    brisque_min: float | None = Field(None, description="lowest BRISQUE of a crop that passes; null: any")
    brisque_max: float | None = Field(None, description="highest BRISQUE of a crop that passes, for example 60; null: any")
    min_identity_similarity: float | None = Field(
        None, ge=-1, le=1, description="lowest cosine of crop and reconstruction that passes, for example 0.2; null: any"
    )
    on_fail: Literal["reject", "mark"] = Field(
        "reject", description="reject: what does not pass is filtered; mark: only its verdict says so"
    )
    identity_weights: str = Field("embedded", description="as identify.weights; must be the same network")
    batch: int = Field(32, ge=1, le=4096, description="samples a call")

    @model_validator(mode="after")
    def _ordered(self) -> ScoreConfig:
        if self.brisque_min is not None and self.brisque_max is not None and self.brisque_min > self.brisque_max:
            raise ValueError(f"brisque_min {self.brisque_min} is above brisque_max {self.brisque_max}: nothing would pass")
        return self


def brisque_folder(model: str) -> Path:
    """Where BRISQUE's support vectors and feature ranges lie.

    Args:
        model: ``embedded``, or a folder with ``allmodel`` and ``allrange``, as LIBSVM and the release of BRISQUE name them.

    Raises:
        WeightsError: the folder lacks a file.
    """
    if model == "embedded":
        return embedded("brisque")
    folder = located(model)
    missing = [name for name in (MODEL_FILE, RANGE_FILE) if not (folder / name).is_file()]
    if missing and not (folder / CARRIED_FILE).is_file():
        raise WeightsError(
            f"{folder}: has no {' and no '.join(missing)}; set score.brisque_model to 'embedded' or to a folder that has"
        )
    return folder


def _weights(config: ScoreConfig) -> dict[str, Path]:
    return {"brisque": brisque_folder(config.brisque_model), "identity": weights_path(config.identity_weights)}


SPEC = StageSpec(
    name="score",
    summary="BRISQUE of crop and reconstruction, their identity similarity, verdict against the bands",
    version=1,
    reads=(
        Reads("defake", arrays=("residual",)),
        Reads(PICTURE, images=("crop",)),
        Reads("identify", arrays=("embedding",)),
    ),
    lanes=(PHOTOGRAPHED,),
    config=ScoreConfig,
    factory="fasgen.stages.score.stage:build",
    columns=(
        Column(
            "brisque",
            "float64",
            "BRISQUE of the crop; null without texture",
            "points, lower is better, mostly 0 to 100, open",
            "worse",
        ),
        Column(
            "brisque_reconstruction",
            "float64",
            "BRISQUE of crop - residual; null without texture",
            "points, lower is better, mostly 0 to 100, open",
            "worse",
        ),
        Column("brisque_impl", "string", "implementation, reference and model digest of both scores"),
        Column("brisque_direction", "string", "which way BRISQUE points: lower is better"),
        Column("brisque_range", "string", "range of BRISQUE"),
        Column(
            "identity_similarity",
            "float32",
            "cosine of the embeddings of crop and reconstruction, higher is closer",
            "[-1, 1]",
            "better",
        ),
        Column("verdict", "string", "accepted, or the bands that were missed"),
    ),
    weights=_weights,
    batch=lambda config: config.batch,
    device="accelerator",
    remedies={
        Reason.QUALITY: "widen score.brisque_min and score.brisque_max, or set score.on_fail=mark; `fasgen report` shows "
        "what the faces have",
        Reason.IDENTITY_LOST: "lower score.min_identity_similarity, or set it to null: small generators lose more of a person",
        Reason.TOO_SMALL: "BRISQUE needs larger crops: raise align.size",
    },
)
