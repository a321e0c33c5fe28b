"""Settings of the one training loop, and the literal dict of what can be trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fasgen.selection.selection import Selection, Selector

Schedule = Literal["constant", "cosine", "step"]
"""How the learning rate goes on after warm-up."""

Compile = Literal["auto", "on", "off", "graphs"]
"""Whether steps are compiled."""


class LoopConfig(BaseModel):
    """Settings of the loop, common to every network.

    The defaults of the optimiser are AG-FAS's (Adam, learning rate 1e-5, weight decay 0.01, betas 0.9 and 0.999, batch 32,
    150,000 steps, EMA 0.9999).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path = Field(Path("runs/train"), description="folder for checkpoints, curve, sheets and the finished weights")
    steps: int = Field(150_000, ge=1, description="optimiser steps")
    batch: int = Field(32, ge=1, description="samples per step over all ranks together")
    lr: float = Field(1e-5, gt=0, description="peak learning rate")
    schedule: Schedule = Field("constant", description="after warm-up; step falls by decay every decay_every steps")
    warmup: int = Field(0, ge=0, description="steps of linear warm-up")
    decay_every: int = Field(
        0, ge=0, description="schedule=step, which needs it: steps from one fall to the next, counted from the end of warm-up"
    )
    decay: float = Field(0.1, gt=0, le=1, description="schedule=step: factor on the learning rate at each fall")
    optimiser: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="adam: weight decay is part of the gradient, not beside it; sgd takes its momentum from the first of betas",
    )
    betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the optimiser's moments")
    weight_decay: float = Field(0.01, ge=0, description="weight decay; decoupled with adamw")
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    ema: float = Field(0.9999, ge=0, lt=1, description="decay of the averaged weights; 0 keeps the raw ones")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device computes in it")
    compile: Compile = Field(
        "auto",
        description="compile forward pass, loss and backward pass, which takes a minute or more at the start; auto: on a GPU; "
        "graphs: on, and replayed as CUDA graphs",
    )
    threads: int = Field(0, ge=0, description="CPU threads a rank; 0 leaves torch's choice")
    prefetch: int | None = Field(
        None,
        ge=0,
        le=64,
        description="threads that make batches ahead of their step; 0 none; null: 4 on a GPU where batches need the host, or 0",
    )
    stored: Literal["fp32", "fp16"] = Field("fp32", description="precision in which the finished weights are written")
    seed: int = Field(0, description="seed of shuffles, mirrors, noise and initial weights")
    log_every: int = Field(50, ge=1, description="steps between points of the curve")
    checkpoint_every: int = Field(1_000, ge=1, description="steps between checkpoints")
    sheet_every: int = Field(5_000, ge=1, description="steps between validations and sheets of samples")
    minutes: float = Field(
        0, ge=0, description="stop after so long; cosine then falls by the time, step by steps still. 0: by steps alone"
    )

    @model_validator(mode="after")
    def _falls_are_known(self) -> LoopConfig:
        if self.schedule == "step" and not self.decay_every:
            raise ValueError("schedule=step needs decay_every, the steps from one fall of the learning rate to the next")
        return self


class StoreTraining(LoopConfig):
    """A training that may learn from the crops of stores, and which of their rows it takes."""

    where: str | None = Field(
        None,
        description="of a store, an SQL expression that rows must pass, over the columns of its crops, as `fasgen show` has it",
    )
    protocol: str | None = Field(
        None,
        description="of a store, the rows on the train side of this protocol, or of one fold, NAME/FOLD, as `fasgen protocol` "
        "wrote them there; null: by split",
    )
    splits: tuple[Literal["train", "dev", "test"], ...] = Field(
        ("train",),
        description="of a store, the splits that are learnt from where no protocol is named; rows without a split are taken "
        "too; empty: all",
    )

    def selector(self) -> Selector:
        """What chooses the rows of stores."""
        return Selector(Selection(self.where, self.protocol, splits=self.splits))


class FacesConfig(BaseModel):
    """Where the aligned live faces lie, and which of them are held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=None,
        description="folder of aligned live faces, <subject>/<name>.jpg or flat, or a store (its live crops); required",
    )
    size: int = Field(
        default=224, ge=32, le=1024, description="side, px; images of other sizes are resized with area averaging"
    )
    holdout: tuple[str, ...] = Field(default=(), description="subjects (names of folders) that are never trained on")
    holdout_share: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="share held out by hash of the name, where no subjects are named, and a few at least where there are "
        "enough: curve and sheets show them; 0 holds out none",
    )
    max_yaw: float | None = Field(
        default=None,
        gt=0,
        le=90,
        description="of a store, largest turn to the side, degrees; null takes any. AG-FAS trains its generator on faces that "
        "are not turned away, without a figure; 30 is usual",
    )
    max_pitch: float | None = Field(default=None, gt=0, le=90, description="of a store, largest nod, degrees; null takes any")
    min_sharpness: float | None = Field(
        default=None, ge=0, description="of a store, lowest sharpness (align's column), squared levels; null takes any"
    )
    flip: bool = Field(default=True, description="train on mirror images as well")


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """A network that ``fasgen train`` knows.

    Attributes:
        name: name on the command line.
        summary: one line of help.
        config: its configuration class, a subclass of `LoopConfig`.
        factory: ``module:attribute`` of ``factory(config, device) -> Task``.
    """

    name: str
    summary: str
    config: type[LoopConfig]
    factory: str


TRAININGS: dict[str, str] = {
    "identity": "fasgen.stages.identify.training_config:SPEC",
    "autoencoder": "fasgen.stages.defake.training_config:AUTOENCODER",
    "dfg": "fasgen.stages.defake.training_config:DFG",
    "style": "fasgen.stages.synth.difffas.training_config:STYLE",
    "difffas": "fasgen.stages.synth.difffas.training_config:DIFFFAS",
    "lgsc": "fasgen.stages.lgsc.training_config:SPEC",
    "stdn": "fasgen.stages.stdn.training_config:STDN",
}
"""Name to ``module:attribute`` of its `TrainingSpec`."""


@cache
def _load(target: str) -> TrainingSpec:
    module, _, attribute = target.partition(":")
    spec: TrainingSpec = getattr(import_module(module), attribute)
    return spec


def trainings() -> dict[str, TrainingSpec]:
    """All trainings by name; imports no torch."""
    return {name: _load(target) for name, target in TRAININGS.items()}
