"""Configuration and specification of pack: one sample of a delivered shard from what all stages before it made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fasgen.records import MADE_BY, PHOTOGRAPHED, Column, Reason
from fasgen.stages.settings import Selected, few_rows
from fasgen.stages.stage import PICTURE, Reads, StageSpec

Label = Literal["live", "spoof", "unknown"]

GEOMETRY = ("box", "score", "landmarks", "transform", "yaw", "pitch", "roll", "detector", "source_width", "source_height")
"""Columns of align that go into a sample's JSON: with them a cue can be mapped back into the frame it came from."""

QUALITY = ("brisque", "brisque_reconstruction", "brisque_impl", "identity_similarity", "verdict")
"""Columns of score that go into a sample's JSON."""

SCREENED = (
    "brisque",
    "brisque_impl",
    "identity_similarity",
    "guide_similarity",
    "style_verdict",
    "style_probability",
    "difference",
    "verdict",
)
"""Columns of screen that go into the JSON of what was synthesised."""

SYNTHESIS = (
    "parent_ids",
    "method",
    "style",
    "simulation",
    "style_seen",
    "strength_t",
    "gamma",
    "trace_strength",
    "parameters",
)
"""Columns of synth that go into the JSON of what was synthesised."""


class PackConfig(Selected):
    """What goes into the delivered shards, and in which form.

    ``where`` and ``protocol`` choose what is shipped: samples that pass, and photographs on any side of the protocol with what
    was made of those on its train side alone.
    """

    cues: tuple[str, ...] | None = Field(
        None,
        description="cues that are shipped, by name; null: all that stages make which are on. A cue that is named here "
        "needs its stage; `[]` ships images without any",
    )
    cue_format: Literal["npy", "npy.gz"] = Field(
        "npy",
        description="npy: read without decoding; npy.gz: half the space, milliseconds a sample; both hold the exact integers",
    )
    gzip_level: int = Field(
        1, ge=1, le=9, description="effort of npy.gz; above 1 gains about 5 % for two to five times the time"
    )
    reconstruction: bool = Field(
        False,
        description="ship what a shipped cue leaves of the image as PNG too, the reconstruction "
        "(image - residual gives it anyway)",
    )
    embedding: bool = Field(False, description="ship the identity embedding too")
    labels: tuple[Label, ...] = Field(
        ("live", "spoof", "unknown"), min_length=1, description="labels that are shipped; others are rows with the reason label"
    )
    licences: tuple[str, ...] = Field(
        (), description="patterns (*, ?, [...]) one of which a licence must match, else the reason is licence; empty: ship all"
    )
    batch: int = Field(32, ge=1, le=1024, description="samples a call")

    @model_validator(mode="after")
    def _left_by_a_cue(self) -> PackConfig:
        if self.reconstruction and self.cues == ():
            raise ValueError("reconstruction is what a cue leaves of the image, and cues is []: name the cue, or leave it out")
        return self


SPEC = StageSpec(
    name="pack",
    summary="accepted samples into WebDataset shards: image, cues, JSON of labels and provenance",
    version=7,
    reads=(
        Reads("score", columns=QUALITY, lanes=(PHOTOGRAPHED,)),
        Reads("screen", columns=SCREENED, lanes=("synth",)),
        Reads(PICTURE, encoded=("crop",)),
        Reads("synth", columns=SYNTHESIS, lanes=("synth",)),
        Reads("synth", columns=MADE_BY, prefix="synth_", lanes=("synth",)),
        Reads("align", columns=GEOMETRY),
        Reads("identify", arrays=("embedding",)),
    ),
    joins=True,
    config=PackConfig,
    factory="fasgen.stages.pack.stage:build",
    columns=(
        Column("image_digest", "string", "SHA-256 over the bytes of the shipped PNG, which are the stored crop's"),
        Column("image_width", "int32", "width of the shipped image", "px"),
        Column("image_height", "int32", "height of the shipped image", "px"),
        Column("image_bytes", "int32", "size of the member <sample_id>.png", "bytes"),
        Column("cue_bytes", "int32", "size of the cues' members together", "bytes"),
        Column("cues", "list<string>", "names of the cues that are shipped"),
        Column("synthetic", "bool", "true if the image was generated, not photographed"),
    ),
    batch=lambda config: config.batch,
    device="cpu",
    tar="fas-{unit:06d}.tar",
    shipped=True,
    gathers=lambda config: config.cues,
    remedies={
        **few_rows("pack"),
        Reason.LABEL: "pack.labels leaves out the labels that most rows have",
        Reason.LICENCE: "pack.licences matches the licences of few sources: `licence` of a source says what it is",
    },
)
