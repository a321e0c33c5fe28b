"""The JSON member of a delivered sample: labels and provenance, in a canonical form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

from fasgen.records import MADE_BY, PROVENANCE, ArrowKind, Scalar
from fasgen.stages.align.config import SPEC as ALIGN
from fasgen.stages.pack.config import GEOMETRY, QUALITY, SCREENED, SYNTHESIS
from fasgen.stages.score.config import SPEC as SCORE
from fasgen.stages.screen.config import SPEC as SCREEN
from fasgen.stages.stage import Sample, SampleCue
from fasgen.stages.synth.config import SPEC as SYNTH

FORMAT = "fasgen/3"
"""Name of the packed format; raised when a reader has to tell old shards from new ones."""

LABEL_INDEX = {"live": 1, "spoof": 0}
"""The field's convention: bona fide is 1, a presentation attack is 0; unknown is -1."""

_WORD, _COUNT, _MEASURE = "", -1, -9999.0

_UNKNOWN: Mapping[ArrowKind, Scalar] = {
    "string": _WORD,
    "bool": False,
    "int32": _COUNT,
    "int64": _COUNT,
    "uint64": _COUNT,
    "float32": _MEASURE,
    "float64": _MEASURE,
    "list<string>": [_WORD],
    "list<float32>": [_MEASURE],
}
"""What stands in a sample's JSON where nothing is known. Loaders that take types from the first samples that they meet
(`datasets` from five) cannot read a value where those had null, an empty list, or no such key."""

_KINDS: Mapping[str, ArrowKind] = {
    "parent_ids": "list<string>",  # every manifest has it, whatever the stage
    **{one.name: one.kind for one in chain(ALIGN.columns, SCORE.columns, SCREEN.columns, SYNTH.columns, PROVENANCE)},
}


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
        last with a part for each cue by name. Every sample has the same keys, and each key values of one type: what is not
        known, or does not apply, is an empty word, a whole number of -1, a measure of -9999, or a list of one of them.
    """
    values = sample.values
    height, width = image_shape
    out: dict[str, Any] = {"format": FORMAT, "sample_id": sample.sample_id}
    out.update(_section(values, tuple(column.name for column in PROVENANCE)))
    out["label_index"] = LABEL_INDEX.get(str(values.get("label")), _COUNT)
    out["synthetic"] = is_synthetic(sample)
    out["image"] = {"width": width, "height": height, "sha256": image_digest}
    out["geometry"] = _section(values, GEOMETRY)
    out["quality"] = _section(values, tuple(dict.fromkeys((*QUALITY, *SCREENED))))
    out["synthesis"] = _synthesis(sample)
    out["cues"] = {name: _cue(one) for name, one in sample.cues.items()}
    return out


def _cue(one: SampleCue) -> dict[str, Any]:
    """``one`` is the stored number that stands for 1. The columns of a cue are numbers."""
    told = {"definition": one.cue.doc, "dtype": one.array.dtype.name, "shape": list(one.array.shape), "one": float(one.cue.one)}
    numbers = {name: _MEASURE if value is None else value for name, value in one.values.items() if name not in MADE_BY}
    return {**told, **numbers, **_made_by(one.values)}


def _synthesis(sample: Sample) -> dict[str, Any]:
    """What made the image, from whom: the live face is the first parent, the guide the second. Of a photograph, nothing.

    The parameters of simulations differ from style to style: they stay the JSON text that they are in the manifest.
    """
    made: dict[str, Any] = _section(sample.values, SYNTHESIS)
    made["simulation_parameters"] = made.pop("parameters")
    return {**made, **_made_by(sample.values, "synth_"), "variant": sample.variant}


def _made_by(values: Mapping[str, Scalar], prefix: str = "") -> dict[str, Scalar]:
    found = {name: values.get(prefix + name) for name in MADE_BY}
    return {name: (_COUNT if name == "seed" else _WORD) if value is None else value for name, value in found.items()}


def canonical(content: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted keys, without blanks and without NaN: equal content has equal bytes.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _section(values: Mapping[str, Scalar], names: tuple[str, ...]) -> dict[str, Scalar]:
    return {name: _UNKNOWN[_KINDS[name]] if (value := values.get(name)) in (None, []) else value for name in names}
