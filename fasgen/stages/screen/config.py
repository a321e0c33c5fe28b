"""Configuration and specification of screen: what was synthesised is measured, and kept or turned away with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.records import Column, Reason
from fasgen.stages.identify.config import weights_path
from fasgen.stages.score.config import brisque_folder
from fasgen.stages.stage import PICTURE, Reads, StageConfig, StageSpec
from fasgen.stages.synth.config import model_folder


class ScreenConfig(StageConfig):
    """Which spoofs pass. Every limit can be null: then only the figure is stored."""

    brisque_model: str = Field("embedded", description="as score.brisque_model")
    brisque_margin: float | None = Field(
        15.0, ge=0, description="points of BRISQUE by which a spoof may lie outside the band of its style; null: any"
    )
    min_identity_similarity: float | None = Field(
        None, ge=-1, le=1, description="lowest cosine of live face and spoof that passes; null: any"
    )
    max_guide_similarity: float | None = Field(
        None, ge=-1, le=1, description="highest cosine of spoof and guide that passes; null: any"
    )
    nearer_to_guide: Literal["reject", "allow"] = Field(
        "reject", description="what becomes of spoofs whose identity is nearer to the guide than to the live face"
    )
    min_style_probability: float | None = Field(
        0.1, ge=0, le=1, description="lowest probability of its style, by the style encoder, that passes; null: any"
    )
    min_difference: float | None = Field(
        0.5, ge=0, description="lowest mean absolute difference from the live face that passes, levels; null: any"
    )
    min_sibling_difference: float | None = Field(
        0.5, ge=0, description="the same between spoofs of one face that are screened in one batch; null: any"
    )
    on_fail: Literal["reject", "mark"] = Field(
        "reject", description="reject: what does not pass is filtered; mark: only its verdict says so"
    )
    identity_weights: str = Field("embedded", description="as identify.weights; must be the same network")
    style_weights: str = Field("embedded", description="as synth.weights: the model whose style encoder judges")
    batch: int = Field(32, ge=1, le=4096, description="samples a call")


def _weights(config: ScreenConfig) -> dict[str, Path]:
    return {
        "brisque": brisque_folder(config.brisque_model),
        "identity": weights_path(config.identity_weights),
        "style_encoder": model_folder(config.style_weights) / "style_encoder",
    }


SPEC = StageSpec(
    name="screen",
    summary="what synth made against its live face, its guide and its style; verdict against the limits",
    version=1,
    reads=(
        Reads("defake"),
        Reads("synth", images=("crop",), columns=("style", "guide_unit", "guide_row", "simulation")),
        Reads("identify", arrays=("embedding",)),
        Reads(PICTURE, images=("crop",), prefix="live_", parent=True),
        Reads("identify", arrays=("embedding",), prefix="live_", parent=True),
    ),
    config=ScreenConfig,
    factory="fasgen.stages.screen.stage:build",
    columns=(
        Column(
            "brisque", "float64", "BRISQUE; null without texture", "points, lower is better, mostly 0 to 100, open", "worse"
        ),
        Column("brisque_low", "float32", "lower end of the band of the style; null where none is known", "points"),
        Column("brisque_high", "float32", "upper end of the band of the style; null where none is known", "points"),
        Column("brisque_impl", "string", "implementation, reference and model digest"),
        Column("identity_similarity", "float32", "cosine of the embeddings of spoof and live face", "[-1, 1]", "better"),
        Column(
            "guide_similarity",
            "float32",
            "cosine of the embeddings of spoof and guide; null without a guide",
            "[-1, 1]",
            "worse",
        ),
        Column("style_verdict", "string", "style that the encoder sees in the spoof"),
        Column(
            "style_probability",
            "float32",
            "probability of the wanted style; null if the encoder has none such",
            "[0, 1]",
            "better",
        ),
        Column("difference", "float32", "mean absolute difference from the live face", "levels"),
        Column("verdict", "string", "accepted, or the limits that were missed"),
    ),
    weights=_weights,
    batch=lambda config: config.batch,
    device="accelerator",
    guides=(Reads("identify", arrays=("embedding",), prefix="guide_"),),
    remedies={
        Reason.STYLE_LOST: "the style encoder does not see the wanted styles in what was made: lower "
        "screen.min_style_probability, or set it to null; weights that were trained on these styles take them better",
        Reason.IDENTITY_LOST: "the person was lost: lower synth.t, or loosen screen.min_identity_similarity",
        Reason.NEAR_COPY: "spoofs are too near to their guides: lower synth.gamma, or set screen.nearer_to_guide=allow",
        Reason.QUALITY: "spoofs lie outside the band of their style: raise screen.brisque_margin, or set it to null",
        Reason.UNCHANGED: "spoofs do not differ from the live faces: raise synth.t and synth.gamma",
        Reason.DUPLICATE: "spoofs of one face are alike: widen synth.t and synth.gamma, or ask for fewer synth.variants",
        Reason.TOO_SMALL: "BRISQUE needs larger crops: raise align.size",
    },
)
