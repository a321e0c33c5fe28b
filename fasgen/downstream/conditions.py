"""Under which conditions figures hold, as deliveries and manifests have them: faces, crops, frames. Every table's foot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fasgen.downstream.protocols import Fold
from fasgen.reader import SampleTable

NAME = "conditions.json"
"""Beside the scores of an experiment, so that whoever evaluates them again has the same foot."""


def of_faces(config: Mapping[str, Any], rows: Mapping[str, Any] | None) -> list[str]:
    """Detector, crops, and faces that were not found.

    Args:
        config: settings of the stage that cut the faces, as its plan has them.
        rows: how many were ``planned`` and ``ok``, and ``reasons`` by name; None where nobody knows.
    """
    detector = str(config.get("detector"))
    network = (config.get(detector) or {}).get("backbone") if isinstance(config.get(detector), Mapping) else None
    margin, template = config.get("margin"), config.get("template")
    out = [
        f"faces by {detector}{f' ({network})' if network else ''}, the {config.get('face')} of a picture; crops of "
        f"{config.get('size')} px on the template {template if isinstance(template, str) else 'of its own'}, padded by "
        f"{margin:.0%} on each side, beyond the photograph {config.get('border')}"
        if isinstance(margin, float | int)
        else f"faces by {detector}"
    ]
    if rows is not None:
        lost = int(rows["planned"]) - int(rows["ok"])
        why = ", ".join(f"{name} {count}" for name, count in sorted(dict(rows.get("reasons") or {}).items()))
        out.append(
            f"{lost} of {rows['planned']} photographs have no usable face{f' ({why})' if why else ''} and are on no side"
        )
    return out


def of_shards(folders: Iterable[Path]) -> list[str]:
    """What the index of each delivery says of its faces; that it says nothing, where it does not."""
    out: list[str] = []
    for folder in dict.fromkeys(folders):
        found = [one for one in _stages(folder) if "detector" in (one.get("config") or {})]
        if not found:
            out.append(f"nothing says which detector and crops are behind {folder.name}, nor how many faces were not found")
        for one in found:
            out += of_faces(one["config"], one.get("rows"))
    return list(dict.fromkeys(out))


def of_frames(folds: Sequence[Fold]) -> str:
    """How many frames of a clip count on each side, over all folds."""
    told = []
    for side in ("train", "dev", "test"):
        tables = [getattr(fold, side) for fold in folds]
        clips = [count for table in tables for count in _frames(table)]
        stills = any((~table.synthetic & (table.video == "")).any() for table in tables)
        words = [f"{_range(clips)} of a clip"] if clips else []
        words += ["stills"] if stills else []
        told += [f"{side} {' and '.join(words)}"] if words else []
    return f"frames: {', '.join(told)}"


def _frames(table: SampleTable) -> list[int]:
    """Frames of each clip."""
    rows = ~table.synthetic & (table.video != "")
    return list(Counter(zip(table.dataset[rows], table.video[rows], strict=True)).values())


def _range(counts: Sequence[int]) -> str:
    low, high = int(np.min(counts)), int(np.max(counts))
    return str(low) if low == high else f"{low} to {high}"


def _stages(folder: Path) -> list[Mapping[str, Any]]:
    try:
        found = json.loads((folder / "index.json").read_bytes()).get("stages")
    except (OSError, ValueError, AttributeError):
        return []
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def write(folder: Path, sentences: Sequence[str]) -> None:
    """Leave the sentences beside the scores in ``folder``."""
    (folder / NAME).write_text(json.dumps(list(sentences), indent=1, ensure_ascii=False) + "\n", "utf-8")


def beside(scores: Path) -> list[str]:
    """The sentences that lie beside a file of scores; that there are none, where there are none."""
    try:
        found = json.loads((scores.parent / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    return [f"nothing says which detector, crops and frames are behind {scores.name}, nor how many faces were not found"]
