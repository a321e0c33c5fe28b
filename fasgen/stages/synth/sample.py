"""What all methods do with a sample: the picture of its style, and what the manifest says of its spoof."""

from __future__ import annotations

import json

from fasgen.records import Scalar
from fasgen.seeds import sample_seed
from fasgen.stages.physical.simulate import Simulated, simulate
from fasgen.stages.stage import RGB, Sample
from fasgen.stages.synth.config import SynthConfig


def common(sample: Sample) -> dict[str, Scalar]:
    """What every synthesiser says of a sample."""
    return {name: sample.values[name] for name in ("style", "simulation", "guide_unit", "guide_row", "place")}


def guide_of(sample: Sample, config: SynthConfig) -> tuple[RGB, Simulated | None]:
    """The picture of the style: real, or another person's face under the simulation."""
    image, style = sample.images["guide_crop"], sample.values["simulation"]
    if style is None:
        return image, None
    seed = sample_seed(sample.seed, "guide", sample.sample_id)
    made = simulate(image, str(style), seed, config.physical)
    return made.image, made


def as_json(made: Simulated) -> str:
    """The parameters of a simulation, as the manifest has them."""
    return json.dumps(made.parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
