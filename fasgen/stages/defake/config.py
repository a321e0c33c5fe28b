"""Configuration and specification of defake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.remote.setting import Place
from fasgen.stages.compiled import Setting
from fasgen.stages.settings import AUTO_BATCH, CHOICE, Batch, Selected, batch_size, few_rows, wrong_size
from fasgen.stages.stage import PICTURE, ArrayField, Cue, Reads, StageSpec
from fasgen.stages.weights import embedded


class DefakeConfig(Selected):
    """How the real version of each face is made (AG-FAS III-B), and of which.

    By default the mean of four walks of ten calls, which costs about what the one walk of 41 of the paper does. Beside the
    image, its cue told attacks better where a detector was trained on one data set and tested on another, and as well elsewhere
    (`docs/sampling.md`); `preset=agfas` has the walk of the paper.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"guidance"}) | CHOICE

    weights: str = Field(
        "embedded", description="'embedded', or a folder in the diffusers layout of Stable Diffusion 1.x's shape"
    )
    unet: Place | None = Field(
        None, description="another U-Net's folder, for example AG-FAS's unet_ema; null: the one in weights"
    )
    t: int = Field(
        800, ge=0, le=1000, description="strength: the noise level from which the face is made anew; 0 leaves it as it is"
    )
    calls: int = Field(10, ge=1, le=1000, description="network calls of a walk, on a grid that begins exactly at t")
    sampler: Literal["ddim", "dpmpp_2m"] = Field(
        "ddim", description="way of walking: ddim (AG-FAS), or DPM-Solver++(2M), which comes as near in fewer calls"
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=20,
        description="weight of the identity in each call: the prediction without it, plus so much of what it changes (Ho and "
        "Salimans 2022, w + 1). 1: the face's own, in one pass (AG-FAS); 0: none; others take two passes a call. Other than 1 "
        "is for weights that learnt with identities withheld (identity_drop of `fasgen train dfg`)",
    )
    spacing: Literal["even", "quadratic"] = Field(
        "even", description="strides of the grid: all alike, or shorter the nearer to the clean face"
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="AG-FAS's grid in place of calls and spacing: grid points over 0..1000, shifted by one, of which those up "
        "to t are walked (50 and t = 800: 41 calls from 801 on); null: the exact grid",
    )
    draws: int = Field(
        4, ge=1, le=64, description="noise draws a face; the residual is that of their mean (AG-FAS: 1). They share a batch"
    )
    deviation: bool = Field(False, description="store how much the draws deviate from each other, pixel by pixel")
    batch: Batch = Field(
        "auto",
        description="faces a call, each with all of its draws; auto: what the GPU at hand is fastest with, measured once and "
        f"recorded, {AUTO_BATCH} on CPUs",
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16", "fp8"] = Field(
        "auto",
        description="auto: bf16 on CUDA, fp32 elsewhere; fp8: bf16, but the U-Net's linear layers and 1 x 1 convolutions "
        "multiply in eight bits, on GPUs of compute capability 8.9 and above (on a CPU it is emulated, slowly, to see what it "
        "costs)",
    )
    compile: Setting = Field(
        "auto",
        description="compiled networks; auto: on CUDA; max: kernels chosen by timing, which another machine may choose "
        "otherwise",
    )
    any_size: bool = Field(False, description="allow crops of another size than the U-Net was trained on")
    reconstruction: bool = Field(
        False, description="store the reconstruction as an image too (crop - residual gives it anyway)"
    )

    @field_validator("steps")
    @classmethod
    def _divides(cls, value: int | None) -> int | None:
        if value and 1000 % value:
            raise ValueError(f"{value} does not divide 1000; take for example 20, 25, 40, 50 or 100")
        return value


def model_folder(config: DefakeConfig) -> Path:
    """Folder of the generator: the embedded one, or the one given."""
    return embedded("dfg") if config.weights == "embedded" else located(config.weights)


def unet_folder(config: DefakeConfig) -> Path:
    """Folder of the U-Net: the generator's, or another."""
    return model_folder(config) / "unet" if config.unet is None else located(str(config.unet))


def _weights(config: DefakeConfig) -> dict[str, Path]:
    folder = model_folder(config)
    parts = {part: folder / part for part in ("vae", "scheduler")}
    parts["unet"] = unet_folder(config)
    if (folder / "projection").is_dir():
        parts["projection"] = folder / "projection"
    return parts


def trained_size(config: DefakeConfig) -> int | None:
    """Side of the crops that the U-Net was trained on, px; ``None`` where it takes any.

    Generators that were trained here say so. What a folder of Stable Diffusion says is the size of pictures from words; as a
    start for faces it is used at others (AG-FAS: 224 px).
    """
    folder = model_folder(config)
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
        size = json.loads((unet_folder(config) / "config.json").read_text("utf-8")).get("sample_size")
        vae = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
    except (OSError, ValueError, AttributeError):
        # Weights that cannot be read are refused where they are loaded, with what is wrong with them.
        return None
    if index.get("_class_name") != "DeFakeFaceGenerator" or config.unet is not None or not isinstance(size, int):
        return None
    return size * (2 ** (len(vae["block_out_channels"]) - 1) if "block_out_channels" in vae else 8)


IDENTITY_DROP = "_identity_drop"
"""Key of a U-Net's ``config.json``: the share of faces whose identity was withheld where it learnt. diffusers reads no key that
begins so, and a U-Net that says nothing has always met them."""


def identity_drop(unet: Path) -> float:
    """What the folder of a U-Net says of the share of faces whose identity was withheld in its training, 0 to 1."""
    try:
        found = json.loads((unet / "config.json").read_text("utf-8")).get(IDENTITY_DROP, 0.0)
        return min(max(float(found), 0.0), 1.0)
    except (OSError, ValueError, TypeError, AttributeError):
        # Weights that cannot be read are refused where they are loaded.
        return 0.0


def unguided(config: DefakeConfig) -> str:
    """Why these weights cannot be guided as ``guidance`` asks; empty where they can."""
    drop = identity_drop(unet_folder(config))
    if config.guidance == 1 or 0 < drop < 1:
        return ""
    why = "have never learnt without an identity" if not drop else "know no identity that they could be guided by"
    return (
        f"defake.guidance={config.guidance:g}: these weights {why}; leave it at 1, or give defake.weights that "
        "`fasgen train dfg` made with a share as identity_drop"
    )


def refusal(config: DefakeConfig, others: Mapping[str, Any]) -> str:
    """Why the crops of this run cannot be de-faked by these weights; empty where they can."""
    if wrong := unguided(config):
        return wrong
    size = getattr(others.get("align"), "size", None)
    return "" if size is None else wrong_size((size, size), trained_size(config), "defake", "weights", config)


_CARD = """\
`residual` is the anomalous cue of AG-FAS, kept raw: `image - reconstruction`, per pixel and channel, in signed 8-bit levels
(range -255 to 255). The reconstruction is what a generator trained on live faces alone makes of the image; it is
`image - residual`, bit for bit. AG-FAS standardises the cue per image (minus mean, over standard deviation + 1e-8), which
removes its magnitude. Here mean, standard deviation, mean absolute value and energy in the face are in each sample's JSON, so a
reader can standardise or not."""

SPEC = StageSpec(
    name="defake",
    summary="the real version of each face by latent diffusion, and the residual cue",
    version=3,
    reads=(
        Reads("identify", arrays=("identity_map",)),
        Reads(PICTURE, images=("crop",)),
        Reads("align", columns=("landmarks", "transform")),
    ),
    config=DefakeConfig,
    factory="fasgen.stages.defake.stage:build",
    columns=(
        Column("residual_mean", "float32", "mean of the residual over pixels and channels", "levels"),
        Column("residual_std", "float32", "standard deviation of the residual over pixels and channels", "levels"),
        Column("residual_abs_mean", "float32", "mean absolute residual", "levels", "spoof"),
        Column("residual_energy_face", "float32", "mean square of the residual inside the face ellipse", "levels^2", "spoof"),
        Column("t", "int32", "noise level from which the face was to be made anew", "[0, 1000]"),
        Column("start", "int32", "time step at which the walk began; null for t = 0", "[0, 999]"),
        Column("calls", "int32", "network calls of each draw; of a guided one each is two passes"),
        Column("draws", "int32", "noise draws whose mean the reconstruction is"),
        Column("draw_deviation", "float32", "mean standard deviation over the draws; null for one draw", "levels"),
    ),
    images=("reconstruction",),
    arrays=(
        Cue(
            "residual",
            "int16",
            "crop - reconstruction, H x W x 3 RGB, signed 8-bit levels, exact",
            one=127.5,
            card=_CARD,
            leaves="reconstruction",
            columns=("residual_mean", "residual_std", "residual_abs_mean", "residual_energy_face", "t", "calls"),
        ),
        ArrayField("deviation", "float16", "standard deviation over the draws, H x W x 3 RGB, levels"),
    ),
    weights=_weights,
    batch=batch_size,
    device="accelerator",
    synthetic=lambda config: {"reconstruction": "compositeWithTrainedAlgorithmicMedia"},
    refusal=refusal,
    rehearse="fasgen.stages.defake.stage:rehearse",
    remedies={
        Reason.NOT_FINITE: "the network gives no finite numbers: set defake.dtype=fp32, or give other defake.weights",
        **few_rows("defake"),
    },
)
