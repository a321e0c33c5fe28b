"""Made-up pictures and settings for the tests of the simulation."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from pydantic import ValidationError

from fasgen.stages.physical.config import PhysicalConfig, Section
from fasgen.stages.stage import RGB


def picture(height: int, width: int, seed: int = 0) -> RGB:
    """Smooth shapes of all colours with some grain."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 5, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * coarse + rng.normal(0, 4, coarse.shape), 0, 255).astype(np.uint8)


def zero(section: Section) -> Section:
    """The section with every range at zero, where zero is allowed; no chance of anything."""
    values: dict[str, Any] = {}
    for name in type(section).model_fields:
        given = getattr(section, name)
        nothing = (0, 0) if isinstance(given, tuple) else given if isinstance(given, str) else 0.0
        try:
            type(section).model_validate({name: nothing})
            values[name] = nothing
        except ValidationError:
            values[name] = given
    if "ink_limit" in values:
        values["ink_limit"] = (4.0, 4.0)
    if "cut_width" in values:
        values["cut_width"] = values["cut_height"] = (2.0, 2.0)
    return type(section).model_validate(values)


def neutral() -> PhysicalConfig:
    """A configuration that changes nothing."""
    config = PhysicalConfig()
    return PhysicalConfig.model_validate({name: zero(getattr(config, name)) for name in PhysicalConfig.model_fields})
