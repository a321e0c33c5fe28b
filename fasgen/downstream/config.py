"""Settings of an experiment: what is trained on which shards, under which protocol, and how it is scored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fasgen.training.config import Compile, LoopConfig, Schedule

IMAGE = "image"
"""Name in ``data.cues`` of the image itself: a second input without a cue."""

EFFICIENTNET = "efficientnet-lite0"
"""The backbone whose ImageNet weights a package carries."""

Backbone = Literal[
    "resnet18",
    "resnet18-small",
    "resnet18-tiny",
    "vit-b16",
    "vit-small",
    "vit-tiny",
    "mobilevit-s",
    "mobilevit-xs",
    "mobilevit-xxs",
    "efficientnet-lite0",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Frozen):
    """Packed shards, and how their samples become tensors."""

    shards: tuple[Path, ...] = Field(min_length=1, description="folders that pack wrote, or shards")
    where: str | None = Field(
        default=None,
        description="an SQL expression that samples must pass, as `fasgen show` has it, over what their JSON says: provenance, "
        "geometry, quality and synthesis",
    )
    video: str | None = Field(
        default=None,
        description="what stills are frames of, for scores by video: folder, the folder that they lie in, or a regular "
        "expression that is searched in their path and whose match names the clip; null: what their source named as video",
    )
    identities: Path | None = Field(
        default=None, description="table that `fasgen cluster` wrote: subjects of samples whose data set names none"
    )
    size: int = Field(default=224, ge=16, le=1024, description="side to which images and cues are resized, px")
    cues: tuple[str, ...] | None = Field(
        default=None,
        description="cues by name; they are stacked as channels. null: every one that all samples have. image: no cue but the "
        "image itself, scaled as they are, by which to tell what a cue brings from what a second network does",
    )
    cue_scale: Literal["standardised", "signed"] = Field(
        default="standardised", description="standardised: per image, as AG-FAS; signed: over the number that stands for 1"
    )
    mask: Literal["none", "cues", "all"] = Field(
        default="none",
        description="what is 0 outside of the face, an ellipse by its five landmarks: nothing, the cues, or the image too",
    )
    keep: bool = Field(default=False, description="keep decoded samples in memory as float32; for small sets")
    workers: int = Field(default=0, ge=0, description="processes that read")
    flip: float = Field(default=0.5, ge=0, le=1, description="probability of mirroring image and cues together")
    degrees: float = Field(default=0.0, ge=0, le=180, description="rotation of both, uniform up to this")
    scale: tuple[float, float] = Field(default=(1.0, 1.0), description="magnification of both, uniform in this range")
    shift: float = Field(default=0.0, ge=0, lt=1, description="displacement of both, share of the side")

    @field_validator("video")
    @classmethod
    def _is_a_rule(cls, video: str | None) -> str | None:
        try:
            re.compile(video or "")
        except re.error as error:
            raise ValueError(f"{video!r} is neither folder nor a regular expression: {error}") from None
        return video

    def clip(self, path: str, frame: int, named: str = "") -> str:
        """The clip that a sample is a frame of; empty for a still that is of none.

        Args:
            path: inside its source.
            frame: of its video; negative for a still.
            named: the video that its source names.
        """
        if frame >= 0:
            return path
        if self.video is None:
            return named
        if self.video == "folder":
            return path.rpartition("/")[0]
        found = re.search(self.video, path)
        return found[0] if found else ""


class ProtocolConfig(_Frozen):
    """Who is trained on and who is tested. Synthetic samples are trained on only, and never across the cut."""

    kind: Literal["leave_one_out", "folds", "splits"] = Field(
        default="leave_one_out",
        description="leave_one_out: each domain is the target once; folds: contiguous parts of each domain and label, by path; "
        "splits: the samples' own split, train, dev and test. The first two are cuts of these data and no published protocol, "
        "whatever the data sets: for those, give name instead",
    )
    name: str = Field(
        default="",
        description="in place of kind a published protocol (oulu-1), a fold of one (oulu-3/2), or all folds of one (oulu-3, "
        "ocim), as `fasgen protocol` wrote them",
    )
    store: Path | None = Field(
        default=None, description="with name: the store with the row sets; null: the one in which the first of data.shards lies"
    )
    by: Literal["dataset", "domain", "device", "subject"] = Field(
        default="dataset", description="column whose values are domains"
    )
    targets: tuple[str, ...] = Field(default=(), description="leave_one_out: targets that are run; empty: all")
    sources: tuple[str, ...] = Field(default=(), description="domains that take part at all; empty: all")
    folds: int = Field(default=5, ge=2, le=100, description="folds: how many")
    dev_share: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of what is trained on that is held out as dev, for threshold and step of the realistic figures, "
        "where the protocol has no dev of its own; 0: none, and then there are no realistic errors",
    )
    dev_from: Literal["subjects", "tails"] = Field(
        default="subjects",
        description="subjects: drawn by subject (samples without one, by id); tails: the last samples of each domain and "
        "label, by path, where subjects are few or unknown: neighbours by path are often one person or one video",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ProtocolConfig:
        if self.name and "kind" in self.model_fields_set:
            raise ValueError(f"name is that of a published protocol, and kind is {self.kind}: leave one of them out")
        return self


class ModelConfig(_Frozen):
    """The network, and how it uses the cue."""

    use: Literal["image", "cue", "two_branch", "cross_attention"] = Field(
        default="cross_attention",
        description="cue: the cue alone; two_branch: features of both side by side; cross_attention: OA-Net (needs a vit)",
    )
    backbone: Backbone = Field(default="vit-b16", description="of the image, or of the cue where it is alone")
    cue_backbone: Backbone = Field(
        default="resnet18", description="of the cue beside the image; of cross_attention a resnet, of whose map it takes tokens"
    )
    pretrained: Path | None = Field(
        default=None,
        description="state dict for the backbone (safetensors, or torch weights only), with timm's or torchvision's names",
    )
    cue_pretrained: Path | None = Field(
        default=None, description="state dict for the cue's backbone; layer4 of a resnet stays random, as in OA-Net"
    )
    imagenet: bool = Field(
        default=False, description="begin efficientnet-lite0 from the ImageNet weights that the extra fasgen[backbone] carries"
    )
    embedding: int = Field(default=512, ge=2, description="width of the embedding")
    normalise: Literal["unit", "ssdg"] = Field(
        default="unit",
        description="unit: length 1, cosine logits; ssdg: over sqrt(2 |f|), weights of length 1 along the classes",
    )
    scale: float = Field(default=16.0, gt=0, description="of the cosine logits (unit)")


class LossConfig(_Frozen):
    """Losses of the method ``fas``."""

    kind: Literal["softmax", "focal", "asymmetric", "rq", "ssdg"] = Field(
        default="ssdg",
        description="softmax: cross entropy; focal: less of what is easy; asymmetric: margins in the cosine, larger for live "
        "(PatchNet); rq: margins by quality over style classes (DiffFAS); ssdg: a classifier, asymmetric triplets and a "
        "single-side adversary. With several GPUs, losses that compare samples see those of all",
    )
    classifier: Literal["softmax", "focal", "asymmetric", "rq"] = Field(
        default="softmax", description="ssdg: loss of its classifier"
    )
    gamma: float = Field(default=2.0, ge=0, description="focal: power of one minus the probability; 0 is cross entropy")
    live_margin: float = Field(default=0.4, ge=0, description="asymmetric: margin of live")
    spoof_margin: float = Field(default=0.1, ge=0, description="asymmetric: margin of spoof")
    triplet: float = Field(default=1.0, ge=0, description="weight of the triplets (SSDG 2, AG-FAS 1)")
    margin: float = Field(default=0.1, ge=0, description="of the triplets")
    adversarial: float = Field(default=0.5, ge=0, description="weight of the adversary (SSDG 0.1, AG-FAS 0.5)")
    horizon: int = Field(default=4000, ge=1, description="steps over which the reversed gradient rises")
    styles: Literal["domain", "attack_type", "label"] = Field(
        default="domain",
        description="rq: what a style class is; domain: data set, device and attack, as DiffFAS; attack_type: live and each "
        "attack type over all data sets; label: live and spoof",
    )
    quality: bool = Field(default=True, description="rq: margins follow BRISQUE; false: fixed margins, as CosFace")
    s_live: float = Field(default=0.4, ge=0, le=1, description="rq: margin of live styles")
    s_spoof: float = Field(default=0.2, ge=0, le=1, description="rq: margin of spoof styles")
    m: float = Field(default=32.0, gt=0, description="rq: scale of the logits")

    @property
    def classification(self) -> str:
        """Loss of the classifier, with or without what SSDG adds."""
        return self.classifier if self.kind == "ssdg" else self.kind


class DlifConfig(_Frozen):
    """Settings of the method ``dlif``; weights of its losses are 1 in the paper."""

    contrast: float = Field(default=1.0, ge=0, description="weight of the instance contrast")
    ambiguous: float = Field(default=1.0, ge=0, description="weight of the ambiguity")
    orthogonal: float = Field(default=1.0, ge=0, description="weight of the orthogonality")
    live_margin: float = Field(default=0.4, ge=0, description="margin of live in the liveness head")
    spoof_margin: float = Field(default=0.1, ge=0, description="margin of spoof in the liveness head")
    scale: float = Field(default=30.0, gt=0, description="of both heads' cosine logits")
    tau: float = Field(default=0.07, gt=0, description="temperature of the contrast")
    subjects: int = Field(default=4, ge=1, description="subjects of each data set in a batch")
    live: int = Field(default=4, ge=1, description="live samples of each subject in a batch")
    spoof: int = Field(default=4, ge=1, description="spoof samples of each subject in a batch")


LOOP_IS_TOLD = {"out": "out at the top", "seed": "seeds at the top", "sheet_every": "scoring.looks"}
"""Settings of the loop that follow from others: no file may give them."""


class TrainerLoop(LoopConfig):
    """Settings of the training loop; ``out``, ``seed`` and ``sheet_every`` follow from the experiment."""

    steps: int = Field(default=4000, ge=1, description="optimiser steps")
    batch: int = Field(
        default=60, ge=2, description="samples a step, live and spoof of all domains (dlif: follows from its subjects)"
    )
    lr: float = Field(default=1e-4, gt=0, description="peak learning rate")
    schedule: Schedule = Field(default="cosine", description="after warm-up")
    warmup: int = Field(default=400, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=5e-4, ge=0, description="weight decay")
    ema: float = Field(default=0.0, ge=0, lt=1, description="decay of the averaged weights; 0 keeps the raw ones")
    compile: Compile = Field(
        default="off", description="compile the network; runs are many and short, so that it seldom pays: auto means on a GPU"
    )
    prefetch: int | None = Field(default=0, ge=0, description="stays 0: data.workers read ahead of their step")

    @model_validator(mode="after")
    def _left_to_the_experiment(self) -> TrainerLoop:
        if self.prefetch:
            raise ValueError("loop.prefetch is for trainings on faces in memory: shards are read ahead by data.workers")
        given = sorted(set(LOOP_IS_TOLD) & self.model_fields_set)
        if given:
            raise ValueError(f"loop.{given[0]} is set by the experiment: use {LOOP_IS_TOLD[given[0]]}")
        return self


class ScoringConfig(_Frozen):
    """How the scores become figures."""

    threshold: Literal["dev-eer", "dev-bpcer"] | float = Field(
        default="dev-eer",
        description="of the realistic figures: EER of dev, bpcer of dev, or a fixed threshold; the idealised ones are always "
        "at the target's own EER",
    )
    bpcer: float = Field(default=0.01, gt=0, lt=1, description="dev-bpcer: share of dev's live samples that may be rejected")
    shared: bool = Field(
        default=False, description="one threshold for all folds, from their dev samples together; else each fold has its own"
    )
    looks: int = Field(
        default=10,
        ge=1,
        description="times that dev and target are scored in a training, evenly, its end included: the realistic figures are "
        "those of the step that is best on dev, the idealised ones of that which is best on the target. 1: the end alone",
    )
    level: Literal["video", "frame"] = Field(default="video", description="video: mean over a video's frames")
    bootstrap: int = Field(
        default=1000, ge=0, description="draws for the intervals of AUC, EER, TPR and TDR; 0: none. Those of errors are exact"
    )


class Experiment(_Frozen):
    """One way of training, run over all folds of its protocol and all seeds."""

    method: Literal["fas", "dlif"] = Field(
        default="fas", description="fas: one network, image and cue; dlif: two encoders, image alone"
    )
    out: Path = Field(default=Path("runs/experiment"), description="folder of runs, scores and tables")
    data: DataConfig = Field(description="shards")
    protocol: ProtocolConfig = Field(default_factory=ProtocolConfig, description="who is tested")
    synthetic: float | None = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of synthetic samples among the spoofs of a batch (dlif: of each subject, as far as it has both "
        "kinds); null: as they come",
    )
    mix: dict[str, int] = Field(
        default_factory=dict,
        description="fas: by domain (protocol.by), how many times the samples of another one it gives to a batch; else 1",
    )
    live_only: tuple[str, ...] = Field(
        default=(),
        description="fas: domains that give live samples alone, such as sets without attacks; their spoofs are not drawn",
    )
    model: ModelConfig = Field(default_factory=ModelConfig, description="network")
    loss: LossConfig = Field(default_factory=LossConfig, description="losses of fas")
    dlif: DlifConfig = Field(default_factory=DlifConfig, description="settings of dlif")
    loop: TrainerLoop = Field(default_factory=lambda: TrainerLoop.model_validate({}), description="training loop")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="one run each")
    scoring: ScoringConfig = Field(default_factory=ScoringConfig, description="figures")

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        model = self.model
        vit = model.backbone.startswith("vit")
        if self.method == "fas" and self.model.use == "cross_attention" and not vit:
            raise ValueError(f"model.use=cross_attention needs a vit; model.backbone is {self.model.backbone}")
        if self.method == "fas" and model.use == "cross_attention" and not model.cue_backbone.startswith("resnet"):
            raise ValueError(
                f"model.use=cross_attention needs a resnet for the cue; model.cue_backbone is {model.cue_backbone}"
            )
        if model.imagenet and (model.backbone != EFFICIENTNET or model.pretrained is not None):
            raise ValueError(
                f"model.imagenet is for model.backbone={EFFICIENTNET} without model.pretrained; of others give the file by path"
            )
        if self.method == "fas" and self.model.use != "image" and self.data.cues == ():
            raise ValueError(f"model.use={self.model.use} needs at least one of data.cues")
        if self.method == "fas" and self.model.use == "cue" and set(self.data.cues or ()) == {IMAGE}:
            raise ValueError(
                f"model.use=cue with data.cues=[{IMAGE}] has no cue: take model.use=image for the image alone, two_branch or "
                "cross_attention for the image twice"
            )
        if self.loss.classification == "asymmetric" and model.normalise != "unit":
            raise ValueError("loss asymmetric has its margins in the cosine, which model.normalise=unit gives alone")
        if self.method == "dlif" and (self.mix or self.live_only):
            raise ValueError("mix and live_only are of method=fas: a batch of dlif has so many subjects of each domain")
        if self.method == "dlif" and not model.backbone.startswith("resnet"):
            raise ValueError(f"method=dlif needs a resnet; model.backbone is {self.model.backbone}")
        return self
