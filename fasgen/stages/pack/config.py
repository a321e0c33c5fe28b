"""Configuration and specification of pack: one sample of a delivered shard from what all stages before it made."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fasgen.records import Column
from fasgen.stages.pack.cues import CUES
from fasgen.stages.stage import Reads, StageConfig, StageSpec, Want

Label = Literal["live", "spoof", "unknown"]

CueName = Literal["residual", "lgsc", "stdn"]
"""Names in ``pack.cues``: the residual, which is the member ``cue``, and those of `CUES`."""

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

CUE = ("residual_mean", "residual_std", "residual_abs_mean", "residual_energy_face", "t", "calls")
"""Columns of defake that go into a sample's JSON."""

MADE_BY = ("seed", "plan_hash", "weights")
"""Columns that every manifest has; taken from a cue's stage, they say what made the cue. Its plan hash covers all stages above
it."""


class PackConfig(StageConfig):
    """What goes into the delivered shards, and in which form."""

    cues: tuple[CueName, ...] | None = Field(
        None,
        description="cues that are shipped; null: the residual, and each other one whose stage is on. A cue that is named here "
        "needs its stage; `[]` ships images without any",
    )
    cue_format: Literal["npy", "npy.gz"] = Field(
        "npy",
        description="npy: read without decoding; npy.gz: half the space, milliseconds a sample; both hold the exact integers",
    )
    gzip_level: int = Field(
        1, ge=1, le=9, description="effort of npy.gz; above 1 gains about 5 % for two to five times the time"
    )
    reconstruction: bool = Field(False, description="ship the reconstruction as PNG too (image - cue gives it anyway)")
    embedding: bool = Field(False, description="ship the identity embedding too")
    labels: tuple[Label, ...] = Field(
        ("live", "spoof", "unknown"), min_length=1, description="labels that are shipped; others are rows with the reason label"
    )
    licences: tuple[str, ...] = Field(
        (), description="patterns (*, ?, [...]) one of which a licence must match, else the reason is licence; empty: ship all"
    )
    batch: int = Field(32, ge=1, le=1024, description="samples a call")

    def ships(self, cue: str) -> bool:
        """Whether a cue is wanted, if there is one."""
        return self.cues is None or cue in self.cues


def _wants(config: PackConfig, read: Reads) -> Want:
    if config.cues is None:
        return "if_on"
    return "yes" if any(cue.stage == read.stage and cue.name in config.cues for cue in CUES) else "no"


_FURTHER = tuple(cue.reads(MADE_BY) for cue in CUES)

SPEC = StageSpec(
    name="pack",
    summary="accepted samples into WebDataset shards: image, cue, JSON of labels and provenance",
    version=4,
    reads=(
        Reads("score", columns=QUALITY),
        Reads("align", encoded=("crop",), columns=GEOMETRY),
        Reads("defake", arrays=("residual",), columns=CUE + MADE_BY),
        Reads("identify", arrays=("embedding",)),
        *_FURTHER,
    ),
    also=(
        Reads("screen", columns=SCREENED),
        Reads("synth", encoded=("crop",), columns=SYNTHESIS),
        Reads("synth", columns=MADE_BY, prefix="synth_"),
        Reads("align", columns=GEOMETRY),
        Reads("synth_defake", arrays=("residual",), columns=CUE + MADE_BY),
        Reads("synth_identify", arrays=("embedding",)),
        *_FURTHER,
    ),
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
    finish="fasgen.manifests.report.delivery:finish",
    wants=_wants,
)
