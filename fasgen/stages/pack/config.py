"""Configuration and specification of pack: one sample of a delivered shard from what all stages before it made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fasgen.records import Column
from fasgen.stages.stage import Reads, StageConfig, StageSpec

Label = Literal["live", "spoof", "unknown"]

GEOMETRY = ("box", "landmarks", "transform", "yaw", "pitch", "roll", "detector_score")
"""Columns of align that go into a sample's JSON: with them a cue can be mapped back into the frame it came from."""

QUALITY = ("brisque", "brisque_reconstruction", "identity_similarity")
"""Columns of score that go into a sample's JSON."""

CUE = ("residual_mean", "residual_std", "residual_abs_mean", "residual_energy_face")
"""Columns of defake that go into a sample's JSON."""

MADE_BY = ("seed", "plan_hash", "weights")
"""Columns that every manifest has; taken from defake, they say what made the cue. Its plan hash covers all stages above it."""


class PackConfig(StageConfig):
    """What goes into the delivered shards, and in which form.

    Attributes:
        cue_format: ``npy`` is read without any decoding; ``npy.gz`` takes less than half the space and some milliseconds a
            sample. Both hold the exact int16 residual, and plain webdataset decodes both.
        gzip_level: effort of ``npy.gz``; levels above 1 gain about 5 % for two to five times the time.
        reconstruction: also ship the reconstruction as PNG. It equals image - cue, so it costs space and adds nothing that a
            reader could not compute.
        embedding: also ship the identity embedding.
        labels: labels that are shipped; samples of another are rows with the reason ``label``.
        licences: patterns (``*``, ``?``, ``[...]``) of which a sample's licence must match one; empty ships every licence, also
            unknown ones. The others are rows with the reason ``licence``.
        batch: samples per call.
    """

    cue_format: Literal["npy", "npy.gz"] = "npy"
    gzip_level: Annotated[int, Field(ge=1, le=9)] = 1
    reconstruction: bool = False
    embedding: bool = False
    labels: tuple[Label, ...] = ("live", "spoof", "unknown")
    licences: tuple[str, ...] = ()
    batch: Annotated[int, Field(ge=1, le=512)] = 32


SPEC = StageSpec(
    name="pack",
    summary="accepted samples into WebDataset shards: image, cue, JSON of labels and provenance",
    version=1,
    reads=(
        Reads("score", columns=QUALITY),
        Reads("align", encoded=("crop",), columns=GEOMETRY),
        Reads("defake", arrays=("residual",), columns=CUE + MADE_BY),
        Reads("identify", arrays=("embedding",)),
    ),
    config=PackConfig,
    factory="fasgen.stages.pack.stage:build",
    columns=(
        Column("image_digest", "string", "SHA-256 over the bytes of the shipped PNG, which are the stored crop's"),
        Column("image_width", "int32", "width of the shipped image", "px"),
        Column("image_height", "int32", "height of the shipped image", "px"),
        Column("image_bytes", "int32", "size of the member <sample_id>.png", "bytes"),
        Column("cue_bytes", "int32", "size of the member <sample_id>.cue.npy or .cue.npy.gz", "bytes"),
        Column("synthetic", "bool", "true if the image was generated, not photographed"),
    ),
    batch=lambda config: config.batch,
    device="cpu",
    tar="fas-{unit:06d}.tar",
    shipped=True,
)
