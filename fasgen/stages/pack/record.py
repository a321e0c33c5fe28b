"""The JSON member of a delivered sample: labels and provenance, in a canonical form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fasgen.records import PROVENANCE, Scalar
from fasgen.stages.pack.config import CUE, GEOMETRY, MADE_BY, QUALITY, SCREENED, SYNTHESIS
from fasgen.stages.pack.cues import CUES
from fasgen.stages.stage import Sample

FORMAT = "fasgen/1"
"""Name of the packed format; raised when a reader has to tell old shards from new ones."""

LABEL_INDEX = {"live": 1, "spoof": 0}
"""The field's convention: bona fide is 1, a presentation attack is 0; unknown has no index."""


def is_synthetic(sample: Sample) -> bool:
    """Whether the image was generated: photographs are variant 0."""
    return sample.variant > 0


def record(
    sample: Sample, image_shape: tuple[int, int], image_digest: str, cue_shape: tuple[int, ...] | None
) -> dict[str, Any]:
    """All that a trainer or an auditor may ask of one sample.

    Args:
        sample: with provenance and the columns that pack reads.
        image_shape: height and width of the image in px.
        image_digest: SHA-256 of the PNG.
        cue_shape: shape of the residual, H x W x 3; None where it is not shipped.

    Returns:
        labels and provenance at the top level; ``image``, ``geometry``, ``quality``, ``synthesis`` and ``cue`` below it. What
        is not known is null, never absent. Where cues are shipped beside the residual, ``cues`` holds a part for each.
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
    out["cue"] = None if cue_shape is None else _residual(values, cue_shape)
    further = {cue.name: cue.record(sample, MADE_BY) for cue in CUES if cue.of(sample) is not None}
    if further:
        out["cues"] = further
    return out


def _residual(values: Mapping[str, Scalar], shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "definition": "image - reconstruction",
        "unit": "8-bit levels",
        "dtype": "int16",
        "shape": list(shape),
        **_section(values, MADE_BY),
        **{name.removeprefix("residual_"): values.get(name) for name in CUE},
    }


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
