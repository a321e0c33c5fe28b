"""The cues that pack ships beside the residual. Adding one takes an entry in `CUES` and its name in ``pack.cues``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fasgen.records import CUE_ONE
from fasgen.stages.stage import Reads, Sample


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue as a stage left it: an array H x W x C beside the crop.

    Attributes:
        name: of the cue; its member is ``<id>.<name>.npy``.
        stage: the stage that makes it, for photographs and for what was synthesised.
        array: its array field.
        definition: what it is, for the sample's JSON.
        columns: columns of the stage that go into the JSON.
    """

    name: str
    stage: str
    array: str
    definition: str
    columns: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """Before its names in a sample."""
        return f"{self.name}."

    def reads(self, made_by: tuple[str, ...]) -> Reads:
        """What pack reads of it."""
        return Reads(self.stage, arrays=(self.array,), columns=self.columns + made_by, prefix=self.prefix, optional=True)

    def of(self, sample: Sample) -> Any:
        """Its array in a sample; None where it is not among what was read."""
        return sample.arrays.get(self.prefix + self.array)

    def record(self, sample: Sample, made_by: tuple[str, ...]) -> dict[str, Any]:
        """Its part of the sample's JSON. ``one`` is the stored number that stands for 1."""
        array = self.of(sample)
        values = {name: sample.values.get(self.prefix + name) for name in (*self.columns, *made_by)}
        told = {
            "definition": self.definition,
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "one": CUE_ONE[self.array],
        }
        return {**told, **values}


CUES = (
    Cue("lgsc", "lgsc", "lgsc", "spoof cue map: tanh of LGSC's generator, 0 for live", ("lgsc_score",)),
    Cue(
        "stdn",
        "stdn",
        "traces",
        "additive spoof trace of STDN+ in 1/32 of a level: image - live counterpart where nothing is masked",
        ("stdn_score", "stdn_depth", "trace_abs_mean", "trace_energy_face", "trace_energy_outside", "mask_mean", "alpha0"),
    ),
)
"""In the order of their members."""
