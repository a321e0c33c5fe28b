"""The JSON member of a delivered sample: labels and provenance, in a canonical form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fasgen.records import MADE_BY, PROVENANCE, Scalar
from fasgen.stages.pack.config import GEOMETRY, QUALITY, SCREENED, SYNTHESIS
from fasgen.stages.stage import Sample, SampleCue

FORMAT = "fasgen/2"
"""Name of the packed format; raised when a reader has to tell old shards from new ones."""

LABEL_INDEX = {"live": 1, "spoof": 0}
"""The field's convention: bona fide is 1, a presentation attack is 0; unknown has no index."""


def is_synthetic(sample: Sample) -> bool:
    """Whether the image was generated: photographs are variant 0."""
    return sample.variant > 0


def record(sample: Sample, image_shape: tuple[int, int], image_digest: str) -> dict[str, Any]:
    """All that a trainer or an auditor may ask of one sample.

    Args:
        sample: with provenance, cues and the columns that pack reads.
        image_shape: height and width of the image in px.
        image_digest: SHA-256 of the PNG.

    Returns:
        labels and provenance at the top level; ``image``, ``geometry``, ``quality``, ``synthesis`` and ``cues`` below it, the
        last with a part for each cue by name. What is not known is null, never absent.
    """
    values = sample.values
    height, width = image_shape
    out: dict[str, Any] = {"format": FORMAT, "sample_id": sample.sample_id}
    out.update({column.name: values.get(column.name) for column in PROVENANCE})
    out["label_index"] = LABEL_INDEX.get(str(values.get("label")))
    out["synthetic"] = is_synthetic(sample)
    out["image"] = {"width": width, "height": height, "sha256": image_digest}
    out["geometry"] = _section(values, GEOMETRY)
    out["quality"] = _section(values, SCREENED if out["synthetic"] else QUALITY)
    out["synthesis"] = _synthesis(sample) if out["synthetic"] else None
    out["cues"] = {name: _cue(one) for name, one in sample.cues.items()}
    return out


def _cue(one: SampleCue) -> dict[str, Any]:
    """``one`` is the stored number that stands for 1."""
    told = {"definition": one.cue.doc, "dtype": one.array.dtype.name, "shape": list(one.array.shape), "one": one.cue.one}
    return {**told, **one.values}


def _synthesis(sample: Sample) -> dict[str, Any]:
    """What made the image, from whom: the live face is the first parent, the guide the second."""
    made: dict[str, Any] = _section(sample.values, SYNTHESIS)
    parameters = made.pop("parameters")
    made |= {name: sample.values.get(f"synth_{name}") for name in MADE_BY}
    return {**made, "simulation_parameters": json.loads(str(parameters)) if parameters else None, "variant": sample.variant}


def canonical(content: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted keys, without blanks and without NaN: equal content has equal bytes.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _section(values: Mapping[str, Scalar], names: tuple[str, ...]) -> dict[str, Scalar]:
    return {name: values.get(name) for name in names}
