"""What became of a step, in a file of its own that appears when the step is over."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fasgen.chains.steps import Step
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.report.delivery import INDEX
from fasgen.manifests.unit import canonical_json

NAME = "outcome.json"

SCORES = "scores.csv"


@dataclass(frozen=True)
class Outcome:
    """A step that is over.

    Attributes:
        key: of the step.
        name: of the training or method.
        steps: optimiser steps.
        seconds: that it took, all its tries together as far as they are known.
        shards: of what was made, the folder with the shards; empty where none are.
        index: digest of their index.
        scores: columns that were read out, with what the foot of a table says of them.
    """

    key: str
    name: str = ""
    steps: int = 0
    seconds: float = 0.0
    shards: str = ""
    index: str = ""
    scores: dict[str, list[str]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put it in a step's folder."""
        write_atomic(folder / NAME, canonical_json(asdict(self)) + b"\n")


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome that lies in a folder; None where none does, or one that nobody can have written."""
    try:
        found: dict[str, Any] = parse_json((folder / NAME).read_bytes())
        return Outcome(**found)
    except (OSError, ValueError, TypeError):
        return None


def is_done(step: Step) -> bool:
    """Whether a step's outcome is there, and what it speaks of."""
    found = read_outcome(step.folder)
    if found is None or found.key != step.key:
        return False
    if step.kind == "train":
        return (step.folder / "final").is_dir()
    if step.kind == "detect":
        return (step.folder / SCORES).is_file()
    if any(column not in found.scores or not score_file(step.folder, column).is_file() for column in step.scores):
        return False
    return not found.shards or index_digest(Path(found.shards)) == found.index


def index_digest(shards: Path) -> str:
    """Of a delivery's index; empty where there is none."""
    try:
        return hashlib.sha256((shards / INDEX).read_bytes()).hexdigest()
    except OSError:
        return ""


def score_file(folder: Path, column: str) -> Path:
    """Where the scores of a column lie."""
    return folder / f"{column}-scores.csv"
