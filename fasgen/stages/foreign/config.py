"""Configuration and specification of foreign: cues that were made elsewhere, as `fasgen attach` noted them in a store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fasgen.errors import StoreError
from fasgen.records import PHOTOGRAPHED, Reason
from fasgen.stages.stage import ArrayField, Cue, Reads, StageConfig, StageSpec

FOLDER = "attached"
"""Below a store; a folder for each cue is in it."""
ORIGIN, FILES, ROOT = "origin.json", "files.json", "root.txt"
FORMAT = "fasgen-attached/1"


@dataclass(frozen=True, slots=True)
class Origin:
    """A cue that was made elsewhere.

    Attributes:
        name: of the cue.
        doc: what it holds.
        one: the stored number that stands for 1.
        card: sentences for the data card.
        drawn: as of `Cue`.
        leaves: name of the reconstruction that was given, of which the cue is the crop's difference; empty for a cue itself.
        dtype: of the arrays.
        side: of the crops that they are of, px.
        files: digest over which files they are (`digest_of`).
        count: how many there are.
    """

    name: str
    doc: str
    one: float
    card: str
    drawn: Literal["signed", "magnitude"]
    leaves: str
    dtype: str
    side: int
    files: str
    count: int

    def encode(self) -> bytes:
        """The bytes of ``origin.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True).encode() + b"\n"


def digest_of(files: Mapping[str, Sequence[str]]) -> str:
    """SHA-256 over the digests of files, by sample id; what they are called is no part of it."""
    digests = {sample: digest for sample, (_, digest) in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode("ascii")).hexdigest()


def read_origin(folder: Path) -> Origin:
    """What was noted of a cue.

    Raises:
        StoreError: the note is damaged.
    """
    path = folder / ORIGIN
    try:
        told = json.loads(path.read_bytes())
        if told.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        return Origin(**told)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{path}: is no note of an attached cue ({error}): give `fasgen attach` again") from None


class ForeignConfig(StageConfig):
    """Cues that were made elsewhere. `fasgen attach` takes them in and notes them in the store; nothing is set here."""

    folder: Path | None = Field(
        None, description="folder with what was noted, which is found in the store when a run is planned; stays null"
    )
    batch: int = Field(32, ge=1, le=1024, description="samples a call")


def names(config: ForeignConfig) -> list[str]:
    """The cues that were noted."""
    return sorted(path.parent.name for path in config.folder.glob(f"*/{ORIGIN}")) if config.folder else []


def settle(config: ForeignConfig, store: Path) -> ForeignConfig:
    """The configuration with the folder of a store in which something was noted."""
    found = config.model_copy(update={"folder": store / FOLDER})
    return found if names(found) else config


def cues(config: ForeignConfig) -> tuple[ArrayField, ...]:
    """The cues as they are declared."""
    found = [read_origin(config.folder / name) for name in names(config)] if config.folder else []
    return tuple(Cue(one.name, one.dtype, one.doc, one.one, one.card, one.drawn, one.leaves) for one in found)


def _weights(config: ForeignConfig) -> dict[str, Path]:
    return {name: config.folder / name / ORIGIN for name in names(config)} if config.folder else {}


def refusal(config: ForeignConfig, others: Mapping[str, Any]) -> str:
    """Why the cues do not belong to the crops of this run; empty where they do."""
    size = getattr(others.get("align"), "size", None)
    folder = config.folder
    for name in names(config) if folder and size is not None else ():
        side = read_origin((folder or Path()) / name).side
        if side != size:
            return (
                f"foreign: {name} was attached to crops of {side} px, and align.size is {size}: attach it for these crops, or "
                f"take it out (`fasgen attach STORE {name} --remove`)"
            )
    return ""


SPEC = StageSpec(
    name="foreign",
    summary="cues and reconstructions that were made elsewhere, as `fasgen attach` took them in",
    version=1,
    reads=(Reads("align", images=("crop",)),),
    lanes=(PHOTOGRAPHED,),
    config=ForeignConfig,
    factory="fasgen.stages.foreign.stage:build",
    weights=_weights,
    batch=lambda config: config.batch,
    device="cpu",
    off=lambda config: not names(config),
    declares=cues,
    settle=settle,
    refusal=refusal,
    remedies={
        Reason.NO_CUE: "most photographs have no file among what was attached: files are called by sample ids, or as those of "
        "the sources; give `fasgen attach` a table, or attach again where rows were added since",
    },
)
