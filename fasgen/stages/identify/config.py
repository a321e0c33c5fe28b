"""Configuration and specification of identify."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.errors import WeightsError
from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.stages.stage import PICTURE, ArrayField, Reads, StageConfig, StageSpec
from fasgen.stages.weights import embedded


class IdentifyConfig(StageConfig):
    """Which network says who a face is (AG-FAS III-B takes an ArcFace iResNet-18)."""

    weights: str = Field(
        "embedded",
        description="'embedded', a folder (config.json, model.safetensors) or a .pth, .pt, .safetensors or .onnx of ArcFace",
    )
    depth: Literal[18, 34, 50, 100] | None = Field(
        None, description="layers that the checkpoint must have; null: as many as it has"
    )
    batch: int = Field(32, ge=1, le=4096, description="samples a network call")


def weights_path(weights: str) -> Path:
    """Where weights named in a configuration lie.

    Raises:
        WeightsError: it is an ONNX file, and what reads these is not installed.
    """
    if weights == "embedded":
        return embedded("identity")
    path = located(weights)
    need_onnx(path)
    return path


def need_onnx(path: Path) -> None:
    """Refuse an ONNX file where the package ``onnx`` is missing: it is an extra.

    Raises:
        WeightsError: so.
    """
    if path.suffix == ".onnx" and find_spec("onnx") is None:
        raise WeightsError(f'{path}: ONNX is read by the package onnx, which is missing: pip install "fasgen[onnx]"')


SPEC = StageSpec(
    name="identify",
    summary="identity map and embedding of each face by an ArcFace iResNet",
    version=1,
    reads=(Reads(PICTURE, images=("crop",)),),
    config=IdentifyConfig,
    factory="fasgen.stages.identify.stage:build",
    columns=(
        Column(
            "embedding_norm",
            "float32",
            "length of the embedding before normalisation; low for faces hard to recognise",
            "[0, inf)",
            "better",
        ),
    ),
    arrays=(
        ArrayField("identity_map", "float16", "channel x 7 x 7 (ArcFace: 512), output of the final BatchNorm before pooling"),
        ArrayField("embedding", "float32", "embedding (ArcFace: 512), unit length; inner products are cosine similarities"),
    ),
    weights=lambda config: {"identity": weights_path(config.weights)},
    batch=lambda config: config.batch,
    device="accelerator",
    remedies={Reason.NOT_FINITE: "the network gives no finite numbers: give other identify.weights"},
)
