"""Configuration of what is trained for DiffFAS: the style encoder and the U-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fasgen.stages.gallery.training_config import GalleryTraining, PairsConfig
from fasgen.training.config import Schedule, TrainingSpec


class TransferConfig(BaseModel):
    """Any live face under a guide of any style, without a target: beyond the paper, which learns from pairs alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(default=0.0, ge=0, le=1, description="share of a batch that learns so; 0: as the paper has it")
    gamma: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="guidance under which they are made, drawn evenly; the weights of the style rise with it and that of the "
        "identity falls, so that more guidance comes to mean more style; 1 to 1: without guidance",
    )
    style: float = Field(default=0.2, ge=0, description="weight of the style encoder's cross-entropy")
    statistics: float = Field(default=0.5, ge=0, description="weight of its features' means and deviations")
    bands: float = Field(default=0.3, ge=0, description="weight of the energies of the image's bands and of its mean colours")
    identity: float = Field(
        default=0.5, ge=0, description="weight of the identity that is lost; needs identity other than none"
    )

    @field_validator("gamma")
    @classmethod
    def _rises_above_zero(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError(f"{list(value)} is no range above 0: give the smaller one first; without guidance it is [1, 1]")
        return value


class StyleTraining(GalleryTraining):
    """Training of the style encoder (DiffFAS 3.1): a classifier of spoofing styles, live ones among them."""

    steps: int = Field(20_000, ge=1, description="optimiser steps")
    batch: int = Field(256, ge=1, description="samples per step over all ranks together")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Schedule = Field("cosine", description="after warm-up")
    weight_decay: float = Field(5e-3, ge=0, description="decoupled weight decay (AdamW)")
    blocks: tuple[int, ...] = Field((3, 4, 6, 3), description="residual blocks per stage")
    widths: tuple[int, ...] = Field((64, 256, 512, 512), description="channels per stage")
    taps: tuple[int, ...] = Field((2, 3, 4), description="stages, from 1, whose outputs are the style features")
    kernel: int = Field(7, ge=1, description="side of the first convolution")
    pool: bool = Field(True, description="halve once more before the first stage, as ResNet does")
    shift: int = Field(8, ge=0, description="largest random shift, px; resampling would blur what tells styles apart")
    smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing")


class DiffFASTraining(GalleryTraining):
    """Training of DiffFAS's U-Net: spoof reconstruction from pairs (Eqs. 6 and 7); the style encoder is frozen."""

    pairs: PairsConfig = Field(PairsConfig(), description="real pairs")
    transfer: TransferConfig = Field(TransferConfig(), description="styles on faces that have no spoof of their own")
    style_encoder: Path | None = Field(None, description="folder of the trained style encoder; required")
    identity: Literal["none"] | str = Field(
        "embedded", description="identity network that measures samples: 'embedded', a path, or 'none'"
    )
    init: Path | None = Field(None, description="U-Net folder to start from, whose shape is then used; none: from scratch")
    blend: Path | None = Field(
        None,
        description="U-Net folder, usually that of init, of which the finished network is the mean with what was learnt since: "
        "between both in what they do, and in few steps steadier (Wortsman et al. 2022)",
    )
    steps: int = Field(600_000, ge=1, description="optimiser steps; the paper's 400 epochs of 5912 pairs")
    batch: int = Field(4, ge=1, description="samples per step over all ranks together")
    warmup: int = Field(5_000, ge=0, description="steps of linear warm-up")
    base: int = Field(128, ge=8, description="channels of a multiplier of 1")
    multipliers: tuple[int, ...] = Field((1, 1, 2, 2, 4, 4), description="width of each level, the finest first")
    blocks: int = Field(2, ge=1, le=4, description="residual blocks a level on the way down; one more on the way up")
    fusion: tuple[int, ...] = Field((3, 4, 5), description="levels, from 0, with a fusion module; the middle has one too")
    mean_patches: tuple[int, ...] = Field((6, 6, 6), description="side of the patches of means, at each of these levels")
    variance_patches: tuple[int, ...] = Field((2, 2, 2), description="side of the patches of variances")
    dropout: float = Field(0.1, ge=0, lt=1, description="inside residual blocks")
    patch: Literal[1, 2, 4] = Field(1, description="pixels folded into channels, each way; 1 in the paper")
    learned_variance: bool = Field(True, description="predict the variance, with the variational term in the loss")
    null: Literal["learned", "grey"] = Field(
        "learned", description="what 'no style' is: learned tokens, or a grey image seen through the style encoder"
    )
    style_drop: float = Field(0.2, ge=0, lt=1, description="share that learns without a style; the live face always stays")
    prediction: Literal["epsilon", "v_prediction", "sample"] = Field(
        "epsilon", description="what the network predicts: noise, velocity or clean image"
    )
    anchor: float = Field(
        0.0,
        ge=0,
        description="deviation of spoofs from their live faces, about 0.25: the output is measured from the live face, so that "
        "keeping it needs no learning; needs prediction=sample, weighs errors in its own units; 0: as the paper has it",
    )
    modulated: bool = Field(
        False, description="style joins the time embedding and steers a path from input to output; false: as the paper has it"
    )
    t_max: int = Field(1000, ge=1, le=1000, description="noise levels above it are never trained")
    min_snr: float = Field(
        0.0, ge=0, description="cap of the signal-to-noise weight (Hang et al. 2023); 0 leaves the loss plain"
    )
    shown_t: int = Field(250, ge=1, le=1000, description="strength t of the samples on the sheets")
    shown_gamma: float = Field(2.0, ge=0, description="guidance gamma of the samples on the sheets")
    shown_steps: int = Field(25, ge=1, description="network calls of the samples on the sheets")


STYLE = TrainingSpec(
    "style",
    "style encoder of DiffFAS: a classifier of spoofing styles",
    StyleTraining,
    "fasgen.stages.synth.difffas.train_style:task",
)
DIFFFAS = TrainingSpec(
    "difffas",
    "DiffFAS: live faces to spoof faces in the style of others",
    DiffFASTraining,
    "fasgen.stages.synth.difffas.train_difffas:task",
)
