"""Configuration and specification of lgsc."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from fasgen.marks import Term
from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.stages.settings import CHOICE, Selected, few_rows
from fasgen.stages.stage import PICTURE, Cue, Reads, StageSpec
from fasgen.stages.weights import embedded

FULL = 32767
"""The integer that stands for 1."""


class LgscConfig(Selected):
    """Which network draws the spoof cue map of a face (LGSC), and of which faces."""

    LATER: ClassVar[frozenset[str]] = CHOICE

    enabled: bool = Field(False, description="false leaves the stage out of runs, and its cue out of the shards")
    weights: str = Field("embedded", description="'embedded', or a folder that `fasgen train lgsc` wrote")
    overlay: bool = Field(False, description="store a picture too, in which the cue's magnitude is laid over the crop in red")
    batch: int = Field(32, ge=1, le=1024, description="samples a network call")
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 on CUDA, fp32 elsewhere")


def weights_folder(weights: str) -> Path:
    """Where weights named in a configuration lie."""
    return embedded("lgsc") if weights == "embedded" else located(weights)


_CARD = """\
`lgsc` is the spoof cue map of LGSC (range -32767 to 32767): the tanh of a generator that was taught to draw nothing on live
faces, times 32767 and rounded; divide by 32767 to have it back. Its mean absolute value is the score in each sample's JSON,
high for a spoof."""

_TERMS: dict[str, Term] = {"lgsc_overlay": "compositeWithTrainedAlgorithmicMedia"}

SPEC = StageSpec(
    name="lgsc",
    summary="spoof cue map of each crop by the generator of LGSC, and its mean magnitude as a score",
    version=1,
    reads=(Reads(PICTURE, images=("crop",)),),
    config=LgscConfig,
    factory="fasgen.stages.lgsc.stage:build",
    columns=(
        Column("lgsc_score", "float32", "mean |cue| over pixels and channels; higher is more like a spoof", "[0, 1]", "spoof"),
    ),
    images=("lgsc_overlay",),
    arrays=(
        Cue(
            "lgsc",
            "int16",
            "spoof cue map, H x W x 3; value / 32767 is the generator's tanh, in [-1, 1], 0 for live",
            one=FULL,
            card=_CARD,
            columns=("lgsc_score",),
        ),
    ),
    weights=lambda config: {"lgsc": weights_folder(config.weights)} if config.enabled else {},
    batch=lambda config: config.batch,
    device="accelerator",
    off=lambda config: not config.enabled,
    synthetic=lambda config: _TERMS,
    remedies={
        Reason.NOT_FINITE: "the network gives no finite numbers: set lgsc.dtype=fp32, or give other lgsc.weights",
        **few_rows("lgsc"),
    },
)
