"""Configuration and specification of synth."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fasgen.marks import Term
from fasgen.records import Column, Reason
from fasgen.remote.cache import located
from fasgen.stages.compiled import Setting
from fasgen.stages.physical.config import ATTACK_TYPE, PhysicalConfig
from fasgen.stages.settings import AUTO_BATCH, Batch, Selected, batch_size, wrong_size
from fasgen.stages.stage import Reads, Roster, StageSpec
from fasgen.stages.stdn.config import size_in, weights_folder
from fasgen.stages.weights import embedded

SIMULATED_DEVICE = "simulated"
"""Capture device in the style key of what was simulated."""


def simulated_key(style: str) -> str:
    """Style key of a style of the physical simulation."""
    return f"physical|{SIMULATED_DEVICE}|{style}"


def attack_types() -> dict[str, str]:
    """Attack type by style of the physical simulation."""
    return dict(ATTACK_TYPE)


class SynthConfig(Selected):
    """How live faces become spoof faces (DiffFAS, STDN+, or a simulation), and in which styles.

    ``where`` and ``protocol`` choose who may be a face and who a guide: crops that pass, and those on the train side.

    The default strengths suit the embedded network, which learnt to start from far up and to arrive in few calls: a long walk
    down leaves noise in its faces. The paper takes t = 250, gamma = 2 and 25 calls.
    """

    method: Literal["difffas", "physical", "stdn"] = Field(
        "difffas",
        description="difffas: diffusion takes the style from a guide; stdn: the guide's spoof traces are laid over the live "
        "face (STDN+); physical: prints and replays are simulated, without one",
    )
    variants: int = Field(1, ge=0, le=64, description="spoofs of each live face; 0 switches synthesis off")
    plan: Literal["balanced", "all", "cross_domain", "cross_attack", "fill"] = Field(
        "balanced",
        description="which styles a face meets: balanced over attack types; all of them, once each, whatever variants says; "
        "cross_domain: of another data set or camera; cross_attack: of attack types that its subject has no picture of; "
        "fill: of its own data set, what its subject lacks",
    )
    pool: Literal["auto", "real", "simulated", "both"] = Field(
        "auto",
        description="where styles come from: real attacks among the sources, simulated ones (their guides are other people's "
        "live faces, spoofed by the simulation), or both; auto: real where there are any that the weights know",
    )
    styles: tuple[str, ...] = Field((), description="patterns (*, ?, [...]) one of which a style key must match; empty: any")
    unseen: Literal["reject", "mark"] = Field(
        "reject", description="styles that the weights were not trained on: left out, or taken and marked in style_seen"
    )
    weights: str = Field("embedded", description="'embedded', or a folder that `fasgen train difffas` wrote")
    t: tuple[int, int] = Field((400, 600), description="range of the strength t, 0 to 1000, drawn for each spoof")
    gamma: tuple[float, float] = Field((1.5, 2.5), description="range of the guidance gamma, drawn for each spoof")
    guided: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the calls, the last ones, that are guided: two passes in one batch, with the style and without; "
        "those before make the pass with it alone, since guidance does little where noise is high (Kynkäänniemi et al. 2024)",
    )
    steps: int = Field(3, ge=1, le=1000, description="network calls a spoof")
    sampler: Literal["ddim", "dpmpp_2m", "ddpm"] = Field(
        "ddim", description="way of walking: ddim, DPM-Solver++(2M), or ddpm, which draws noise on its way down"
    )
    spacing: Literal["even", "quadratic"] = Field(
        "even", description="strides of the grid: all alike, or shorter the nearer to the clean face"
    )
    batch: Batch = Field(
        "auto",
        description="faces a call, of method difffas each with both of its passes; auto: what the GPU at hand is fastest with, "
        f"measured once and recorded, {AUTO_BATCH} on CPUs",
    )
    dtype: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 on CUDA, fp32 elsewhere")
    compile: Setting = Field(
        "auto",
        description="of method difffas: compiled networks; auto: on CUDA; max: kernels chosen by timing, which another machine "
        "may choose otherwise",
    )
    stdn_weights: str = Field("embedded", description="of method stdn: 'embedded', or a folder that `fasgen train stdn` wrote")
    trace_strength: tuple[float, float] = Field(
        (1.0, 1.0), description="of method stdn: range of the factor on the guide's traces, drawn for each spoof"
    )
    any_size: bool = Field(False, description="allow crops of another size than the network was trained on")
    physical: PhysicalConfig = Field(
        default_factory=lambda: PhysicalConfig.model_validate({}), description="ranges of the physical simulation"
    )

    @field_validator("t")
    @classmethod
    def _levels(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= value[0] <= value[1] <= 1000:
            raise ValueError(f"{list(value)} is no range within 0 to 1000; give the lower end first")
        return value

    @field_validator("gamma", "trace_strength")
    @classmethod
    def _strengths(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] <= 100:
            raise ValueError(f"{list(value)} is no range within 0 to 100; give the lower end first")
        return value

    @model_validator(mode="after")
    def _guidance(self) -> Self:
        if self.guided < 1 and self.gamma[0] < 1 and self.gamma[1] > 0:
            raise ValueError(
                f"guided is {self.guided:g}, but gamma may be {self.gamma[0]:g}: the calls that are not guided have the whole "
                "style, which a gamma below 1 weakens; set guided to 1, or gamma to 1 and above"
            )
        return self


def model_folder(weights: str) -> Path:
    """Folder of a DiffFAS model: the embedded one, or the one given."""
    return embedded("difffas") if weights == "embedded" else located(weights)


def known_styles(config: SynthConfig) -> frozenset[str] | None:
    """Style keys that the weights were trained on; ``None`` without weights, or where they do not say."""
    if config.method != "difffas":
        return None
    path = model_folder(config.weights) / "style_encoder" / "config.json"
    try:
        styles = json.loads(path.read_text("utf-8"))["styles"]
    except (OSError, ValueError, KeyError):
        # Weights that cannot be read are refused where they are loaded, with what is wrong with them.
        return None
    return frozenset(map(str, styles))


def _weights(config: SynthConfig) -> dict[str, Path]:
    if config.method == "physical" or not config.variants:
        return {}
    if config.method == "stdn":
        return {"generator": weights_folder(config.stdn_weights), "mesh": embedded("facemesh")}
    folder = model_folder(config.weights)
    return {part: folder / part for part in ("unet", "style_encoder", "scheduler")}


def trained_size(config: SynthConfig) -> int | None:
    """Side of the crops that the method's network was trained on, px; ``None`` where it takes any."""
    if config.method == "physical":
        return None
    return size_in(weights_folder(config.stdn_weights) if config.method == "stdn" else model_folder(config.weights) / "unet")


def refusal(config: SynthConfig, others: Mapping[str, Any]) -> str:
    """Why nothing can be made of the crops of this run by these weights; empty where it can."""
    size, key = getattr(others.get("align"), "size", None), "stdn_weights" if config.method == "stdn" else "weights"
    return "" if size is None else wrong_size((size, size), trained_size(config), "synth", key, config)


def style_refusal(config: SynthConfig, real: Collection[str]) -> str:
    """Why there is no style, of the sources or simulated, as this configuration asks for; empty where each pattern has one."""
    simulated = set(map(simulated_key, attack_types()))
    keys = set(real) if config.method != "physical" and config.pool in {"auto", "real", "both"} else set()
    if config.method == "physical" or config.pool in {"simulated", "both"} or (config.pool == "auto" and not keys):
        keys |= simulated
    if not keys:
        return "synth: synth.pool is real, but no source has a spoof file: add one, or set synth.pool=simulated"
    for pattern in config.styles:
        if not any(fnmatchcase(key, pattern) for key in keys):
            near = f"; simulated ones count with synth.pool=both ({config.pool}: real ones, where there are any)"
            hint = near if any(fnmatchcase(key, pattern) for key in simulated) else ""
            named = ", ".join(sorted(keys)[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
            return f"synth: the pattern {pattern!r} of synth.styles matches no style{hint}. Styles: {named}"
    return ""


_NAMED = 12
"""Styles that a message names."""

_TERMS: dict[str, Term] = {
    "difffas": "compositeWithTrainedAlgorithmicMedia",
    "stdn": "compositeWithTrainedAlgorithmicMedia",
    "physical": "compositeSynthetic",
}

ROSTER = Roster(
    source="align",
    draw="fasgen.stages.synth.roster:draw",
    columns=(
        Column("style", "string", "style key: data set | capture device | attack type"),
        Column("simulation", "string", "style of the physical simulation; null where the style is real"),
        Column("guide_unit", "int32", "unit of the guide at align; null without a guide"),
        Column("guide_row", "int32", "row of the guide at align; null without a guide"),
    ),
    variants=lambda config: config.variants,
    notes="fasgen.stages.synth.roster:notes",
)

REMEDIES: dict[Reason | None, str] = {
    None: "no row is labelled live, and spoofs are made of live faces: a source's pattern, table or label says which are",
    Reason.UNKNOWN_STYLE: "the styles of your attacks are unknown to these weights: synth.pool=simulated makes simulated "
    "styles now; `fasgen train style` and `fasgen train difffas` with pairs.path=STORE learn yours, for synth.weights",
    Reason.GUIDE: "no picture of another person shows the style in a split that may serve these faces: give attacks on more "
    "people, or of the same split (rows without one count as train), or take synth.pool=simulated",
    Reason.NO_STYLE: "no style is left for these faces: loosen synth.styles or synth.plan, or take synth.pool=both",
    Reason.NOT_FINITE: "the network gives no finite numbers: set synth.dtype=fp32, or give other synth.weights",
}

SPEC = StageSpec(
    name="synth",
    summary="spoof faces of live people: DiffFAS in the style of a guide, its traces by STDN+, or a physical simulation",
    version=6,
    reads=(Reads("align", images=("crop",), columns=("landmarks", "transform")),),
    config=SynthConfig,
    factory="fasgen.stages.synth.stage:build",
    columns=(
        Column("method", "string", "difffas, stdn, or physical (a simulation, not a recording)"),
        *ROSTER.columns,
        Column("place", "int32", "rank among the unit's planned variants; decides batch and slot"),
        Column("style_seen", "bool", "whether DiffFAS's weights were trained on the style; null for other methods"),
        Column(
            "strength_t", "int32", "noise level from which the live face was made anew; null for other methods", "[0, 1000]"
        ),
        Column("gamma", "float32", "guidance; null for other methods"),
        Column("trace_strength", "float32", "factor on the traces of the guide; null for other methods"),
        Column(
            "landmarks_warped",
            "int32",
            "landmarks by which the guide's traces were warped: 468 of a mesh, 5 where crop or guide has none; null for other "
            "methods",
        ),
        Column("calls", "int32", "network calls; 0 for a simulation"),
        Column("passes", "int32", "passes through the network: a guided call makes two; 0 for a simulation"),
        Column("parameters", "string", "parameters of the simulation of the face, or of its guide, as JSON; null for neither"),
    ),
    images=("crop",),
    picture="crop",
    weights=_weights,
    batch=batch_size,
    device="accelerator",
    guides=(Reads("align", images=("crop",), columns=("landmarks", "transform"), prefix="guide_"),),
    roster=ROSTER,
    off=lambda config: config.variants == 0,
    synthetic=lambda config: {"crop": _TERMS[config.method]},
    refusal=refusal,
    style_refusal=style_refusal,
    rehearse="fasgen.stages.synth.stage:rehearse",
    remedies=REMEDIES,
)
