"""Configuration of what is trained for lgsc: the spoof cue generator, with the auxiliary classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from fasgen.stages.gallery.training_config import GalleryTraining
from fasgen.training.config import FacesConfig, Schedule, TrainingSpec


class LgscTraining(GalleryTraining):
    """Training of LGSC's generator: cues of live faces are drawn to zero, those of spoofs are left free.

    Sizes, batch, learning rate, its fall by 0.95 every 600 steps, and weights of the losses are the paper's. It warms up in its
    first epoch, whose length it does not say; 1,000 steps are those of the published code.
    """

    faces: FacesConfig = Field(FacesConfig(size=224), description="live faces, and what is simulated from them")
    steps: int = Field(30_000, ge=1, description="optimiser steps")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Schedule = Field("step", description="after warm-up; step falls by decay every decay_every steps")
    warmup: int = Field(1_000, ge=0, description="steps of linear warm-up")
    decay_every: int = Field(600, ge=0, description="schedule=step: steps from one fall to the next")
    decay: float = Field(0.95, gt=0, le=1, description="schedule=step: factor on the learning rate at each fall")
    weight_decay: float = Field(5e-4, ge=0, description="decoupled weight decay (AdamW)")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights; 0 keeps the raw ones")
    stem: int = Field(64, ge=1, description="channels of the encoder's stem")
    widths: tuple[int, ...] = Field((64, 128, 256, 512), description="channels of the encoder's four layers")
    blocks: tuple[int, ...] = Field((2, 2, 2, 2), description="basic blocks of the encoder's layers")
    decoder: tuple[int, ...] = Field((256, 128, 64, 64), description="channels of the first four decoder stages")
    norm: Literal["instance", "batch"] = Field("instance", description="normalisation in the decoder; instance is the paper's")
    kernel: int = Field(7, ge=1, description="side of the stems' convolutions")
    padding: Literal["zeros", "replicate"] = Field(
        "zeros",
        description="what convolutions see beyond the border: zeros (the paper's) lets them tell where it is, and a short "
        "training flags attacks by a strip along it; replicate goes on with the border's pixels",
    )
    classifier_stem: int = Field(64, ge=1, description="channels of the auxiliary classifier's stem")
    classifier_widths: tuple[int, ...] = Field((64, 128, 256, 512), description="channels of its four layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier's last layer")
    init: Path | None = Field(
        None,
        description="state dict of an ImageNet ResNet-18 (safetensors) for encoder and classifier, or the folder of a "
        "generator to go on from; none: from scratch",
    )
    blend: Path | None = Field(
        None,
        description="folder of a generator, usually that of init, of which the finished one is the mean with what was learnt "
        "since (Wortsman et al. 2022)",
    )
    patch: int | None = Field(
        None,
        ge=32,
        description="side of random patches cut from the crops, px (the paper: 224 from crops as filmed); null: whole",
    )
    photometric: float = Field(
        0.2, ge=0, lt=1, description="largest change of brightness, contrast and colour, of live and spoof alike"
    )
    rescale: float = Field(
        0.0, ge=0, le=1, description="share of pictures, live and spoof alike, made smaller and large again, and coded as JPEG"
    )
    regression: float = Field(5.0, ge=0, description="weight of the mean |cue| of live faces")
    triplet: float = Field(1.0, ge=0, description="weight of the triplets, on each of five levels")
    margin: float = Field(0.5, ge=0, description="of the triplets")
    classification: float = Field(5.0, ge=0, description="weight of the classifier's cross-entropy")


SPEC = TrainingSpec("lgsc", "spoof cue generator (LGSC)", LgscTraining, "fasgen.stages.lgsc.train:task")
