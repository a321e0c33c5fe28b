"""Configuration and specification of defake."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fasgen.records import Column
from fasgen.stages.stage import ArrayField, Reads, StageConfig, StageSpec
from fasgen.stages.weights import embedded


class DefakeConfig(StageConfig):
    """How the real version of each face is made (AG-FAS III-B)."""

    weights: str = Field(
        "embedded", description="'embedded', or a folder in the diffusers layout of Stable Diffusion 1.x's shape"
    )
    unet: Path | None = Field(
        None, description="another U-Net's folder, for example AG-FAS's unet_ema; null: the one in weights"
    )
    t: int = Field(
        800, ge=0, le=1000, description="strength: the noise level from which the face is made anew; 0 leaves it as it is"
    )
    steps: int = Field(
        50, ge=1, le=1000, description="grid points over 0..1000; those up to t are walked (800 of 50: 41 calls)"
    )
    batch: int = Field(16, ge=1, le=1024, description="samples a network call")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 on CUDA, fp32 elsewhere")
    compile: Literal["auto", "on", "off"] = Field("auto", description="compiled denoising step; auto: on CUDA, where it pays")
    any_size: bool = Field(False, description="allow crops of another size than the U-Net was trained on")
    reconstruction: bool = Field(
        False, description="store the reconstruction as an image too (crop - residual gives it anyway)"
    )

    @field_validator("steps")
    @classmethod
    def _divides(cls, value: int) -> int:
        if 1000 % value:
            raise ValueError(f"{value} does not divide 1000; take for example 20, 25, 40, 50 or 100")
        return value


def _weights(config: DefakeConfig) -> dict[str, Path]:
    folder = embedded("dfg") if config.weights == "embedded" else Path(config.weights)
    parts = {part: folder / part for part in ("vae", "scheduler")}
    parts["unet"] = config.unet or folder / "unet"
    if (folder / "projection").is_dir():
        parts["projection"] = folder / "projection"
    return parts


SPEC = StageSpec(
    name="defake",
    summary="the real version of each face by latent diffusion, and the residual cue",
    version=2,
    reads=(
        Reads("identify", arrays=("identity_map",)),
        Reads("align", images=("crop",), columns=("landmarks", "transform")),
    ),
    config=DefakeConfig,
    factory="fasgen.stages.defake.stage:build",
    columns=(
        Column("residual_mean", "float32", "mean of the residual over pixels and channels", "levels"),
        Column("residual_std", "float32", "standard deviation of the residual over pixels and channels", "levels"),
        Column("residual_abs_mean", "float32", "mean absolute residual", "levels"),
        Column("residual_energy_face", "float32", "mean square of the residual inside the face ellipse", "levels^2"),
        Column("t", "int32", "noise level from which the face was made anew", "[0, 1000]"),
        Column("calls", "int32", "network calls"),
    ),
    images=("reconstruction",),
    arrays=(ArrayField("residual", "int16", "crop - reconstruction, H x W x 3 RGB, signed 8-bit levels, exact"),),
    weights=_weights,
    batch=lambda config: config.batch,
    device="accelerator",
    synthetic=lambda config: {"reconstruction": "compositeWithTrainedAlgorithmicMedia"},
)
