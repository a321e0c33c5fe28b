"""Configuration of what is trained for defake: the autoencoder and the De-fake Face Generator's U-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.training.config import FacesConfig, Schedule, StoreTraining, TrainingSpec


class AutoencoderTraining(StoreTraining):
    """Training of a `PatchAutoencoder` on live faces."""

    faces: FacesConfig = Field(FacesConfig(), description="the faces to learn from")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Schedule = Field("cosine", description="after warm-up")
    widths: tuple[int, int] = Field((96, 160), description="channels at 1/4 and at 1/8 of the resolution")
    blocks: int = Field(2, ge=1, le=8, description="residual blocks at each of the two, in encoder and decoder alike")
    latent_channels: int = Field(12, ge=1, le=64, description="channels of the latent")
    latent_noise: float = Field(0.1, ge=0, description="noise on the latents in training, relative to their deviation")
    edge_weight: float = Field(1.0, ge=0, description="weight of the loss on horizontal and vertical differences")
    latent_weight: float = Field(1e-3, ge=0, description="weight of the mean square of the latents, which keeps them bounded")


class DFGTraining(StoreTraining):
    """Training of the De-fake Face Generator (AG-FAS III-B): the U-Net alone; autoencoder and identity network are frozen."""

    faces: FacesConfig = Field(FacesConfig(), description="the faces to learn from")
    autoencoder: str = Field(
        "embedded",
        description="'embedded' (the one of init, where that is a whole folder), or a folder in the diffusers layout holding "
        "the autoencoder",
    )
    identity: str = Field("embedded", description="'embedded', or identity weights by path")
    identity_depth: Literal[18, 34, 50, 100] | None = Field(
        None, description="depth that the identity network must have; null: any"
    )
    init: Path | None = Field(
        None,
        description="what to start from (AG-FAS: Stable Diffusion 1.5): a U-Net's folder, or the whole folder, which brings "
        "its autoencoder too; none: from scratch",
    )
    channels: tuple[int, ...] = Field(
        (320, 640, 1280, 1280), description="width of each level; the default is Stable Diffusion 1.x's"
    )
    attention: tuple[bool, ...] = Field((True, True, True, False), description="cross-attention, per level")
    layers: int = Field(2, ge=1, le=4, description="residual blocks a level")
    heads: int = Field(8, ge=1, description="attention heads")
    condition: int = Field(768, ge=8, description="length of a condition token")
    projection: Literal["pad", "learned"] = Field(
        "pad", description="512 to condition: zeros (AG-FAS), or a learned projection"
    )
    prediction: Literal["epsilon", "v_prediction", "sample"] = Field(
        "epsilon", description="what the network predicts: noise, velocity or clean latents"
    )
    identity_drop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of faces whose identity is withheld, drawn anew at each step: a share makes a generator whose walks "
        "may be guided (Ho and Salimans 2022; defake.guidance), 1 one without identity (an ablation of AG-FAS)",
    )
    t_max: int = Field(1000, ge=1, le=1000, description="noise levels above it are never trained")
    min_snr: float = Field(
        0.0, ge=0, description="cap of the signal-to-noise weight (Hang et al. 2023); 0 leaves the loss plain"
    )
    cache: bool = Field(
        False, description="encode every face once, plain and mirrored, and keep latents and tokens, on the GPU where they fit"
    )
    accumulate: int = Field(
        1, ge=1, description="passes in which a step's batch is taken, for want of memory; what is learned stays the same"
    )
    checkpointing: bool = Field(
        False,
        description="compute the U-Net's activations anew in the backward pass: about a third slower, in far less memory",
    )


AUTOENCODER = TrainingSpec(
    "autoencoder", "autoencoder of live faces, for latents", AutoencoderTraining, "fasgen.stages.defake.train_autoencoder:task"
)
DFG = TrainingSpec("dfg", "De-fake Face Generator (AG-FAS)", DFGTraining, "fasgen.stages.defake.train_dfg:task")
