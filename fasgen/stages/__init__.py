"""The stages. Adding one takes a folder and one line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from fasgen.stages.stage import StageSpec

STAGES: dict[str, str] = {
    "align": "fasgen.stages.align.config:SPEC",
    "identify": "fasgen.stages.identify.config:SPEC",
    "defake": "fasgen.stages.defake.config:SPEC",
    "synth": "fasgen.stages.synth.config:SPEC",
    "lgsc": "fasgen.stages.lgsc.config:SPEC",
    "stdn": "fasgen.stages.stdn.config:SPEC",
    "screen": "fasgen.stages.screen.config:SPEC",
    "score": "fasgen.stages.score.config:SPEC",
    "foreign": "fasgen.stages.foreign.config:SPEC",
    "pack": "fasgen.stages.pack.config:SPEC",
}
"""Stage name to ``module:attribute`` of its specification, in the order in which samples meet them."""

FOREIGN = "foreign"
"""The stage of what was made elsewhere."""

PHOTOGRAPHS_ONLY: dict[str, dict[str, Any]] = {"synth": {"variants": 0}}
"""Settings under which nothing is drawn from photographs."""


@cache
def _load(target: str) -> StageSpec:
    module, _, attribute = target.partition(":")
    spec: StageSpec = getattr(import_module(module), attribute)
    return spec


def specs() -> dict[str, StageSpec]:
    """All specifications by name, in order. Light: no stage imports torch for it."""
    return {name: _load(target) for name, target in STAGES.items()}
