"""Configuration and specification of stdn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.stages.settings import CHOICE, Selected, few_rows, wrong_size
from fasgen.stages.stage import PICTURE, ArrayField, Cue, Reads, StageSpec
from fasgen.stages.weights import embedded

STEPS_A_LEVEL = 32
"""Traces are stored in 1/32 of an 8-bit level: T_A reaches 3 x 255 levels, which then fits 16 bits."""


class StdnConfig(Selected):
    """How faces are taken apart into a live face and spoof traces (STDN+), and which."""

    LATER: ClassVar[frozenset[str]] = CHOICE

    enabled: bool = Field(False, description="false leaves the stage out of runs, and its cue out of the shards")
    weights: str = Field("embedded", description="'embedded', or a folder that `fasgen train stdn` wrote")
    alpha0: float | None = Field(
        None, ge=0, description="weight of the traces in the score; null: the weights' own; 100 in the paper"
    )
    parts: bool = Field(False, description="store B, C and T too, each by itself; the cue is their sum within its bands")
    reconstruction: bool = Field(False, description="store the live counterpart as an image")
    any_size: bool = Field(False, description="allow crops of another size than the network was trained on")
    batch: int = Field(16, ge=1, le=1024, description="samples a network call")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 on CUDA, fp32 elsewhere")


def weights_folder(weights: str) -> Path:
    """Folder of a generator: the embedded one, or that in the folder given."""
    return (embedded("stdn") if weights == "embedded" else located(weights)) / "generator"


def size_in(folder: Path) -> int | None:
    """Side of the crops that the network in a folder was trained on, px; ``None`` where it does not say."""
    try:
        size = json.loads((folder / "config.json").read_text("utf-8"))["size"]
    except (OSError, ValueError, KeyError, TypeError):
        # Weights that cannot be read are refused where they are loaded, with what is wrong with them.
        return None
    return size if isinstance(size, int) else None


def refusal(config: StdnConfig, others: Mapping[str, Any]) -> str:
    """Why the crops of this run cannot be taken apart by these weights; empty where they can."""
    size = getattr(others.get("align"), "size", None)
    return "" if size is None else wrong_size((size, size), size_in(weights_folder(config.weights)), "stdn", "weights", config)


_CARD = """\
`stdn` is the additive spoof trace of STDN+ (RGB, signed, in 1/32 of an 8-bit level; divide by 32 to have levels): what its
generator takes a spoof to have added to a live face, from colour shifts to texture, and little on live faces. Where nothing is
masked it is the image less its live counterpart. The score in each sample's JSON is high for live."""

SPEC = StageSpec(
    name="stdn",
    summary="spoof traces of each crop by STDN+, its mask and pseudo-depth; live counterpart where asked",
    version=2,
    reads=(Reads(PICTURE, images=("crop",)), Reads("align", columns=("landmarks", "transform"))),
    config=StdnConfig,
    factory="fasgen.stages.stdn.stage:build",
    columns=(
        Column("stdn_score", "float32", "mean depth / 2 - alpha0 / 2 x mean traces; high for live", "<= 0.5", "live"),
        Column("stdn_depth", "float32", "mean pseudo-depth over 32 x 32; low for spoofs", "[0, 1]", "live"),
        Column("stdn_trace", "float32", "mean |B| + mean |C| + mean |T| + mean P, which the score takes", "[0, 4]", "spoof"),
        Column("trace_abs_mean", "float32", "mean absolute additive trace", "levels"),
        Column("trace_energy_face", "float32", "mean square of the additive trace inside the face ellipse", "levels^2"),
        Column("trace_energy_outside", "float32", "the same outside of it; null where the face fills the crop", "levels^2"),
        Column("mask_mean", "float32", "mean of the mask P", "[0, 1]"),
        Column("alpha0", "float32", "weight of the traces in the score"),
    ),
    images=("live_counterpart",),
    arrays=(
        Cue(
            "stdn",
            "int16",
            "additive spoof trace low(B) + low(C) + T, H x W x 3 RGB, signed, in 1/32 of an 8-bit level",
            one=127.5 * STEPS_A_LEVEL,
            card=_CARD,
            columns=(
                *("stdn_score", "stdn_depth", "trace_abs_mean", "trace_energy_face", "trace_energy_outside"),
                *("mask_mean", "alpha0"),
            ),
        ),
        ArrayField("trace_parts", "int16", "B, C, T before low-passing, H x W x 9, in 1/32 of an 8-bit level; where asked"),
        ArrayField("trace_mask", "uint8", "mask P, H x W x 1, value / 255: where the face was replaced"),
        ArrayField("pseudo_depth", "uint8", "M, 32 x 32 x 1, value / 255: 1 nearest to the camera, 0 flat"),
    ),
    weights=lambda config: {"generator": weights_folder(config.weights)} if config.enabled else {},
    batch=lambda config: config.batch,
    device="accelerator",
    off=lambda config: not config.enabled,
    synthetic=lambda config: {"live_counterpart": "compositeWithTrainedAlgorithmicMedia"},
    refusal=refusal,
    remedies={
        Reason.NOT_FINITE: "the network gives no finite numbers: set stdn.dtype=fp32, or give other stdn.weights",
        **few_rows("stdn"),
    },
)
