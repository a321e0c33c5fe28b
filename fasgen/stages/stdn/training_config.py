"""Configuration of what is trained for STDN+."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from fasgen.stages.gallery.training_config import GalleryTraining
from fasgen.training.config import FacesConfig, Schedule, TrainingSpec

Source = Literal["dense", "detected", "template"]
"""Where landmarks come from."""


class StdnTraining(GalleryTraining):
    """Training of STDN+'s generator against its four discriminators, on live and spoof faces that need not be pairs.

    Sizes, weights, steps, batch, learning rate and its fall to a tenth every 45,000 steps are the paper's, but for its weight
    of the depth loss, whose sign is a misprint, and for the regulariser, which is apart for live faces and spoofs as in STDN.
    The paper does not name the optimiser.
    """

    faces: FacesConfig = Field(FacesConfig(size=256), description="live faces, and what is simulated from them")
    steps: int = Field(150_000, ge=1, description="steps of three turns: traces, discriminators, synthesised spoofs")
    batch: int = Field(8, ge=2, description="samples per step over all ranks together, half of them live")
    lr: float = Field(5e-5, gt=0, description="peak learning rate of the generator")
    schedule: Schedule = Field("step", description="after warm-up; step falls by decay every decay_every steps")
    decay_every: int = Field(45_000, ge=0, description="schedule=step: steps from one fall to the next")
    decay: float = Field(0.1, gt=0, le=1, description="schedule=step: factor on the learning rate at each fall")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (AdamW)")
    stem: int = Field(32, ge=4, description="channels of the generator at the full side")
    widths: tuple[int, int, int] = Field((64, 96, 128), description="channels at a half, a quarter and an eighth of the side")
    blocks: tuple[int, int, int] = Field((1, 2, 6), description="further convolutions at each of them")
    depth_width: int = Field(64, ge=4, description="channels of the depth head")
    fold: int = Field(1, ge=1, le=4, description="px folded into channels, each way, at both ends; 1 as in the paper")
    smooth: bool = Field(
        False,
        description="take out of the traces T, P and I_P what repeats every fold px, a grid that unfolding leaves",
    )
    mask_bias: float = Field(-4.0, description="initial logit of the mask P, so that it begins small")
    init: Path | None = Field(
        None, description="folder of a generator of the same shape to go on from, smooth or not; none: from scratch"
    )
    blend: Path | None = Field(
        None,
        description="folder of a generator, usually that of init, of which the finished one is the mean with what was learnt "
        "since (Wortsman et al. 2022)",
    )
    discriminator_width: int = Field(64, ge=4, description="channels of the discriminators' first layers")
    discriminator_rate: float = Field(0.5, gt=0, description="learning rate of the discriminators, of the generator's")
    regularise_live: float = Field(10.0, ge=0, description="weight of the square of traces of live faces (L_R)")
    regularise_spoof: float = Field(1e-4, ge=0, description="the same of spoofs")
    mask_weight: float = Field(1.0, ge=0, description="weight of the mask's prior (L_P)")
    gan_weight: float = Field(5.0, ge=0, description="weight of the verdicts of the discriminators (L_G)")
    depth_weight: float = Field(10.0, ge=0, description="weight of the depth (L_depth)")
    trace_weight: float = Field(10.0, ge=0, description="weight of traces found again in synthesised spoofs (L_S)")
    harder_weight: float = Field(1.0, ge=0, description="weight of the depth of synthesised spoofs (L_H)")
    harder_share: float = Field(0.5, ge=0, le=1, description="share of synthesised spoofs whose traces are weakened at random")
    paired_weight: float = Field(
        0.0,
        ge=0,
        description="weight of L1 between a spoof's live counterpart and the live face that it was made of, where that is "
        "known, over the three bands; 0: as the paper has it, which knows no pairs",
    )
    landmarks: Source = Field(
        "dense",
        description="what depth, regions of attacks and the warp of traces follow: dense, a mesh of 468 points with depth in "
        "each crop, and where it has none what detected takes, five points that align's RetinaFace finds; or the template, "
        "which is the same for all",
    )
    template: str = Field("arcface", description="template of the crops, which also stands in where no face is found")

    @field_validator("batch")
    @classmethod
    def _halves(cls, value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd; half of a batch is live")
        return value


STDN = TrainingSpec(
    "stdn",
    "STDN+: spoof traces, against four discriminators",
    StdnTraining,
    "fasgen.stages.stdn.train_stdn:task",
)
